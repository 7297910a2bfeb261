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


def test_labels_that_do_not_occur_are_named(tmp_path: Path) -> None:
    task = Task("text-classification", ("neg", "pos", "other"))
    train = tsv(tmp_path, "train.tsv", [("a", "neg"), ("b", "neg")])
    evaluation = tsv(tmp_path, "eval.tsv", [("c", "neg"), ("d", "pos")])
    training, held_out = read_both(train, evaluation, task)
    assert training.notes == (
        Note(f"{train}: 2 of 3 labels do not occur (pos, other): nothing here teaches them", warning=True),
    )
    assert held_out.notes == (Note(f"{evaluation}: 1 of 3 labels do not occur (other): no figure says how they fare"),)
    tags = Task("token-classification", ("O", "B-x", "I-x", "B-y", "I-y"))
    for name, word in (("train", "a"), ("eval", "b")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"tokens": [word, "c"], "tags": ["B-x", "O"]}))
    training, held_out = read_both(str(tmp_path / "train.jsonl"), str(tmp_path / "eval.jsonl"), tags)
    assert ["1 of 2 labels do not occur (y)" in note.text for note in (*training.notes, *held_out.notes)] == [
        True,
        True,
    ]


def test_pairs_are_not_read_as_single_texts(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("premise,hypothesis,label\na,b,neg\n")
    with pytest.raises(InputError, match=r"texts come in pairs \(premise, hypothesis\), the task has single ones"):
        read_dataset(str(pairs), TASK)
    assert read_dataset(str(pairs), TASK, Columns(text="premise")).examples[0].text == "a"
    single = tsv(tmp_path, "single.tsv", [("a", "neg")])
    with pytest.raises(InputError, match="no first text column found"):
        read_dataset(single, Task("text-classification", ("neg", "pos"), pair=True))


def test_other_columns_that_could_be_meant_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,sentence,intent,category,label_text\na,b,neg,x,y\n")
    notes = [note.text.removeprefix(f"{path}: ") for note in read_dataset(str(path), TASK).notes]
    assert notes == [
        "the text is column 'sentence'; text could hold one too: name it with --text-column",
        "the label is column 'intent'; category, label_text could hold one too: name it with --label-column",
    ]
    assert read_dataset(str(path), TASK, Columns(text="text", label="intent")).notes == ()
    path.write_text("text,label,label_text\na,0,neg\n")
    assert not any("could hold" in note.text for note in read_dataset(str(path), TASK).notes)


def test_entities_may_be_rare_and_begin_late(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"row {n}", "entities": []} for n in range(99)]
    found = {"text": "anna left", "entities": [{"start": 0, "end": 4, "label": "x"}]}
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, found]))
    assert read_dataset(str(path), TAGS).examples[99].label == (1, 0)
    assert read_labels(str(path)) == ("O", "B-x", "I-x")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_dataset(str(path), TAGS).examples[98].label == (0, 0)


def test_texts_that_repeat_are_counted(tmp_path: Path) -> None:
    train = tsv(tmp_path, "train.tsv", [("a", "neg"), ("b", "pos"), ("a", "neg"), ("b", "neg"), ("", "pos")])
    training, _ = read_both(train, tsv(tmp_path, "eval.tsv", [("a", "neg"), ("d", "pos")]), TASK)
    assert [(note.text.removeprefix(f"{train}: "), note.warning) for note in training.notes] == [
        ("1 of 5 texts are empty", True),
        ("2 of 5 examples repeat an earlier text", False),
        (
            "1 texts stand in it with different labels: if a text may have several, write them in one row, joined by a "
            "comma",
            True,
        ),
        ("1 of 2 evaluation examples also stand in the training data", True),
    ]


def test_evaluation_data_from_the_training_data_are_warned_of_with_the_consequence(tmp_path: Path) -> None:
    rows = [(f"text {number}", ("neg", "pos")[number % 2]) for number in range(12)]
    training, _ = read_both(tsv(tmp_path, "train.tsv", rows), tsv(tmp_path, "eval.tsv", rows[:10]), TASK)
    (said,) = [note.text for note in training.notes if "evaluation" in note.text]
    assert said.startswith("10 of 10 evaluation examples also stand in the training data; ")
    assert said.endswith("a bundle's gate fails: give examples held out")


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


def test_names_that_no_integer_has_are_refused(tmp_path: Path) -> None:
    scored = tsv(tmp_path, "scores.tsv", [("a", "1"), ("b", "0")])
    score = Task("text-classification", ("score",), problem="regression")
    with pytest.raises(InputError, match=r"--labels names integer labels, and .*scores\.tsv is read for its scores"):
        read_dataset(scored, score, Columns(names=("x", "y")))
    (tmp_path / "flags.tsv").write_text("text\ttoxic\trude\na\t1\t1\nb\t0\t1\n")
    sets = Task("text-classification", ("toxic", "rude"), problem="multi_label_classification")
    assert len(read_dataset(str(tmp_path / "flags.tsv"), sets).examples) == 2
    with pytest.raises(InputError, match=r"has a column for each label, whose names count \(toxic, rude\): leave"):
        read_dataset(str(tmp_path / "flags.tsv"), sets, Columns(names=("x", "y")))


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
