"""Names of labels as a person gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.errors import InputError
from edgepack.task.examples import Columns, read_dataset, read_names
from tests.task.reading.test_labels import TOPICS, parquet, task, tsv, warned


def test_read_names(tmp_path: Path) -> None:
    assert read_names("a, b ,c") == ("a", "b", "c")
    (tmp_path / "labels.txt").write_text("\ufeffa, b\r\nc\r\n\r\n")
    assert read_names(str(tmp_path / "labels.txt")) == ("a, b", "c")
    for wrong in ("a", "a,a", "", ",,", "x" * 10_000, "labels.txt", "[]"):
        with pytest.raises(InputError, match=r"labels .*(2 or more are needed|not readable)") as caught:
            read_names(wrong)
        assert len(str(caught.value)) < 300


def test_no_name_moves_up_into_the_place_of_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\n\nc\nd\n")
    for wrong, number in (("a,,c,d", 1), (",a,b", 0), (str(tmp_path / "labels.txt"), 1)):
        with pytest.raises(InputError, match=f"the name of number {number} is empty"):
            read_names(wrong)
    assert read_names("a,b,") == ("a", "b")


def test_names_in_json_and_names_with_numbers(tmp_path: Path) -> None:
    for text in ('["a", "b, c"]', '{"0": "a", "1": "b, c"}', '{"b, c": 1, "a": 0}'):
        assert read_names(text) == ("a", "b, c")
        (tmp_path / "labels.json").write_text(text)
        assert read_names(str(tmp_path / "labels.json")) == ("a", "b, c")
    assert read_names("1 star,2 stars") == ("1 star", "2 stars")
    (tmp_path / "labels.txt").write_text("label\na\nb\n")
    for wrong, said in (
        ("0=a,1=b", "numbers stand before the names"),
        ("0: a,1: b", "numbers stand before the names"),
        ('{"a": 1, "b": 2}', "each name needs a number of its own, from 0 to 1"),
        ('["a", 1]', "a list of names is needed"),
        (str(tmp_path / "labels.txt"), "its first line is 'label', a header"),
    ):
        with pytest.raises(InputError, match=said):
            read_names(wrong)


def test_names_given_by_the_user_over_a_files_own_are_said(tmp_path: Path) -> None:
    path = parquet(tmp_path, "a", [0, 1, 2], list(TOPICS))
    columns = Columns(names=TOPICS[::-1])
    assert "its metadata names its labels" in warned(read_dataset(path, task(*TOPICS), columns))
    assert warned(read_dataset(path, task(*TOPICS), Columns(names=TOPICS))) == ""


@pytest.mark.parametrize("numbers", [[1, 2], [-1, 1]])
def test_other_numbers_than_class_ids_need_names(tmp_path: Path, numbers: list[object]) -> None:
    with pytest.raises(InputError, match="as many numbers as classes, and nothing says which is which: write names"):
        read_dataset(tsv(tmp_path, "a", numbers), task("neg", "pos"))
