"""Sources that are no file of rows: pipes, addresses, the standard input, folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgepack.errors import InputError
from edgepack.task.examples import read_dataset
from edgepack.task.task import Task

TEXT = Task("text-classification", ("neg", "pos"))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tsv")
    with pytest.raises(InputError, match="is no regular file"):
        read_dataset(str(tmp_path / "a.tsv"), TEXT)
    with pytest.raises(InputError, match="cannot be opened"):
        read_dataset("x" * 5_000 + ".tsv", TEXT)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("-", "'-' is the standard input, which can be read once only; save the data as a file"),
        ("https://example.org/a.csv", "is an address; save the data as a file and give its path"),
        ("hf://datasets/a/b", "is an address"),
    ],
)
def test_what_is_no_path_is_told_as_what_it_is(source: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_dataset(source, TEXT)


def test_a_folder_is_answered_with_the_data_in_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").touch()
    (tmp_path / "README.md").touch()
    with pytest.raises(InputError, match=r"is a folder; give a file of it \(data/train\.parquet\), a folder that"):
        read_dataset(str(tmp_path), TEXT)
