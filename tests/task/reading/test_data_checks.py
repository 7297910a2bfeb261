"""Data whose every row is right and that say nothing all the same; and the page that lists what is accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.task.examples import Columns, Dataset, Note, read_both, read_dataset, read_labels, show_notes
from edgepack.task.task import Task

TASK = Task("text-classification", ("neg", "pos"))
TAGS = Task("token-classification", ("O", "B-x", "I-x"))


def tsv(folder: Path, name: str, rows: list[tuple[str, str]]) -> str:
    (folder / name).write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    return str(folder / name)


def test_evaluation_that_cannot_tell_is_refused(tmp_path: Path) -> None:
    train = tsv(tmp_path, "train.tsv", [("a", "neg"), ("b", "pos")])
    with pytest.raises(InputError, match=r"eval\.tsv: all evaluation examples have the same label, 'pos'"):
        read_both(train, tsv(tmp_path, "eval.tsv", [("c", "pos"), ("d", "pos")]), TASK)
    rows = [{"tokens": ["a"], "tags": ["B-x"]}, {"tokens": ["b"], "tags": ["O"]}]
    for name, row in zip(("train", "eval"), rows, strict=True):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match=r"eval\.jsonl: no entity in it"):
        read_both(str(tmp_path / "train.jsonl"), str(tmp_path / "eval.jsonl"), TAGS)


def test_texts_that_repeat_are_counted(tmp_path: Path) -> None:
    train = tsv(tmp_path, "train.tsv", [("a", "neg"), ("b", "pos"), ("a", "neg"), ("b", "neg"), ("", "pos")])
    training, _ = read_both(train, tsv(tmp_path, "eval.tsv", [("a", "neg"), ("d", "pos")]), TASK)
    assert [(note.text.removeprefix(f"{train}: "), note.warning) for note in training.notes] == [
        ("1 of 5 texts are empty", True),
        ("2 of 5 examples repeat an earlier text", False),
        ("1 texts stand in it with different labels", True),
        ("1 of 2 evaluation examples also stand in the training data", True),
    ]


def test_notes_are_printed_once_and_warnings_even_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    data = Dataset((), "f", "", (Note("said"), Note("look at this", warning=True)))
    show_notes(Console(), data, data)
    assert capsys.readouterr().err == "said\nwarning: look at this\n"
    show_notes(Console(quiet=True), data)
    assert capsys.readouterr().err == "warning: look at this\n"


def test_rows_out_of_scope_are_no_examples(tmp_path: Path) -> None:
    train = tsv(tmp_path, "train.tsv", [("a", "neg"), ("x", "oos"), ("b", "pos"), ("y", " oos ")])
    evaluation = tsv(tmp_path, "eval.tsv", [("c", "neg"), ("d", "pos"), ("z", "oos")])
    columns = Columns(outside="oos")
    training, held_out = read_both(train, evaluation, TASK, columns)
    assert [each.text for each in training.examples] == ["a", "b"]
    assert [each.text for each in training.outside] == ["x", "y"]
    assert [each.text for each in held_out.out_of_scope().examples] == ["z"]
    assert (len(held_out), held_out.out_of_scope().outside) == (2, ())
    assert read_labels(train, columns) == ("neg", "pos")
    assert read_dataset(tsv(tmp_path, "other.tsv", [("c", "neg")]), TASK, columns).outside == ()
    numbered = tsv(tmp_path, "numbered.tsv", [("a", "0"), ("x", "1"), ("b", "2")])
    found = read_dataset(numbered, TASK, Columns(names=("neg", "oos", "pos"), outside="oos"))
    assert ([e.label for e in found.examples], [e.text for e in found.outside]) == ([0, 1], ["x"])


def test_rows_out_of_scope_that_cannot_be_are_refused(tmp_path: Path) -> None:
    train = tsv(tmp_path, "train.tsv", [("a", "neg"), ("b", "pos")])
    evaluation = tsv(tmp_path, "eval.tsv", [("c", "neg"), ("d", "pos")])
    for outside, said in (("oos", "has the label 'oos' of --out-of-scope"), ("neg", "is one of the teacher's labels")):
        with pytest.raises(InputError, match=said):
            read_both(train, evaluation, TASK, Columns(outside=outside))
    with pytest.raises(InputError, match="every row is out of scope"):
        read_dataset(tsv(tmp_path, "x.tsv", [("a", "oos")]), TASK, Columns(outside="oos"))
    (tmp_path / "tags.jsonl").write_text(json.dumps({"tokens": ["a"], "tags": ["B-x"]}))
    with pytest.raises(InputError, match="goes with one label for each text"):
        read_dataset(str(tmp_path / "tags.jsonl"), TAGS, Columns(outside="oos"))
