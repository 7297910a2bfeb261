"""Metrics of scores: the correlation with its linear terms against numpy and by hand, and rankings by query."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from edgepack.errors import InputError
from edgepack.task.encoded import Encoded
from edgepack.task.intervals import metric_interval
from edgepack.task.scores import Correlation, Ranking
from edgepack.task.task import Task

SCORE = Task("text-classification", ("score",), problem="regression")
RANKING = Task("text-classification", ("score",), pair=True, problem="regression", ranks=True)


def encoded(labels: list[float], groups: list[int] | None = None) -> Encoded:
    n = len(labels)
    queries = None if groups is None else np.array(groups)
    return Encoded(np.zeros(n, np.int32), np.zeros(n, np.int8), np.arange(n + 1), np.array(labels), queries)


def column(*scores: float) -> np.ndarray:
    return np.array(scores, np.float32)[:, None]


def drawn(n: int, noise: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    truth = generator.random(n) * 5
    return np.stack([truth + noise * generator.normal(size=n), truth], axis=1)


def test_the_metric_is_pearsons_correlation() -> None:
    statistics = SCORE.statistics(column(1, 2, 3, 5), encoded([1.0, 1.5, 4.0, 3.5]))
    assert statistics.tolist() == [[1, 1.0], [2, 1.5], [3, 4.0], [5, 3.5]]
    assert SCORE.metric(statistics) == pytest.approx(np.corrcoef(statistics.T)[0, 1])
    assert SCORE.metric_name == "pearson"


@settings(max_examples=30)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.integers(0, 100))
def test_the_metric_does_not_see_a_scale_or_an_offset(offset: float, scale: float, seed: int) -> None:
    statistics = drawn(40, 1.0, seed)
    moved = statistics * [scale, 1] + [offset * scale, 0]
    assert SCORE.metric(moved) == pytest.approx(SCORE.metric(statistics), abs=1e-6)


def test_a_constant_answer_and_a_turned_scale_are_0() -> None:
    truth = np.linspace(0, 5, 20)
    assert SCORE.metric(np.stack([np.full(20, 2.7), truth], axis=1)) == 0
    assert SCORE.metric(np.stack([np.full(20, np.float32(1e6 + 0.1)), truth], axis=1)) == 0
    assert SCORE.metric(np.stack([-truth, truth], axis=1)) == 0
    assert SCORE.metric(np.stack([truth, np.full(20, 3.0)], axis=1)) == 0
    assert SCORE.metric(SCORE.constant_statistics(encoded(truth.tolist()))) == 0


def test_counts_are_examples_given_so_often() -> None:
    statistics, counts = drawn(30, 2.0), np.random.default_rng(1).multinomial(30, np.full(30, 1 / 30), size=5)
    expected = [np.corrcoef(np.repeat(statistics, each, axis=0).T)[0, 1] for each in counts]
    assert SCORE.scoring.value(statistics, counts).tolist() == pytest.approx(expected)


def test_linear_terms_are_the_jackknifes_and_their_mean_is_the_metric() -> None:
    statistics = drawn(50, 2.0)
    terms, metric = SCORE.scoring.terms(statistics, np.ones(50)), SCORE.metric(statistics)
    without = [SCORE.metric(np.delete(statistics, row, axis=0)) for row in range(50)]
    pseudo = 50 * metric - 49 * np.array(without)
    assert terms.mean() == pytest.approx(metric)
    assert (terms - metric).tolist() == pytest.approx((pseudo - pseudo.mean()).tolist())


def test_counts_stand_for_equal_rows_in_the_linear_terms() -> None:
    statistics, counts = drawn(20, 2.0), np.arange(1, 21)
    terms = SCORE.scoring.terms(statistics, counts)
    apart = SCORE.scoring.terms(np.repeat(statistics, counts, axis=0), np.ones(counts.sum()))
    assert np.repeat(terms, counts).tolist() == pytest.approx(apart.tolist())


def test_the_terms_of_rows_that_are_not_there_are_the_derivative() -> None:
    statistics, other = drawn(50, 2.0), np.array([[0.3, 4.0], [2.5, 2.5]])
    metric = SCORE.metric(statistics)
    found = SCORE.scoring.terms(statistics, np.ones(50), other)
    for row, term in zip(other, found, strict=True):
        step = 1e-6
        counts = np.append(np.full(50, (1 - step) / 50), step)
        slope = (SCORE.metric(np.vstack([statistics, row]), counts) - metric) / step
        assert slope == pytest.approx(term - metric, abs=1e-4)


def test_the_standard_error_of_the_terms_is_that_of_the_bootstrap() -> None:
    statistics = drawn(400, 1.5)
    terms = SCORE.scoring.terms(statistics, np.ones(400))
    interval = metric_interval(statistics, SCORE, 2_000)
    assert 3.92 * terms.std() / np.sqrt(400) == pytest.approx(interval.high - interval.low, rel=0.1)
    fisher = np.tanh(np.arctanh(interval.value) + np.array([-1.96, 1.96]) / np.sqrt(397))
    assert interval.low == pytest.approx(fisher[0], abs=0.02)
    assert interval.high == pytest.approx(fisher[1], abs=0.02)


def test_a_sigmoid_is_applied_before_scores_are_compared() -> None:
    logits, truth = column(-4, 0, 1, 6), [0.1, 0.5, 0.6, 1.0]
    own = Correlation("sigmoid")
    assert own.decide(logits).tolist() == pytest.approx([0.0179862, 0.5, 0.7310586, 0.9975274])
    assert own.statistics(logits, encoded(truth))[:, 0].tolist() == own.decide(logits).tolist()


def test_scores_agree_within_a_quarter_of_their_spread() -> None:
    before = np.array([0.0, 2.0, 4.0, 6.0])
    spread = before.std()
    after = before + spread * np.array([0.24, -0.24, 0.26, 0])
    assert SCORE.scoring.differ(after, before).tolist() == [False, False, True, False]


def test_a_query_is_counted_once_whatever_order_its_candidates_are_in() -> None:
    data = encoded([0, 1, 1, 0, 0.0], [4, 4, 2, 2, 7])
    logits = column(3, 2, 5, 1, 9)
    assert RANKING.metric_name == "ndcg_at_10"
    statistics = RANKING.statistics(logits, data)
    assert statistics[:, 1].tolist() == [1, 1]  # the last query has no candidate that is worth anything
    assert sorted(statistics[:, 0].tolist()) == pytest.approx([1 / np.log2(3), 1])
    assert RANKING.metric(statistics) == pytest.approx((1 + 1 / np.log2(3)) / 2)
    order = np.array([3, 0, 2, 4, 1])
    shuffled = Encoded(data.input_ids, data.token_type_ids, data.offsets, data.labels[order], data.groups[order])
    assert RANKING.metric(RANKING.statistics(logits[order], shuffled)) == pytest.approx(RANKING.metric(statistics))


def test_the_interval_of_a_ranking_is_that_of_its_queries() -> None:
    generator = np.random.default_rng(3)
    figures = generator.beta(4, 2, size=80)
    rows = np.stack([figures, np.ones(80)], axis=1)
    interval = metric_interval(rows, RANKING, 4_000)
    plain = scipy_stats.bootstrap((figures,), np.mean, n_resamples=4_000, method="percentile", rng=0)
    assert interval.value == pytest.approx(figures.mean())
    assert interval.low == pytest.approx(plain.confidence_interval.low, abs=0.01)
    assert interval.high == pytest.approx(plain.confidence_interval.high, abs=0.01)


def test_statistics_of_other_examples_are_impossible() -> None:
    first, other = np.array([[0.5, 1.0], [0.2, 2.0]]), np.array([[0.1, 1.0], [0.9, 3.0]])
    assert Correlation().possible(first, first)
    assert not Correlation().possible(first, other)
    queries = np.array([[0.5, 1.0], [0, 1.0]])
    assert Ranking().possible(queries, queries)
    for wrong in ([[1.5, 1.0], [0, 1]], [[-0.5, 1.0], [0, 1]], [[0.5, 0.0], [0, 1]], [[0.5, 0.7], [0, 1]]):
        assert not Ranking().possible(np.array(wrong), queries)
        assert not Ranking().possible(queries, np.array(wrong))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"labels": ("a", "b")}, "one label"),
        ({"activation": "tanh"}, "activation is 'tanh'"),
        ({"ranks": True}, "pairs of a query and a candidate"),
        ({"problem": "single_label_classification", "ranks": True, "labels": ("a", "b")}, "are of a regression"),
    ],
)
def test_a_task_of_scores_that_cannot_be_is_refused(fields: dict[str, object], said: str) -> None:
    whole = {"name": "text-classification", "labels": ("score",), "problem": "regression", **fields}
    with pytest.raises(InputError, match=said):
        Task(**whole)
