"""An interval over seeds: one seed's own, never narrower than the seeds', and as often right as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgepack.sweep.seeds import over_seeds, seeds_part
from edgepack.task.intervals import Interval


def test_one_seed_has_its_own_interval() -> None:
    found = over_seeds([Interval(0.97, 0.95, 0.98)])
    assert (found.value, found.low, found.high) == pytest.approx((0.97, 0.95, 0.98))
    with pytest.raises(ValueError, match="no seeds"):
        over_seeds([])


def test_what_seeds_change_is_students_t_and_examples_are_added() -> None:
    values = [0.96, 0.97, 0.99]
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert seeds_part(values) == pytest.approx((expected.high - expected.low) / 2)
    exact = over_seeds([Interval(value, value, value) for value in values])
    assert (exact.low, exact.high) == pytest.approx((expected.low, expected.high))
    same = over_seeds([Interval(0.97, 0.96, 0.985)] * 3)
    assert (same.low, same.high) == pytest.approx((0.96, 0.985))  # more seeds tell nothing of other examples


@pytest.mark.parametrize("seed_share", [0.0, 0.003, 0.03])
def test_it_holds_the_truth_as_often_as_it_says(seed_share: float) -> None:
    """Accuracy of three seeds on the same 500 examples, which are differently hard; the truth is over all of both."""
    generator, examples, seeds, trials = np.random.default_rng(0), 500, 3, 1_000
    held = 0
    for _ in range(trials):
        hard = generator.beta(8, 1, examples)  # an example's share of seeds that have it right; the mean is 8 / 9
        shift = generator.normal(0, seed_share, (seeds, 1))
        right = generator.random((seeds, examples)) < np.clip(hard + shift, 0, 1)
        means = right.mean(axis=1)
        half = 1.96 * np.sqrt(means * (1 - means) / examples)
        found = over_seeds([Interval(m, m - h, m + h) for m, h in zip(means.tolist(), half.tolist(), strict=True)])
        held += found.low <= 8 / 9 <= found.high
    assert held / trials >= 0.945 - 1.96 * (0.05 * 0.95 / trials) ** 0.5
