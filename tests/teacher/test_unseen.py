"""The record of what a teacher was not trained on: read back, bound to its weights, and one line where it is broken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import InputError
from edgepack.task.dataset import Example
from edgepack.teacher.files import UNSEEN
from edgepack.teacher.unseen import find_unseen, write_unseen

TEXTS = [Example(text, pair, None, 0) for text, pair in (("one", None), ("two", None), ("one", "two"), ("three", None))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_examples_are_found_by_their_texts(folder: Path) -> None:
    assert find_unseen(folder, TEXTS) is None
    write_unseen(folder, [TEXTS[0], TEXTS[2]])
    found = find_unseen(folder, TEXTS)
    assert found is not None
    assert found.tolist() == [0, 2]
    others = [
        Example("ONE ", None, None, 1),
        Example("four", None, None, 0),
        Example("one two", None, ("one", "two"), 0),
    ]
    other = find_unseen(folder, others)
    assert other is not None
    assert other.tolist() == [0, 2]  # words are texts, case and spaces are nothing, nor is the label
    assert "one" not in (folder / UNSEEN).read_text()


def test_a_record_of_other_weights_says_nothing(folder: Path) -> None:
    write_unseen(folder, TEXTS)
    (folder / "model.safetensors").write_bytes(b"trained on")
    assert find_unseen(folder, TEXTS) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "edgepack_unseen.json is not valid JSON"),
        ("[]", "edgepack_unseen.json is []; a JSON object is needed"),
        (json.dumps({"format": 2}), "edgepack_unseen.json has format 2, not 1; delete the file"),
        (json.dumps({"format": 1, "examples": "all"}), "no list of 16 hexadecimal digits each; delete the file"),
        (json.dumps({"format": 1, "examples": ["a" * 15]}), "no list of 16 hexadecimal digits each; delete the file"),
        (json.dumps({"format": 1, "examples": [7]}), "no list of 16 hexadecimal digits each; delete the file"),
    ],
)
def test_a_broken_record_is_one_line(content: str, said: str, folder: Path) -> None:
    (folder / UNSEEN).write_text(content)
    with pytest.raises(InputError) as refused:
        find_unseen(folder, TEXTS)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_record_of_an_empty_list_is_not_that_of_no_record(folder: Path) -> None:
    write_unseen(folder, [])
    found = find_unseen(folder, TEXTS)
    assert found is not None
    assert found.dtype == np.int64
    assert len(found) == 0
