"""Micro F1 of label sets against scikit-learn, thresholds against all that there are, probabilities against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, rel_entr
from sklearn.metrics import f1_score

from edgepack.errors import InputError
from edgepack.task.encoded import Encoded
from edgepack.task.label_f1 import LEAST_OWN, LabelF1, find_thresholds
from edgepack.task.probabilities import label_divergences, sigmoid
from edgepack.task.task import Task

LABELS = ("a", "b", "c")
SETS = "multi_label_classification"


def encoded(labels: np.ndarray) -> Encoded:
    n = len(labels)
    return Encoded(np.zeros(n, np.int32), np.zeros(n, np.int8), np.arange(n + 1), labels.astype(np.int8))


@given(st.integers(0, 500))
def test_it_is_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    gold, logits = generator.random((30, 3)) < 0.3, generator.normal(size=(30, 3))
    thresholds = (0.3, 0.5, 0.7)
    task = Task("text-classification", LABELS, problem=SETS, thresholds=thresholds)
    data = encoded(gold)
    expected = f1_score(gold, expit(logits) >= thresholds, average="micro", zero_division=0)
    assert task.score(logits, data) == pytest.approx(expected)
    assert data.scored.all()
    assert not data.per_token


def test_sets_of_examples_as_rows() -> None:
    task = Task("text-classification", LABELS, problem=SETS)
    rows = task.label_rows([(), (0, 2), (1,)])
    assert rows.tolist() == [[0, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert [task.names(row) for row in rows] == [(), ("a", "c"), ("b",)]
    assert [task.shown(row) for row in rows] == ["none", "a, c", "b"]


def test_rows_of_sets_are_selected_and_batched() -> None:
    data = encoded(np.eye(3))
    assert data.select([2, 0]).labels.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert data.batch([1])["labels"].tolist() == [[0, 1, 0]]


@given(st.integers(0, 200))
def test_thresholds_are_the_best_there_are(seed: int) -> None:
    generator = np.random.default_rng(seed)
    gold = generator.random((60, 2)) < 0.5
    if (gold.sum(axis=0) < LEAST_OWN).any():
        return
    logits = np.round(2 * gold - 1 + generator.normal(size=gold.shape), 1)

    probabilities = sigmoid(logits)
    cuts = [np.append(0.01, np.unique(column) + 1e-6) for column in probabilities.T]
    answered = [column >= cut[:, None] for column, cut in zip(probabilities.T, cuts, strict=True)]  # (cuts, n)
    right = [(each & truth).sum(axis=1) for each, truth in zip(answered, gold.T, strict=True)]
    counts = [each.sum(axis=1) for each in answered]
    best = (2 * np.add.outer(*right) / (np.add.outer(*counts) + gold.sum())).max()
    found = probabilities >= find_thresholds(logits, gold)
    assert f1_score(gold, found, average="micro", zero_division=0) == pytest.approx(best)


def test_a_rare_label_takes_the_shared_threshold() -> None:
    generator = np.random.default_rng(0)
    gold = generator.random((400, 3)) < (0.4, 0.4, 0.01)
    found = find_thresholds(3 * gold - 2 + generator.normal(size=gold.shape), gold)
    only = find_thresholds(np.zeros((5, 3)), np.eye(5, 3))
    assert len(set(found[:2])) == 2
    assert found[2] not in found[:2] or len(set(found)) == 2
    assert only == (0.5, 0.5, 0.5)
    assert all(0 < each < 1 for each in found)


def test_the_best_constant_answer() -> None:
    gold = np.zeros((10, 3), np.int8)
    gold[:8, 1] = 1
    gold[:1, 0] = 1
    scoring = LabelF1(3)
    assert scoring.decide(scoring.constant(gold)[None]).tolist() == [[0, 1, 0]]


@given(st.integers(0, 200))
def test_divergence_is_the_sum_of_the_labels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    after, before = generator.normal(size=(2, 4, 3)) * 4
    p, q = expit(before), expit(after)
    expected = (rel_entr(p, q) + rel_entr(1 - p, 1 - q)).sum(axis=1)
    assert label_divergences(after, before) == pytest.approx(expected, abs=1e-9)
    assert label_divergences(after, after) == pytest.approx(0, abs=1e-12)


def test_far_logits_are_no_nan() -> None:
    far = np.array([[1e4, -1e4]])
    assert sigmoid(far).tolist() == [[1, 0]]
    assert np.isfinite(label_divergences(-far, far)).all()


@pytest.mark.parametrize("thresholds", [(0.5,), (0.5, 0.5, 1.0), (0.0, 0.5, 0.5)])
def test_thresholds_that_cannot_be_are_refused(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="thresholds for 3 labels"):
        Task("text-classification", LABELS, problem=SETS, thresholds=thresholds)


def test_other_tasks_have_none() -> None:
    with pytest.raises(InputError, match="thresholds for 3 labels"):
        Task("text-classification", LABELS, thresholds=(0.5, 0.5, 0.5))
    with pytest.raises(InputError, match="one tag for each word"):
        Task("token-classification", ("O", "B-x"), problem=SETS)
