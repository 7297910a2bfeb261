"""One teacher and one unbroken build for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builds.tiny import Files, build_shortly, make_files, shorten


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Data and a teacher."""
    return make_files(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


@pytest.fixture(scope="session")
def unbroken(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shortly(files, tmp_path_factory.mktemp("build") / "out")
