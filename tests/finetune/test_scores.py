"""Precision, recall and F1 by class: by hand, and as parts of the task's own metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.finetune.scores import class_scores
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.task import Task


def one_hot(decided: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[decided]


def encoded(labels: list[int], lengths: list[int]) -> Encoded:
    total = sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoded(np.ones(total, dtype=np.int32), np.zeros(total, dtype=np.int8), offsets, np.array(labels))


def test_classes_by_hand() -> None:
    task = Task("text-classification", ("a", "b", "c"))
    scores = class_scores(task, one_hot([0, 0, 1, 1, 0], 3), encoded([0, 0, 0, 1, 1], [2] * 5))
    assert [(s.label, s.n) for s in scores] == [("a", 3), ("b", 2), ("c", 0)]
    assert [(s.precision, s.recall) for s in scores] == [
        (pytest.approx(2 / 3), pytest.approx(2 / 3)),
        (0.5, 0.5),
        (0, 0),
    ]
    assert [s.f1 for s in scores] == [pytest.approx(2 / 3), 0.5, 0]


def test_entities_by_hand() -> None:
    """B-x I-x is one entity; with its end wrong it is none."""
    labels = ("O", "B-x", "I-x", "B-y", "I-y")
    gold = [IGNORED, 1, 2, 0, 3, IGNORED]
    scores = class_scores(Task("token-classification", labels), one_hot([0, 1, 0, 0, 3, 0], 5), encoded(gold, [6]))
    assert [(s.label, s.precision, s.recall, s.f1, s.n) for s in scores] == [("x", 0, 0, 0, 1), ("y", 1, 1, 1, 1)]


def test_tags_without_a_type() -> None:
    labels = ("O", "B", "I")
    scores = class_scores(Task("token-classification", labels), one_hot([1, 2, 0], 3), encoded([1, 2, 0], [3]))
    assert [(s.label, s.f1, s.n) for s in scores] == [("entity", 1, 1)]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 6)), min_size=2, max_size=60), st.integers(1, 9))
def test_the_types_add_up_to_the_metric(tags: list[tuple[int, int]], length: int) -> None:
    task = Task("token-classification", ("O", "B-x", "I-x", "B-y", "I-y", "B-z", "I-z"))
    lengths = [length] * (len(tags) // length) + ([len(tags) % length] if len(tags) % length else [])
    if len(lengths) == len(tags):  # one token each: labels would be read as the examples'
        lengths = [len(tags)]
    data = encoded([IGNORED if gold < 0 else gold for _, gold in tags], lengths)
    logits = one_hot([decided for decided, _ in tags], 7)
    hits, predicted, gold = task.statistics(logits, data).sum(axis=0).tolist()
    scores = class_scores(task, logits, data)
    assert sum(score.n for score in scores) == gold
    assert sum(score.recall * score.n for score in scores) == pytest.approx(hits)
    assert sum(score.recall * score.n / score.precision for score in scores if score.precision) <= predicted + 1e-9


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_the_classes_add_up_to_accuracy(rows: list[tuple[int, int]]) -> None:
    task = Task("text-classification", ("a", "b", "c", "d"))
    data, logits = encoded([gold for _, gold in rows], [2] * len(rows)), one_hot([decided for decided, _ in rows], 4)
    right, total = task.statistics(logits, data).sum(axis=0).tolist()
    scores = class_scores(task, logits, data)
    assert sum(score.n for score in scores) == total
    assert sum(score.recall * score.n for score in scores) == pytest.approx(right)
    for score in scores:
        mean = (score.precision + score.recall) / 2
        assert score.f1 == pytest.approx(score.precision * score.recall / mean if mean else 0)
