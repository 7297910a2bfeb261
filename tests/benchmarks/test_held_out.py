"""Examples kept apart: whole ones, with everything of them gone from training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.held_out import hold_out, whole_examples, words_of
from edgepack.errors import InputError

WHOLES = [f"sentence {i} says\u2028something of its own" for i in range(20)]
PHRASES = [text.partition(" ")[2] for text in WHOLES]


def write(path: Path) -> list[str]:
    """Twenty sentences and a phrase of each."""
    texts = [*WHOLES, *PHRASES]
    if path.suffix == ".tsv":
        lines = ["label\tsentence", *(f"{i % 2}\t{text}" for i, text in enumerate(texts))]
    else:
        lines = [json.dumps({"tokens": text.split()}) for text in texts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


@pytest.mark.parametrize("name", ["data.tsv", "data.jsonl"])
def test_drawn_sentences_and_their_phrases_are_not_trained_on(tmp_path: Path, name: str) -> None:
    lines = write(tmp_path / name)
    header, examples = (lines[:1], lines[1:]) if name.endswith("tsv") else ([], lines)
    train, held = hold_out(tmp_path / name, 6, tmp_path / "out")
    left, out = (p.read_text(encoding="utf-8").removesuffix("\n").split("\n") for p in (train, held))
    assert left[: len(header)] == out[: len(header)] == header
    drawn = [examples.index(line) for line in out[len(header) :]]
    assert len(drawn) == 6
    assert drawn != list(range(6))
    assert max(drawn) < 20, "phrases are not drawn"
    assert left[len(header) :] == [
        line for i, line in enumerate(examples) if i not in drawn and i - len(WHOLES) not in drawn
    ]
    again = hold_out(tmp_path / name, 6, tmp_path / "again")
    assert again[1].read_bytes() == held.read_bytes()


@pytest.mark.parametrize("count", [0, 20])
def test_too_few_whole_examples_are_one_line(tmp_path: Path, count: int) -> None:
    write(tmp_path / "data.tsv")
    with pytest.raises(InputError, match="20 whole examples"):
        hold_out(tmp_path / "data.tsv", count, tmp_path / "out")


def test_of_equal_examples_the_first_is_whole() -> None:
    assert whole_examples([("a", "b"), ("b",), ("a", "b"), ("c",), ("a", "c")]) == [0, 4]


def test_a_pair_has_the_words_of_both_texts() -> None:
    assert words_of("a b\tc\tyes", ["sentence1\tsentence2\tlabel"]) == ("a", "b", "c")
