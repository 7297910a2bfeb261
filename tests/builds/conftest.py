"""One teacher and one unbroken build for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.build.flow import build as run_build
from tests.builds.tiny import QUIET, Files, make_files, request, shorten


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Data and a teacher."""
    return make_files(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


@pytest.fixture(scope="session")
def unbroken(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("build") / "out"
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        assert run_build(request(files, output), QUIET).passed
    return output
