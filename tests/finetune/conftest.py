"""Data and base, written once."""

from __future__ import annotations

import pytest

from tests.finetune.tiny import Files, make_files


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("finetune"))
