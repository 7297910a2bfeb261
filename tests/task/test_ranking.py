"""Rank correlation, nDCG and recall: cases by hand, scipy's own results, ties, and draws that are counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.task.ranking import ndcg, pearson, ranked_gains, ranks, recall, spearman

VALUES = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.integers(0, 3)), min_size=2, max_size=12)


def test_ranks_of_equal_values_are_their_mean():
    assert ranks(np.array([7, 1, 7, 3])).tolist() == [3.5, 1, 3.5, 2]
    assert ranks(np.array([])).tolist() == []


@given(VALUES)
def test_counts_are_the_values_written_out(rows):
    first, second, counts = np.array(rows).T
    written = np.repeat(np.arange(len(rows)), counts)
    assert np.array_equal(ranks(first, counts)[written], ranks(first[written]))
    assert spearman(first, second, counts) == pytest.approx(spearman(first[written], second[written]))
    assert pearson(first, second, counts) == pytest.approx(pearson(first[written], second[written]))


def test_many_draws_are_one_call():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 5, 20), generator.normal(size=20)
    counts = generator.multinomial(20, np.full(20, 0.05), size=7)
    assert spearman(first, second, counts) == pytest.approx([float(spearman(first, second, each)) for each in counts])


@given(VALUES)
def test_correlations_are_those_of_scipy(rows):
    stats = pytest.importorskip("scipy.stats")
    first, second, _ = np.array(rows).T
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert spearman(first, second) == pearson(first, second) == 0
    else:
        assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
        assert pearson(first, second) == pytest.approx(stats.pearsonr(first, second).statistic)


def test_a_constant_that_floats_do_not_hold_has_no_correlation():
    assert pearson(np.full(7, 0.1), np.arange(7)) == 0


def test_ndcg_by_hand():
    gains = np.array([0, 3, 1])
    best = 3 + 1 / np.log2(3)
    assert ndcg(np.array([0.1, 0.9, 0.5]), gains, 10) == pytest.approx(1)
    assert ndcg(np.array([0.9, 0.5, 0.1]), gains, 10) == pytest.approx((3 / np.log2(3) + 0.5) / best)
    assert ndcg(np.array([0.9, 0.5, 0.1]), gains, 1) == 0
    assert ndcg(np.array([0.9, 0.5, 0.1]), np.zeros(3), 10) == 0


def test_recall_by_hand():
    gains = np.array([0, 3, 1, 0])
    scores = np.array([0.9, 0.5, 0.1, 0.0])
    assert [recall(scores, gains, k) for k in (1, 2, 3, 10)] == [0, 0.5, 1, 1]
    assert recall(scores, np.zeros(4), 10) == 0


def test_equal_scores_gain_nothing_from_the_order_of_the_file():
    gains = np.array([3.0, 0, 0])
    same = [ndcg(np.zeros(3), np.roll(gains, shift), 2) for shift in range(3)]
    assert same == pytest.approx([(1 + 1 / np.log2(3)) / 3] * 3)
    assert recall(np.zeros(3), gains, 1) == pytest.approx(1 / 3)
    assert ranked_gains(np.array([1, 2, 1]), gains).tolist() == [0, 1.5, 1.5]


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=10), st.integers(1, 12))
def test_ndcg_is_a_share_and_the_gains_themselves_rank_best(rows, k):
    scores, gains = np.array(rows).T
    assert 0 <= ndcg(scores, gains, k) <= 1 + 1e-12
    assert ndcg(gains, gains, k) == pytest.approx(float(gains.any()))
    assert 0 <= recall(scores, gains, k) <= 1 + 1e-12
