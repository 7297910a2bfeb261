"""Rows that are no examples of their labels, and texts that hold what a tokenizer or a data frame made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import InputError
from edgepack.task.examples import Columns, Dataset, read_dataset
from edgepack.task.task import Task

TASK = Task("text-classification", ("neg", "pos"))
PAIR = Task("text-classification", ("neg", "pos"), pair=True)
TAGS = Task("token-classification", ("O", "B-PER", "I-PER"))


def jsonl(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def warned(data: Dataset) -> str:
    return " | ".join(note.text for note in data.notes if note.warning)


def test_rows_that_an_annotator_refused_are_left_out(tmp_path: Path) -> None:
    answers = ("accept", "reject", "ignore", "accept")
    rows = [{"text": f"t{i}", "label": "pos", "answer": answer} for i, answer in enumerate(answers)]
    data = read_dataset(jsonl(tmp_path, rows), TASK)
    assert [example.text for example in data.examples] == ["t0", "t3"]
    assert "2 of 4 rows were rejected or ignored, as column 'answer' says: they are left out" in warned(data)
    spans = [{"text": "anna left", "spans": [[0, 4, "PER"]], "answer": answer} for answer in answers]
    assert len(read_dataset(jsonl(tmp_path, spans), TAGS)) == 2
    with pytest.raises(InputError, match="every row was rejected or ignored"):
        read_dataset(jsonl(tmp_path, rows[1:3]), TASK)


def test_a_column_called_answer_may_hold_something_else(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": "pos", "answer": answer} for i, answer in enumerate(("accept", "reject", "yes"))]
    assert len(read_dataset(jsonl(tmp_path, rows), TASK)) == 3
    pairs = [{"query": "q", "answer": answer, "label": "pos"} for answer in ("accept", "reject")]
    assert len(read_dataset(jsonl(tmp_path, pairs), PAIR)) == 2
    task = Task("text-classification", ("accept", "reject"))
    judged = [{"text": "t", "answer": answer} for answer in ("accept", "reject")]
    assert len(read_dataset(jsonl(tmp_path, judged), task, Columns(label="answer"))) == 2


def test_parts_of_the_data_in_one_file_are_said(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": "pos", "split": part} for i, part in enumerate(("train", "Test"))]
    data = read_dataset(jsonl(tmp_path, rows), TASK)
    assert len(data) == 2
    assert "column 'split' parts the rows (train, test), and all of them are read here" in warned(data)
    assert not warned(read_dataset(jsonl(tmp_path, rows[:1]), TASK))


@pytest.mark.parametrize(
    ("row", "task", "said"),
    [
        ({"text": "nan", "label": "pos"}, TASK, "1 of 2 texts are nan, as data frames write an empty cell"),
        ({"text": " ", "label": "pos"}, TASK, "1 of 2 texts are empty"),
        ({"text": "a", "text_pair": "", "label": "pos"}, PAIR, "1 of 2 second texts are empty"),
        ({"text": "a", "text_pair": "<NA>", "label": "pos"}, PAIR, "1 of 2 second texts are <NA>, as data frames"),
    ],
)
def test_texts_that_are_not_there_are_counted(tmp_path: Path, row: dict[str, str], task: Task, said: str) -> None:
    good = {**row, "text": "a", **({"text_pair": "b"} if "text_pair" in row else {})}
    assert said in warned(read_dataset(jsonl(tmp_path, [good, row]), task))


def test_what_a_tokenizer_made_of_texts_is_said(tmp_path: Path) -> None:
    rows = [{"text": f"[CLS] {word} [SEP]", "label": "pos"} for word in "ab"]
    assert "every text begins with [CLS], a tokenizer's special token" in warned(
        read_dataset(jsonl(tmp_path, rows), TASK)
    )
    assert not warned(read_dataset(jsonl(tmp_path, [*rows, {"text": "a", "label": "pos"}]), TASK))
    pieces = [{"tokens": ["an", "##na", "left"], "tags": ["B-PER", "I-PER", "O"]}] * 12
    assert "12 of its tokens are pieces of words, such as ##na" in warned(read_dataset(jsonl(tmp_path, pieces), TAGS))
    assert not warned(read_dataset(jsonl(tmp_path, pieces[:5]), TAGS))
