"""Python in the pages runs, page by page, in a folder with a teacher, its data and a finished build in `out/`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edgepack.build import recipe
from tests.builds.tiny import TINY, Files
from tests.pages import PAGES, REPOSITORY, Block, blocks_of, name_of

WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks_of(page))]
EDGEPACK = f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" -m edgepack "$@"\n'


@pytest.fixture
def reader(files: Files, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has who follows the pages, as the current folder; builds are short whatever their effort."""
    shutil.copytree(unbroken, tmp_path / "out")
    (tmp_path / "teacher").symlink_to(files.teacher)
    (tmp_path / "base").symlink_to(Path(files.teacher).with_name("base"))
    (tmp_path / "train.tsv").symlink_to(files.train)
    (tmp_path / "dev.tsv").symlink_to(files.evaluation)
    (tmp_path / "release.pem").write_bytes(
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    programs = tmp_path / ".bin"
    programs.mkdir()
    (programs / "edgepack").write_text(EDGEPACK)
    (programs / "edgepack").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    for effort in recipe.RECIPES:
        monkeypatch.setitem(recipe.RECIPES, effort, TINY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(blocks: list[Block]) -> None:
    """The blocks of a page one after another, with the names of those before, as a reader would paste them."""
    names: dict[str, Any] = {"__name__": "__example__"}
    for block in blocks:
        if block.language == "python" and block.not_run is None:
            text = "\n" * block.line + block.text  # so that a traceback has the page's own line
            exec(compile(text, name_of(block.page), "exec", dont_inherit=True), names)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_in_the_pages_runs(page: Path, reader: Path) -> None:
    run(blocks_of(page))


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_that_is_not_run_compiles(page: Path) -> None:
    for block in blocks_of(page):
        if block.language == "python":
            compile(block.text, block.place, "exec")


def test_an_example_that_fails_is_found(reader: Path) -> None:
    good, bad = "```python\nx = 1\n```\n\n", "```python\nx.nothing\n```\n"
    run(blocks_of(REPOSITORY, good))
    run(blocks_of(REPOSITORY, f"{good}<!-- not run: it would fail -->\n{bad}"))
    with pytest.raises(AttributeError):
        run(blocks_of(REPOSITORY, good + bad))
