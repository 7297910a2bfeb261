"""The linear model of labels: its file and bytes, pairs, absent labels, tagging; its gate check and its record."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgepack.bundle.linear import ENOUGH, compared
from edgepack.bundle.manifest import LinearRecord, MetricRecord
from edgepack.bundle.verdict import Verdict
from edgepack.errors import InputError, MissingDependency
from edgepack.evidence.linear.features import Features
from edgepack.evidence.linear.measure import measure_linear
from edgepack.evidence.linear.model import read_linear
from edgepack.evidence.linear.training import MOST_BUCKETS, bucket_count, fills_no_more, train_linear
from edgepack.evidence.linear_check import gain_interval, linear_check, linear_faults
from edgepack.evidence.policy import Policy
from edgepack.machine.extras import missing_package
from edgepack.task.dataset import Dataset, Example
from edgepack.task.task import Task

FILLERS = ("please", "now", "could", "you", "just", "the", "my", "a", "some", "very")
KEYS = {"light": ("lamp", "bright"), "music": ("song", "tune"), "time": ("clock", "hour")}
TASK = Task("text-classification", tuple(KEYS))


def texts(count: int, seed: int, labels: Sequence[str] = tuple(KEYS)) -> Dataset:
    """Texts that one of their words decides."""
    generator = np.random.default_rng(seed)
    examples = []
    for i in range(count):
        label = labels[i % len(labels)]
        words = [*generator.choice(FILLERS, 4), generator.choice(KEYS[label])]
        examples.append(Example(" ".join(generator.permutation(words)), None, None, list(KEYS).index(label)))
    return Dataset(tuple(examples), "made", "")


TRAIN, EVALUATION = texts(240, 0), texts(60, 1)


def test_it_learns_and_ships_what_its_record_says() -> None:
    result = measure_linear(TRAIN, EVALUATION, TASK, 20_000)
    assert result.record is not None
    assert result.right is not None
    assert result.record.metric.value == 1.0
    assert result.record.bytes == len(result.data) <= 20_000
    assert result.record.metric.n == len(result.right) == 60
    assert "on the labels of 240 training examples" in result.record.trained


def test_the_file_is_the_same_for_the_same_seed_and_read_back_as_it_was_written() -> None:
    one, again = (train_linear(TRAIN, TASK, 20_000, seed=3) for _ in range(2))
    assert one[0].to_bytes() == again[0].to_bytes()
    assert one[1] == again[1]
    back = read_linear(one[0].to_bytes())
    assert back.features == one[0].features
    assert np.array_equal(back.logits(EVALUATION.examples), one[0].logits(EVALUATION.examples))


@pytest.mark.parametrize("budget", [500, 2_000, 8_000, 100_000])
def test_its_bytes_are_within_the_budget(budget: int) -> None:
    model, _ = train_linear(TRAIN, TASK, budget)
    assert len(model.to_bytes()) <= budget


def test_a_budget_that_holds_no_model_is_a_reason() -> None:
    result = measure_linear(TRAIN, EVALUATION, TASK, 40)
    assert result.record is None
    assert result.reason == "none: no linear model of 3 labels fits in 40 bytes"


def test_two_labels_share_a_column() -> None:
    task = Task("text-classification", ("light", "music"))
    model, _ = train_linear(texts(200, 0, task.labels), task, 50_000)
    assert model.weights.shape[0] == 1
    logits = model.logits(texts(40, 1, task.labels).examples)
    assert logits.argmax(axis=1).tolist() == [0, 1] * 20


def test_a_label_that_training_lacks_is_never_answered() -> None:
    model, _ = train_linear(texts(200, 0, ("light", "time")), TASK, 50_000)
    logits = model.logits(EVALUATION.examples)
    assert set(logits.argmax(axis=1)) == {0, 2}
    assert np.isneginf(logits[:, 1]).all()


def test_training_data_of_one_label_are_a_reason() -> None:
    result = measure_linear(texts(30, 0, ("time",)), EVALUATION, TASK, 50_000)
    assert result.record is None
    assert "all training examples are time" in result.reason


def test_pairs_are_told_apart_by_what_one_text_alone_has() -> None:
    """The same two texts, the other way round, have the other label: no bag of both texts' words can tell."""
    generator = np.random.default_rng(0)
    examples = []
    for _ in range(150):
        words = " ".join(generator.choice(FILLERS, 4))
        examples += [
            Example(f"{words} lamp", f"{words} song", None, 0),
            Example(f"{words} song", f"{words} lamp", None, 1),
        ]
    task = Task("text-classification", ("down", "up"), pair=True)
    found = measure_linear(
        Dataset(tuple(examples[:240]), "a", ""), Dataset(tuple(examples[240:]), "b", ""), task, 50_000
    )
    assert found.record is not None
    assert found.record.metric.value == 1.0
    assert "both texts have" in found.record.features


def test_a_row_has_the_length_one_and_an_empty_text_none() -> None:
    rows = Features(2**12, True, False).rows(
        [Example(text, None, None, 0) for text in ("a lamp", "a lamp a lamp", " ")]
    )
    assert np.asarray(rows.power(2).sum(axis=1)).ravel() == pytest.approx([1, 1, 0])


def test_more_budget_gives_the_same_file_once_there_are_buckets_enough() -> None:
    assert bucket_count(2, 10**9) == MOST_BUCKETS
    small, large = (train_linear(TRAIN, TASK, budget)[0].to_bytes() for budget in (400_000, 4_000_000))
    assert fills_no_more(small, 4_000_000)
    assert small == large
    assert not fills_no_more(train_linear(TRAIN, TASK, 2_000)[0].to_bytes(), 4_000_000)


def test_a_missing_package_is_named_as_pip_knows_it() -> None:
    found = missing_package(ModuleNotFoundError("no", name="sklearn.svm"), "training")
    assert isinstance(found, MissingDependency)
    assert "needs scikit-learn" in str(found)


def test_nothing_of_scikit_learn_is_imported_by_what_reads_the_record() -> None:
    code = (
        "import sys, edgepack.evidence.gate, edgepack.report, edgepack.bundle.linear, edgepack.predict\n"
        "sys.exit(','.join(m for m in ('sklearn', 'scipy', 'torch') if m in sys.modules) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def record(counts: list[int], size_bytes: int = 600_000) -> LinearRecord:
    n = sum(counts)
    value = (counts[0] + counts[2]) / n
    metric = MetricRecord(name="accuracy", value=value, n=n, low=max(0, value - 0.05), high=min(1, value + 0.05))
    return LinearRecord(bytes=size_bytes, metric=metric, features="n-grams", trained="so", counts=counts)


def verdict(linear: LinearRecord | None, **parts: Any) -> Verdict:
    metrics = {}
    if linear is not None and linear.counts:
        value = (linear.counts[0] + linear.counts[1]) / sum(linear.counts)
        metrics["artifact"] = MetricRecord(name="accuracy", value=value, n=sum(linear.counts), low=0, high=1)
    known = {"target": "android-onnx", "passed": True, "checks": [], "metrics": metrics, "linear": linear}
    return Verdict.model_validate({**known, "shipped_bytes": 1, "budget_bytes": 1, **parts})


@pytest.mark.parametrize(
    ("counts", "least", "status"),
    [
        ([800, 100, 20, 80], 0.05, "passed"),
        ([800, 100, 20, 80], 0.08, "undecided"),
        ([800, 100, 20, 80], 0.12, "failed"),
        ([900, 0, 0, 100], 0.0, "undecided"),  # alike: nothing is gained, and nothing lost
        ([800, 20, 100, 80], 0.0, "failed"),
    ],
)
def test_the_gate_decides_by_the_whole_interval(counts: list[int], least: float, status: str) -> None:
    check = linear_check(verdict(record(counts)), Policy(min_gain_over_linear=least), least)
    assert (check.name, check.status) == ("linear", status), check.reason


def test_the_interval_is_agresti_and_mins() -> None:
    """By hand: 10.5 and 2.5 of 102."""
    low, high = gain_interval(record([70, 10, 2, 18]), 0.95)
    gain = 8 / 102
    half = 1.959964 * ((13 / 102 - gain**2) / 102) ** 0.5
    assert (low, high) == pytest.approx((gain - half, gain + half), abs=1e-6)


def test_a_wider_confidence_decides_less() -> None:
    found = verdict(record([800, 100, 20, 80]))
    statuses = [linear_check(found, Policy(confidence=c), 0.06).status for c in (0.8, 0.99)]
    assert statuses == ["passed", "undecided"]


@pytest.mark.parametrize(
    ("linear", "said"), [(None, "holds no linear model"), (record([1, 1, 1, 1]), "was not compared")]
)
def test_without_counts_nothing_ran(linear: LinearRecord | None, said: str) -> None:
    bare = None if linear is None else linear.model_copy(update={"counts": []})
    check = linear_check(verdict(bare), Policy(), 0.0)
    assert check.status == "not_run"
    assert said in check.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"counts": [1, 2, 3]}, "not four of 1000 examples"),
        ({"counts": [820, 100, 0, 81]}, "not four of 1000 examples"),
        ({"counts": [801, 100, 20, 79]}, "the linear model 821 right"),
        ({"counts": [780, 120, 40, 60]}, None),
        ({"counts": [800, 99, 20, 81]}, "the artifact 899 right"),
        ({"bytes": 0}, "no bytes"),
        ({"metric": MetricRecord(name="accuracy", value=0.82, n=1000, low=0.9, high=1)}, "not inside its interval"),
    ],
)
def test_a_record_that_contradicts_itself_is_a_fault(changes: dict[str, Any], said: str | None) -> None:
    good = verdict(record([800, 100, 20, 80]))
    assert good.linear is not None
    assert linear_faults(good) == []
    faults = linear_faults(good.model_copy(update={"linear": good.linear.model_copy(update=changes)}))
    assert (faults == []) if said is None else any(said in fault for fault in faults)


def test_where_it_wins_the_line_says_so() -> None:
    linear = record([850, 57, 59, 34])
    metric = MetricRecord(name="accuracy", value=0.907, n=1000, low=0.88, high=0.92)
    assert compared(linear, metric) == (
        f"a linear model of 600.0 kB reaches accuracy 0.9090, more than the student's 0.9070: {ENOUGH}"
    )
    assert ENOUGH in compared(linear, metric.model_copy(update={"value": 0.909}))
    better = compared(linear, metric.model_copy(update={"value": 0.95}), "this model")
    assert better.endswith("4.10 points less than this model's 0.9500")
    assert compared(linear, None).endswith("reaches accuracy 0.9090")


def test_the_policy_refuses_what_is_no_share() -> None:
    with pytest.raises(ValueError, match="less than or equal to 1"):
        Policy(min_gain_over_linear=2.0)
    with pytest.raises(InputError, match="two labels"):
        train_linear(texts(10, 0, ("time",)), TASK, 50_000)
