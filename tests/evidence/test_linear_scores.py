"""The linear model of scores: ridge regression, rerankers, its gate check and what a verdict may say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgepack.bundle.manifest import LinearRecord, MetricRecord
from edgepack.bundle.verdict import Verdict
from edgepack.evidence.linear.measure import measure_linear
from edgepack.evidence.linear.model import read_linear
from edgepack.evidence.linear.ridge import PENALTIES, choose_penalty, fit_ridge
from edgepack.evidence.linear.training import train_linear
from edgepack.evidence.linear_check import gain_interval, gained, linear_check, linear_faults
from edgepack.evidence.noninferiority import recorded
from edgepack.evidence.paired_ratio import paired_rows
from edgepack.evidence.policy import Policy
from edgepack.evidence.validate import metric_record
from edgepack.task.dataset import Dataset, Example
from edgepack.task.task import Task

WORTH = {"bright": 2.0, "fine": 1.0, "plain": 0.0, "dull": -1.0, "awful": -2.0}
FILLERS = ("please", "now", "could", "you", "just", "the", "my", "a", "some", "very")
SCORE = Task("text-classification", ("score",), problem="regression")
PAIR = replace(SCORE, pair=True)
RANKING = replace(PAIR, ranks=True)


def texts(count: int, seed: int, pair: bool = False) -> Dataset:
    """Texts around 50 that their words decide; of pairs the second one's."""
    generator, examples = np.random.default_rng(seed), []
    for number in range(count):
        found = generator.choice(list(WORTH), 2)
        words = generator.permutation([*generator.choice(FILLERS, 4), *found])
        score, text = float(50 + 8 * sum(WORTH[word] for word in found)), " ".join(words)
        query = f"query {number // 5}"
        examples.append(Example(query if pair else text, text if pair else None, None, score))
    return Dataset(tuple(examples), "made", f"{seed}")


TRAIN, EVALUATION = texts(300, 0), texts(80, 1)


def test_it_learns_scores_in_their_units_and_ships_what_its_record_says() -> None:
    result = measure_linear(TRAIN, EVALUATION, SCORE, 20_000)
    assert result.record is not None
    assert (result.record.metric.name, result.record.metric.n) == ("pearson", 80)
    assert result.record.metric.value > 0.95  # a word that is there twice counts as one
    assert result.record.bytes == len(result.data) <= 20_000
    assert result.record.trained.startswith("ridge regression, penalty ")
    assert result.record.trained.endswith("on the scores of 300 training examples")
    assert result.right is not None
    truth = np.array([example.label for example in EVALUATION.examples])
    assert np.array_equal(result.right[:, 1], truth)
    assert np.abs(result.right[:, 0] - truth).mean() < 3
    assert np.array_equal(read_linear(result.data).logits(EVALUATION.examples)[:, 0], result.right[:, 0])


def test_the_same_data_and_seed_give_the_same_file() -> None:
    one, again = (train_linear(TRAIN, SCORE, 20_000, seed=3) for _ in range(2))
    assert one[0].to_bytes() == again[0].to_bytes()


@pytest.mark.parametrize("budget", [400, 2_000, 100_000])
def test_its_bytes_are_within_the_budget(budget: int) -> None:
    assert len(train_linear(TRAIN, SCORE, budget)[0].to_bytes()) <= budget


def test_what_cannot_be_learnt_is_a_reason() -> None:
    same = Dataset(tuple(example._replace(label=3.5) for example in TRAIN.examples), "x", "x")
    assert measure_linear(same, EVALUATION, SCORE, 20_000).reason == (
        "none: all training examples have the score 3.5; a linear model needs two scores"
    )
    assert measure_linear(TRAIN, EVALUATION, SCORE, 20).reason == "none: no linear model of scores fits in 20 bytes"


def test_a_teachers_sigmoid_does_not_bend_its_scores() -> None:
    one, other = (measure_linear(TRAIN, EVALUATION, task, 20_000) for task in (SCORE, sigmoid(SCORE)))
    assert one.record == other.record


def sigmoid(task: Task) -> Task:
    return replace(task, activation="sigmoid")


def test_candidates_are_ranked_query_by_query() -> None:
    result = measure_linear(texts(300, 0, pair=True), texts(80, 1, pair=True), RANKING, 50_000)
    assert result.record is not None
    assert result.record.metric.name == "ndcg_at_10"
    assert result.record.metric.value > 0.98
    assert result.right is not None
    assert result.right[:, 1].tolist() == [1.0] * 16


def test_likeness_of_a_pair_is_learnt_from_what_both_have() -> None:
    generator, examples = np.random.default_rng(0), []
    words = [f"w{number}" for number in range(400)]
    for _ in range(500):
        first, shared = generator.choice(words, 10, replace=False), int(generator.integers(0, 11))
        second = [*first[:shared], *generator.choice(words, 10 - shared)]
        examples.append(Example(" ".join(first), " ".join(generator.permutation(second)), None, float(shared)))
    data = Dataset(tuple(examples[:400]), "a", "a"), Dataset(tuple(examples[400:]), "b", "b")
    found = measure_linear(*data, PAIR, 100_000)
    assert found.record is not None
    assert found.record.metric.value > 0.9


def test_ridge_regression_is_the_closed_form() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    generator = np.random.default_rng(0)
    dense = generator.random((60, 12)) * (generator.random((60, 12)) < 0.5)
    scores = 100 + 20 * dense @ generator.normal(size=12) + generator.normal(size=60)
    weights, intercept = fit_ridge(sparse.csr_matrix(dense), scores, 3.0)
    centred = dense - dense.mean(axis=0)
    expected = np.linalg.solve(centred.T @ centred + 3.0 * np.eye(12), centred.T @ (scores - scores.mean()))
    assert weights == pytest.approx(expected, abs=0.05)
    assert intercept == pytest.approx(scores.mean() - dense.mean(axis=0) @ expected, abs=0.2)


def test_the_penalty_is_the_one_that_noise_asks_for() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    generator = np.random.default_rng(0)
    rows = sparse.csr_matrix(generator.normal(size=(200, 40)) / np.sqrt(40))
    clean = np.asarray(rows @ generator.normal(size=40))
    assert choose_penalty(rows, clean, 0) == PENALTIES[0]
    assert choose_penalty(rows, generator.normal(size=200), 0) == PENALTIES[-1]
    assert choose_penalty(rows[:5], clean[:5], 0) == 1.0  # nothing can be held out


def record(own: float, other: float, n: int = 400, task: Task = SCORE) -> LinearRecord:
    """An artifact and a linear model that miss the truth by noise of these sizes."""
    generator = np.random.default_rng(0)
    truth = generator.normal(size=n)
    sides = [np.stack([truth + size * generator.normal(size=n), truth], axis=1) for size in (own, other)]
    rows = paired_rows(*sides)
    metric = metric_record(sides[1], task)
    return LinearRecord(bytes=9, metric=metric, features="n-grams", trained="so", rows=recorded(rows))


def verdict(linear: LinearRecord, **changes: Any) -> Verdict:
    side = np.array(linear.rows)[:, :2]
    known = {
        "target": "android-onnx",
        "passed": True,
        "checks": [],
        "metrics": {"artifact": metric_record(side, SCORE)},
    }
    return Verdict.model_validate({**known, "linear": linear, "shipped_bytes": 1, "budget_bytes": 1, **changes})


@pytest.mark.parametrize(
    ("own", "other", "status"), [(0.3, 1.0, "passed"), (0.62, 0.7, "undecided"), (1.0, 0.3, "failed")]
)
def test_the_gate_decides_by_the_whole_interval(own: float, other: float, status: str) -> None:
    found = record(own, other)
    check = linear_check(verdict(found), Policy(min_gain_over_linear=0.05), 0.05)
    assert (check.name, check.status) == ("linear", status), check.reason
    low, high = gain_interval(found, 0.95)
    n, gain = gained(found)
    assert n == 400
    assert low < gain < high


def test_a_true_record_is_no_fault_and_survives_json() -> None:
    good = verdict(record(0.3, 1.0))
    assert linear_faults(good) == []
    again = Verdict.model_validate_json(good.model_dump_json())
    assert linear_faults(again) == []
    assert again.linear == good.linear


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": [[0.5, 1.0, 0.5, 2.0, 1]]}, "not those of two models"),
        ({"rows": [[0.5, 1.0, 0.5, 1.0]]}, "not of 5 numbers"),
        ({"rows": [[0.5, 1.0, float("nan"), 1.0, 1]]}, "not below"),
        ({"counts": [1, 1, 1, 1]}, "counts and rows"),
        ({"metric": MetricRecord(name="rmse", value=0.5, n=400, low=0.4, high=0.6)}, "the linear model's metric is"),
        (
            {"metric": MetricRecord(name="pearson", value=0.5, n=400, low=0.4, high=0.6)},
            "the linear model another metric",
        ),
    ],
)
def test_a_record_that_cannot_be_is_a_fault(change: dict[str, Any], said: str) -> None:
    good = record(0.3, 1.0)
    faults = linear_faults(verdict(good).model_copy(update={"linear": good.model_copy(update=change)}))
    assert any(said in fault for fault in faults), faults


def test_other_scores_than_the_artifacts_are_a_fault() -> None:
    good = record(0.3, 1.0)
    rows = [[row[0] + (index % 2), *row[1:]] for index, row in enumerate(good.rows)]
    faults = linear_faults(verdict(good).model_copy(update={"linear": good.model_copy(update={"rows": rows})}))
    assert faults == ["the linear model's rows give the artifact another metric than is recorded"]
