"""Metrics against slow references, and intervals against scipy and the normal approximation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from edgepack.errors import InputError
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.intervals import metric_interval, retention
from edgepack.task.task import Task

TAGS = ("O", "B-a", "I-a", "B-b", "I-b")
TAGGING = Task("token-classification", TAGS)
SENTENCE = Task("text-classification", ("no", "yes"))


def encoded(labels: list[list[int]]) -> Encoded:
    """Token labels, each example between two special tokens."""
    padded = [[IGNORED, *row, IGNORED] for row in labels]
    flat = np.array([x for row in padded for x in row])
    zeros = np.zeros(len(flat), np.int32)
    return Encoded(zeros, zeros.astype(np.int8), np.cumsum([0, *map(len, padded)]), flat)


def logits_for(rows: list[list[int]], special: int = 1) -> np.ndarray:
    """Logits that decide for `rows`; special tokens decide for an entity, which must not count."""
    return np.eye(len(TAGS))[[x for row in rows for x in (special, *row, special)]]


def spans(tags: list[int]) -> set[tuple[int, int, str]]:
    """Entities by a left-to-right reading of the definition."""
    found, start, kind = set(), 0, ""
    for i, tag in enumerate([*(TAGS[t] for t in tags), "O"]):
        goes_on = tag.startswith("I") and tag[2:] == kind
        if kind and not goes_on:
            found.add((start, i, kind))
            kind = ""
        if tag != "O" and not goes_on:
            start, kind = i, tag[2:]
    return found


pairs = st.lists(
    st.integers(1, 8).flatmap(
        lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n) for _ in range(2)])
    ),
    min_size=1,
    max_size=6,
)


@given(pairs)
def test_entity_counts_match_a_slow_reading(rows: list[tuple[list[int], list[int]]]) -> None:
    gold, predicted = [r[0] for r in rows], [r[1] for r in rows]
    expected = [(len(spans(g) & spans(p)), len(spans(p)), len(spans(g))) for g, p in rows]
    assert TAGGING.statistics(logits_for(predicted), encoded(gold)).tolist() == [list(e) for e in expected]


@pytest.mark.parametrize(
    ("gold", "predicted", "counts"),
    [
        ("O I-a I-a", "O B-a I-a", (1, 1, 1)),  # an I- after O starts an entity
        ("B-a I-b", "B-a B-b", (2, 2, 2)),  # and so does one after another type
        ("B-a B-a", "B-a I-a", (0, 1, 2)),
        ("B-a I-a O", "B-a I-a I-a", (0, 1, 1)),  # same start, other end
        ("O O", "O O", (0, 0, 0)),
    ],
)
def test_entity_spans(gold: str, predicted: str, counts: tuple[int, int, int]) -> None:
    rows = [[TAGS.index(t) for t in text.split()] for text in (gold, predicted)]
    assert TAGGING.statistics(logits_for([rows[1]]), encoded([rows[0]])).tolist() == [list(counts)]


def test_an_entity_ends_with_its_example() -> None:
    labels = [[1], [2]]  # B-a | I-a: two entities, not one over both examples
    assert TAGGING.statistics(logits_for(labels), encoded(labels)).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_accuracy() -> None:
    data = Encoded(np.zeros(6, np.int32), np.zeros(6, np.int8), np.array([0, 2, 4, 6]), np.array([0, 1, 1]))
    counts = SENTENCE.statistics(np.array([[2.0, 1], [0, 1], [3, 1]]), data)
    assert counts.tolist() == [[1, 1], [1, 1], [0, 1]]
    assert SENTENCE.metric(counts) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="2 rows of logits for 3 labels"):
        SENTENCE.statistics(np.zeros((2, 2)), data)


def test_a_metric_takes_counts_with_leading_axes_and_is_0_where_undefined() -> None:
    sums = np.array([[[2, 4, 4], [0, 0, 0]], [[1, 1, 3], [5, 5, 5]]])
    counts = np.eye(4)[[[0, 1], [2, 3]]]
    assert TAGGING.scoring.value(sums.reshape(4, 3), counts).tolist() == [[0.5, 0.0], [0.5, 1.0]]


def test_interval_agrees_with_scipy_and_the_normal_approximation() -> None:
    correct = (np.random.default_rng(1).random(872) < 0.89).astype(np.int64)
    interval = metric_interval(np.stack([correct, np.ones(872, np.int64)], axis=1), SENTENCE)
    other = scipy_stats.bootstrap((correct,), np.mean, n_resamples=2_000, method="percentile", rng=0)
    error = 1.96 * np.sqrt(correct.mean() * (1 - correct.mean()) / 872)
    assert interval.value == correct.mean()
    assert interval.low == pytest.approx(other.confidence_interval.low, abs=0.002)
    assert interval.high == pytest.approx(other.confidence_interval.high, abs=0.002)
    assert interval.high - interval.low == pytest.approx(2 * error, rel=0.05)


def test_retention_is_paired() -> None:
    generator = np.random.default_rng(2)
    teacher = np.stack([generator.random(500) < 0.9, np.ones(500)], axis=1).astype(np.int64)
    student = teacher.copy()
    assert retention(student, teacher, SENTENCE) == retention(teacher, student, SENTENCE)
    assert retention(student, teacher, SENTENCE).low == 1.0
    student[np.flatnonzero(teacher[:, 0])[:10], 0] = 0
    paired = retention(student, teacher, SENTENCE)
    shuffled = retention(generator.permutation(student), teacher, SENTENCE)
    assert paired.value == shuffled.value == pytest.approx(1 - 10 / teacher[:, 0].sum())
    assert paired.high < 1.0
    assert shuffled.high - shuffled.low > 2 * (paired.high - paired.low)
    with pytest.raises(ValueError, match="different examples"):
        retention(student[1:], teacher, SENTENCE)


def test_intervals_repeat_with_their_seed() -> None:
    stats = np.random.default_rng(3).integers(0, 4, (60, 3))
    assert metric_interval(stats, TAGGING, 999) == metric_interval(stats, TAGGING, 999)
    assert metric_interval(stats, TAGGING, 999) != metric_interval(stats, TAGGING, 999, seed=1)


@pytest.mark.parametrize(
    ("name", "labels", "pair", "message"),
    [
        ("regression", ("a",), False, "task is 'regression'; allowed: text-classification, token-classification"),
        ("token-classification", ("O", "B-a", "b"), False, "label 'b' is no tag of BIO as 'O' is: a prefix and a type"),
        ("token-classification", ("LABEL_0", "LABEL_1"), False, "the tags have no names .LABEL_0 and so on."),
        ("token-classification", TAGS, True, "not a pair"),
    ],
)
def test_bad_tasks(name: str, labels: tuple[str, ...], pair: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Task(name, labels, pair)  # type: ignore[arg-type]
