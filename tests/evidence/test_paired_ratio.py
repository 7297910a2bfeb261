"""The paired test of a ratio: by hand, against closed forms and scipy, and how often it is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy import stats as scipy_stats

from edgepack.evidence.paired_ratio import (
    PairedRows,
    PairedValues,
    normal_quantile,
    null_variance,
    paired_rows,
    paired_values,
    ratio_interval,
    ratio_of,
    refused,
    score,
)
from edgepack.task.task import Task

TEXT = Task("text-classification", ("no", "yes"))
TAGS = Task("token-classification", ("O", "B-x", "I-x"))

cells = st.tuples(*[st.integers(0, 60) for _ in range(4)]).filter(lambda c: c[0] + c[1] and c[0] + c[2])


def text_rows(both: int, artifact_alone: int, teacher_alone: int, neither: int) -> PairedRows:
    """Counts of examples by who is right."""
    kinds = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [both, artifact_alone, teacher_alone, neither], axis=0)
    ones = np.ones(len(kinds), np.int64)
    return paired_rows(np.stack([kinds[:, 0], ones], axis=1), np.stack([kinds[:, 1], ones], axis=1))


def text_values(*counts: int) -> PairedValues:
    return paired_values(text_rows(*counts), TEXT)


def tag_values(artifact: list[tuple[int, int]], teacher: list[tuple[int, int]], gold: list[int]) -> PairedValues:
    """From (right, predicted) of each sentence."""
    sides = [np.array([(*pair, n) for pair, n in zip(side, gold, strict=True)]) for side in (artifact, teacher)]
    return paired_values(paired_rows(*sides), TAGS)


def nam_blackwelder(counts: tuple[int, int, int, int], ratio: float) -> float:
    """Their variance of g under the hypothesis (2002, equations 4 to 6)."""
    both, alone, lost, neither = np.array(counts) / sum(counts)
    p1, p0 = both + alone, both + lost
    root = np.sqrt((p1 - ratio**2 * p0) ** 2 + 4 * ratio**2 * alone * lost)
    first = (-p1 + ratio**2 * (p0 + 2 * alone) + root) / (2 * ratio * (ratio + 1))
    return float(ratio * (first + ratio * first - (ratio - 1) * (1 - neither)))


def test_equal_rows_are_put_together() -> None:
    rows = text_rows(3, 1, 2, 1)
    assert rows.n == 7
    assert sorted(zip(rows.artifact[:, 0], rows.teacher[:, 0], rows.counts, strict=True)) == [
        (0, 0, 1), (0, 1, 2), (1, 0, 1), (1, 1, 3),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="different examples"):
        paired_rows(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="no examples"):
        paired_rows(np.ones((0, 2)), np.ones((0, 2)))


def test_rows_with_numbers_too_large_for_one_key_are_put_together_too() -> None:
    large = np.array([[2**31, 2**31, 2**31], [2**31, 2**31, 2**31], [1, 1, 1]])
    assert paired_rows(large, large).counts.tolist() == [1, 2]


@given(cells, st.floats(0.5, 1.5))
def test_for_accuracy_the_variance_is_nam_and_blackwelders(counts: tuple[int, int, int, int], ratio: float) -> None:
    expected = nam_blackwelder(counts, ratio)
    if expected > 1e-6:  # 0 at the measured ratio of two models that never differ
        assert null_variance(text_values(*counts), ratio) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_at_ratio_1_it_is_mcnemars_statistic() -> None:
    values = replace(text_values(80, 5, 15, 20), artifact_step=0.0, teacher_step=0.0)
    assert score(values, 1.0) ** 2 == pytest.approx((15 - 5) ** 2 / (15 + 5))
    corrected = text_values(80, 5, 15, 20)  # with half a step: (|b - c| - 1/2)² / (b + c)
    assert score(corrected, 1.0) ** 2 == pytest.approx((15 - 5 - 0.5) ** 2 / (15 + 5))
    assert score(corrected, 1.0) < 0


def test_the_variance_is_that_of_the_most_likely_distribution() -> None:
    """Maximum likelihood by scipy over the four cells, and over sentences with entities."""
    counts, ratio = (90, 4, 2, 6), 0.9

    def unlikely(p: np.ndarray) -> float:
        return -float(np.array(counts) @ np.log(p))

    g = np.array([1 - ratio, 1, -ratio, 0])
    held = [{"type": "eq", "fun": lambda p: p.sum() - 1}, {"type": "eq", "fun": lambda p: p @ g}]
    start = np.array([0.7, 0.02, 0.11, 0.17])
    found = optimize.minimize(unlikely, start, bounds=[(1e-9, 1)] * 4, constraints=held, options={"ftol": 1e-14})
    assert null_variance(text_values(*counts), ratio) == pytest.approx(found.x @ g**2, rel=1e-4)


def test_f1_by_hand() -> None:
    """Two sentences of the same entities, one of which the artifact has wrong: F1 1/2 of the teacher's."""
    values = tag_values([(1, 1), (0, 1)], [(1, 1), (1, 1)], [1, 1])
    assert ratio_of(values) == pytest.approx(0.5)
    assert sorted(values.artifact) == pytest.approx([0.0, 1.0])
    # a sentence with twice the entities counts twice, as one observation
    uneven = tag_values([(2, 2), (0, 1)], [(2, 2), (1, 1)], [2, 1])
    assert ratio_of(uneven) == pytest.approx(2 / 3)
    assert uneven.weights @ uneven.artifact == pytest.approx(2 / 3)


@pytest.mark.parametrize("n", [50, 160, 1_000])
def test_two_models_without_a_fault_have_an_honest_interval(n: int) -> None:
    """The exact binomial bound (scipy), not [1, 1]."""
    lower, upper = ratio_interval(text_values(n, 0, 0, 0), 0.95)
    assert lower == pytest.approx(scipy_stats.binomtest(n, n).proportion_ci(0.95, "exact").low)
    assert upper == pytest.approx(1 / lower)
    tags = tag_values([(1, 1)] * n, [(1, 1)] * n, [1] * n)
    assert ratio_interval(tags, 0.95)[0] == pytest.approx(lower)


def test_a_metric_below_1_leaves_fewer_examples_to_learn_from() -> None:
    perfect, half = (ratio_interval(text_values(both, 0, 0, 100 - both), 0.95) for both in (100, 50))
    assert half[0] == pytest.approx(ratio_interval(text_values(50, 0, 0, 0), 0.95)[0])
    assert half[0] < perfect[0]


@given(cells)
def test_the_interval_holds_the_ratio_and_is_the_mirror_image_of_the_other_way_round(
    counts: tuple[int, int, int, int],
) -> None:
    both, alone, lost, neither = counts
    values, mirrored = text_values(*counts), text_values(both, lost, alone, neither)
    lower, upper = ratio_interval(values, 0.95)
    assert lower <= ratio_of(values) <= upper
    back = ratio_interval(mirrored, 0.95)
    assert lower == pytest.approx(1 / back[1], rel=1e-3, abs=2e-4)


@given(cells, st.floats(0.6, 0.99))
def test_more_losses_or_more_confidence_never_raise_the_lower_end(
    counts: tuple[int, int, int, int], confidence: float
) -> None:
    both, alone, lost, neither = counts
    lower, upper = ratio_interval(text_values(*counts), confidence)
    if both:
        assert ratio_interval(text_values(both - 1, alone, lost + 1, neither), confidence)[0] <= lower + 1e-9
    wider = ratio_interval(text_values(*counts), confidence + (1 - confidence) / 2)
    assert wider[0] <= lower + 1e-9
    assert wider[1] >= upper - 1e-9


@given(cells, st.floats(0.3, 1.7))
def test_what_is_refused_is_what_the_interval_leaves_out(counts: tuple[int, int, int, int], ratio: float) -> None:
    values = text_values(*counts)
    lower, upper = ratio_interval(values, 0.95)
    if abs(ratio - lower) > 1e-6 and abs(ratio - upper) > 1e-6:
        expected = "as too low" if ratio < lower else "as too high" if ratio > upper else None
        assert refused(values, ratio, 0.95) == expected


def test_quantiles_are_scipys() -> None:
    assert normal_quantile(0.95) == pytest.approx(scipy_stats.norm.isf(0.025))


def test_at_the_margin_few_releases_pass() -> None:
    """The share that passes by chance, of 2,000 simulated ones: 2.5 % at most; a rule of point estimates has half."""
    generator = np.random.default_rng(0)
    passed = above = 0
    level, margin, disagreement = 0.9, 0.05, 0.12
    loss = margin * level
    shares = [level - (disagreement + loss) / 2, (disagreement - loss) / 2, (disagreement + loss) / 2]
    for counts in generator.multinomial(500, [*shares, 1 - sum(shares)], size=2_000):
        values = text_values(*counts)
        passed += refused(values, 1 - margin, 0.95) == "as too low"
        above += ratio_of(values) >= 1 - margin
    assert passed / 2_000 <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / 2_000)
    assert passed / 2_000 > 0.01  # and it does use its level
    assert above / 2_000 > 0.4
