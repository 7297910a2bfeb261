"""The held-out slice: whole groups of equal texts, classes in proportion, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.finetune.held_out import FEWEST_ROWS, MOST, held_out_count, split
from edgepack.task.examples import Example


def example(text: str, label: int | tuple[int, ...], pair: str | None = None) -> Example:
    return Example(text, pair, tuple(text.split()) if isinstance(label, tuple) else None, label)


TEXTS = st.tuples(st.sampled_from("abcdefghijklmno"), st.sampled_from(["", " ", "x"]), st.integers(0, 3))


@given(st.lists(TEXTS, min_size=1, max_size=120), st.floats(0, 0.5), st.integers(0, 9))
def test_every_split(rows: list[tuple[str, str, int]], share: float, seed: int) -> None:
    examples = [example(text + end, label) for text, end, label in rows]
    rest, held = split(examples, round(share * len(examples)), seed)
    assert sorted([*rest, *held]) == list(range(len(examples)))
    assert (np.diff(rest) > 0).all()
    assert (np.diff(held) > 0).all()
    sides = [{examples[i].text.strip() for i in side} for side in (rest, held)]
    assert not sides[0] & sides[1]
    first = {text.strip(): label for text, label in reversed([(e.text, e.label) for e in examples])}
    trained = {first[text] for text in sides[0]}
    assert trained == set(first.values())  # every class (of a text's first row) keeps a text to train on
    again = split(examples, round(share * len(examples)), seed)
    assert (again[0] == rest).all()


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_held_out_in_proportion(seed: int) -> None:
    examples = [example(f"{label} {i}", label) for label, count in enumerate((700, 200, 95, 5)) for i in range(count)]
    _, held = split(examples, 100, seed)
    counts = Counter(examples[i].label for i in held)
    assert [counts[0], counts[1]] == [70, 20]
    assert counts[2] in (9, 10)
    assert counts[3] in (0, 1)


def test_another_seed_holds_out_others() -> None:
    examples = [example(f"text {i}", i % 2) for i in range(200)]
    assert set(split(examples, 20, 0)[1]) != set(split(examples, 20, 1)[1])


def test_case_and_spaces_do_not_part_texts() -> None:
    examples = [example(text, i % 2) for i in range(60) for text in (f"Text {i}", f"text  {i} ")]
    rest, held = split(examples, 30, 0)
    assert {i // 2 for i in rest} & {i // 2 for i in held} == set()
    assert 20 <= len(held) <= 30


def test_pairs_and_tags() -> None:
    pairs = [example("same", i % 2, pair=f"other {i // 2}") for i in range(80)]
    rest, held = split(pairs, 10, 0)
    assert {pairs[i].pair for i in rest} & {pairs[i].pair for i in held} == set()
    assert len(held) > 0
    tagged = [example(f"word {i // 2}", (0, 1)) for i in range(80)]
    rest, held = split(tagged, 10, 0)
    assert {tagged[i].text for i in rest} & {tagged[i].text for i in held} == set()
    assert len(held) == 10


def test_a_class_of_one_text_is_trained_on() -> None:
    examples = [example("alone", 1), example("Alone", 1), *(example(f"text {i}", 0) for i in range(50))]
    for seed in range(20):
        assert {0, 1} <= set(split(examples, 25, seed)[0].tolist())


def test_how_many() -> None:
    assert [held_out_count(n) for n in (1, FEWEST_ROWS - 1, FEWEST_ROWS, 100, 250, 1_000, 10_003, 67_349)] == [
        *(0, 0, 8, 20, 50),
        *(100, 1_000, MOST),
    ]
    assert held_out_count(10, 0.5) == 5
    assert held_out_count(100_000, 0.5) == 50_000
    assert held_out_count(1_000, 0.0) == 0
