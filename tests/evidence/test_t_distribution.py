"""Degrees of freedom by the kurtosis, and Student's distribution without scipy: compared with scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from edgepack.evidence.t_distribution import as_normal, as_student, degrees_of_freedom


@pytest.mark.parametrize("freedom", [3.0, 5.0, 12.5, 80.0, 4_000.0])
@pytest.mark.parametrize("t", [-4.0, -1.96, 0.0, 0.3, 2.0, 3.0, 4.0])
def test_a_value_of_students_is_as_far_out_in_the_normal_distribution(freedom: float, t: float) -> None:
    found = as_normal(t, freedom)
    assert found == pytest.approx(math.copysign(stats.norm.isf(stats.t.sf(abs(t), freedom)), t), abs=0.02)
    assert abs(found) <= abs(t)
    assert as_student(found, freedom) == pytest.approx(t)


@pytest.mark.parametrize(("freedom", "reach"), [(5, 2.5706), (20, 2.0860), (100, 1.9840)])
def test_quantiles_are_those_of_the_tables(freedom: float, reach: float) -> None:
    assert as_student(1.959964, freedom) == pytest.approx(reach, abs=0.01)


def test_without_a_limit_it_is_the_normal_distribution() -> None:
    assert as_normal(2.5, math.inf) == as_student(2.5, math.inf) == 2.5
    assert as_normal(-math.inf, 7.0) == -math.inf


def test_freedom_is_by_the_kurtosis() -> None:
    values = np.random.default_rng(0).standard_t(5, 500)
    expected = 2 * 500 / (stats.kurtosis(values, fisher=False) - 1)
    assert degrees_of_freedom(values, np.full(500, 1 / 500), 500) == pytest.approx(expected)
    weights = np.array([2, *np.ones(498)]) / 500  # one row that is there twice
    twice = np.concatenate([values[:1], values[:499]])
    expected = 2 * 500 / (stats.kurtosis(twice, fisher=False) - 1)
    assert degrees_of_freedom(values[:499], weights, 500) == pytest.approx(expected)


def test_of_normal_values_there_are_as_many_as_values() -> None:
    values = np.random.default_rng(1).normal(3, 1e-4, 20_000)
    assert degrees_of_freedom(values, np.full(20_000, 1 / 20_000), 20_000) == pytest.approx(20_000, rel=0.05)


def test_one_value_far_out_leaves_two() -> None:
    values = np.array([*np.zeros(99), 1e6])
    assert degrees_of_freedom(values, np.full(100, 0.01), 100) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e300])
def test_values_that_are_all_alike_leave_no_limit(value: float) -> None:
    assert degrees_of_freedom(np.full(8, value), np.full(8, 1 / 8), 8) == math.inf
