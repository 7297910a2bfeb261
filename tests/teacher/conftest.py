"""A tiny checkpoint for all tests here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.teacher.tiny import write_teacher


@pytest.fixture(scope="session")
def good_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "teacher"
    write_teacher(folder)
    return folder


@pytest.fixture
def folder(good_folder: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be spoiled."""
    return Path(shutil.copytree(good_folder, tmp_path / "teacher"))
