"""The paired test of two correlations, and of two rankings: how often it is wrong, constants, hostile rows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from edgepack.errors import InputError
from edgepack.evidence.noninferiority import decide, judge_retention, rows_of
from edgepack.evidence.paired_ratio import (
    PairedRows,
    difference_interval,
    differences,
    null_variance,
    paired_rows,
    paired_values,
    ratio_interval,
    ratio_of,
    score,
)
from edgepack.task.task import Task

SCORE = Task("text-classification", ("score",), problem="regression")
RANKING = Task("text-classification", ("score",), pair=True, problem="regression", ranks=True)


def drawn(generator: np.random.Generator, n: int, teacher: float, kept: float, alike: float) -> PairedRows:
    """Scores that correlate: the teacher's with the truth, the artifact's `kept` times as much, both with each other.

    Truth has six values, as annotators give them.
    """
    own = kept * teacher
    correlations = np.array([[1, teacher, own], [teacher, 1, alike], [own, alike, 1]])
    latent = generator.normal(size=(n, 3)) @ np.linalg.cholesky(correlations).T
    truth = latent[:, 0]
    return paired_rows(*(np.stack([latent[:, i], truth], axis=1) for i in (2, 1)))


def rankings(generator: np.random.Generator, queries: int, kept: float, differing: float) -> PairedRows:
    """nDCG of each query by both models: the teacher's 0.75 on average, the artifact's `kept` times that."""
    gains = np.array([0.0, 0.3869, 0.5, 0.6309, 1.0])
    shares = np.array([0.08, 0.12, 0.1, 0.2, 0.5])
    shares /= shares.sum()
    teacher = generator.choice(gains, size=queries, p=shares)
    mean = float(gains @ shares)
    low = generator.choice(gains, size=queries, p=shares) * (1 - (1 - kept) / differing)
    artifact = np.where(generator.random(queries) < differing, low, teacher)
    assert 0 < mean < 1
    ones = np.ones(queries)
    return paired_rows(np.stack([artifact, ones], axis=1), np.stack([teacher, ones], axis=1))


@pytest.mark.parametrize(("n", "teacher", "alike"), [(60, 0.6, 0.8), (60, 0.9, 0.95), (300, 0.9, 0.97)])
def test_a_regressor_at_the_margin_seldom_passes(n: int, teacher: float, alike: float) -> None:
    generator, margin, releases = np.random.default_rng(n), 0.05, 500
    passed = sum(
        decide(paired_values(drawn(generator, n, teacher, 1 - margin, alike), SCORE), 1 - margin, 0.95) == "passed"
        for _ in range(releases)
    )
    assert passed <= 0.05 * releases  # 0.025 is the level; of 500, more than 25 are 3.5 standard errors above it


def test_scores_far_out_leave_few_degrees_of_freedom() -> None:
    """Of the two scales the one nearer to 0 counts, each as Student's t by the kurtosis of its values."""
    generator, limit = np.random.default_rng(6), 0.95
    rows, tails = drawn(generator, 150, 0.85, 1.0, 0.95), np.sqrt(4 / generator.chisquare(4, (150, 1)))
    values = paired_values(paired_rows(rows.artifact * tails, rows.teacher * tails), SCORE)
    found = []
    for scale in (values, replace(values, correlations=False)):
        g = differences(scale, limit)
        t = float(g.mean()) * math.sqrt(150 / null_variance(scale, limit))
        freedom = 2 * 150 / (stats.kurtosis(g, fisher=False) - 1)
        assert freedom < 40
        found.append(float(stats.norm.isf(stats.t.sf(t, freedom))))
    assert score(values, limit) == pytest.approx(min(found, key=abs), abs=0.01)


def test_the_difference_of_two_correlations_has_students_interval() -> None:
    generator = np.random.default_rng(7)
    rows, tails = drawn(generator, 120, 0.8, 0.9, 0.9), np.sqrt(4 / generator.chisquare(4, (120, 1)))
    wide, plain = (paired_rows(rows.artifact * each, rows.teacher * each) for each in (tails, 1.0))
    for each in (wide, plain):
        terms = SCORE.scoring.terms(each.artifact, each.counts) - SCORE.scoring.terms(each.teacher, each.counts)
        reach = float(stats.t.isf(0.025, 2 * 120 / (stats.kurtosis(terms, fisher=False) - 1)))
        assert reach > 1.97
        low, high = difference_interval(each, SCORE, 0.95)
        assert (low + high) / 2 == pytest.approx(SCORE.metric(each.artifact) - SCORE.metric(each.teacher))
        assert (high - low) / 2 == pytest.approx(reach * terms.std() / math.sqrt(120), rel=0.01)


def test_a_ranking_at_the_margin_seldom_passes() -> None:
    generator, margin, releases = np.random.default_rng(5), 0.05, 500
    passed = sum(
        decide(paired_values(rankings(generator, 200, 1 - margin, 0.4), RANKING), 1 - margin, 0.95) == "passed"
        for _ in range(releases)
    )
    assert passed <= 0.05 * releases


def test_a_good_regressor_passes_and_a_degraded_one_fails() -> None:
    generator = np.random.default_rng(0)
    good, bad = (judge_retention(drawn(generator, 1_500, 0.88, kept, 0.9), SCORE, 0.05, 0.95) for kept in (1.0, 0.85))
    assert (good.decision, bad.decision) == ("passed", "failed")
    assert good.lower > 0.95 > bad.upper
    assert good.lower < good.value < good.upper


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator, held = np.random.default_rng(1), 0
    for _ in range(60):
        low, high = ratio_interval(paired_values(drawn(generator, 200, 0.85, 0.97, 0.93), SCORE), 0.95)
        held += low <= 0.97 <= high
    assert 0.85 <= held / 60 <= 1


@pytest.mark.parametrize("constant", [0.0, 2.5, -1e6])
def test_a_constant_artifact_keeps_nothing(constant: float) -> None:
    truth = np.linspace(0, 5, 100)
    teacher = np.stack([truth + np.sin(truth * 9), truth], axis=1)
    found = judge_retention(paired_rows(np.stack([np.full(100, constant), truth], axis=1), teacher), SCORE, 0.05, 0.95)
    assert (found.decision, found.value, found.lower) == ("failed", 0.0, 0.0)


def test_a_turned_scale_keeps_nothing() -> None:
    truth = np.linspace(0, 5, 100)
    teacher = np.stack([truth + np.sin(truth * 9), truth], axis=1)
    found = judge_retention(paired_rows(teacher * [-1, 1], teacher), SCORE, 0.05, 0.95)
    assert (found.decision, found.value, found.lower) == ("failed", 0.0, 0.0)


def test_a_constant_teacher_is_nothing_to_keep() -> None:
    truth = np.linspace(0, 5, 100)
    teacher = np.stack([np.full(100, 2.0), truth], axis=1)
    found = judge_retention(paired_rows(np.stack([truth, truth], axis=1), teacher), SCORE, 0.05, 0.95)
    assert (found.decision, found.value) == ("failed", 0.0)


def test_two_equal_models_have_an_interval_around_1() -> None:
    rows = drawn(np.random.default_rng(2), 80, 0.8, 1.0, 0.9)
    values = paired_values(PairedRows(rows.teacher, rows.teacher, rows.counts), SCORE)
    low, high = ratio_interval(values, 0.95)
    assert ratio_of(values) == pytest.approx(1)
    assert 0.85 < low < 1 < high < 1.15


def test_a_perfect_model_has_an_interval_too() -> None:
    truth = np.linspace(0, 5, 50)
    same = np.stack([truth, truth], axis=1)
    found = judge_retention(paired_rows(same, same), SCORE, 0.05, 0.95)
    assert math.isfinite(found.lower)
    assert found.value == pytest.approx(1)


def test_recorded_rows_give_the_decision_again() -> None:
    found = judge_retention(drawn(np.random.default_rng(3), 120, 0.8, 1.0, 0.9), SCORE, 0.05, 0.95)
    again = judge_retention(rows_of(found, SCORE), SCORE, 0.05, 0.95)
    assert again == found
    read = type(found).model_validate_json(found.model_dump_json())
    assert rows_of(read, SCORE).artifact.tolist() == rows_of(found, SCORE).artifact.tolist()


GOOD = [0.5, 1.0, 0.7, 1.0, 1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([0.5, 1.0, 0.7, 1.0], "not of 5 numbers"),
        ([math.nan, 1.0, 0.7, 1.0, 1], "not below"),
        ([math.inf, 1.0, 0.7, 1.0, 1], "not below"),
        ([-math.inf, 1.0, 0.7, 1.0, 1], "not below"),
        ([0.5, 1e300, 0.7, 1e300, 1], "not below"),
        ([0.5, 1.0, 0.7, 2.0, 1], "not those of two models"),
        ([0.5, 1.0, 0.7, 1.0, 0.5], "whole numbers"),
        ([0.5, 1.0, 0.7, 1.0, -1], "whole numbers"),
        ([0.5, 1.0, 0.7, 1.0, 0], "not those of two models"),
        ([0.5, 1.0, 0.7, 1.0, 10**400], "not below"),
    ],
)
def test_rows_that_no_two_models_have_are_refused(row: list[Any], said: str) -> None:
    found = judge_retention(drawn(np.random.default_rng(4), 20, 0.8, 1.0, 0.9), SCORE, 0.05, 0.95)
    with pytest.raises(InputError, match=said):
        rows_of(found.model_copy(update={"rows": [GOOD, row]}), SCORE)


@pytest.mark.parametrize("row", [[0.5, 1, 1, 1, 1], [1, 1, -1, 1, 1]])
def test_counts_of_other_tasks_are_still_whole_numbers(row: list[Any]) -> None:
    task = Task("text-classification", ("no", "yes"))
    right = np.stack([np.arange(20) % 2, np.ones(20, np.int64)], axis=1)
    found = judge_retention(paired_rows(right, right), task, 0.05, 0.95)
    with pytest.raises(InputError, match="whole numbers"):
        rows_of(found.model_copy(update={"rows": [row]}), task)
