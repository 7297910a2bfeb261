"""What vectors are judged by: each metric by hand, its linear terms, its bootstrap; cosines, not lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.errors import InputError
from edgepack.task.encoded import Encoded
from edgepack.task.intervals import metric_interval
from edgepack.task.ranking import spearman, spearman_terms
from edgepack.task.similarity import QUERY, PairSpearman, Retrieval, TeacherCosine, cosines
from edgepack.task.task import Task

PAIRS, SEARCH, TEACHER = (
    Task("feature-extraction", (), vector_size=2, judged=j) for j in ("pairs", "queries", "teacher")
)
NUMBERS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(1, 3)), min_size=3, max_size=9)


def encoded(labels: np.ndarray) -> Encoded:
    n = len(labels)
    return Encoded(np.zeros(n, np.int32), np.zeros(n, np.int8), np.arange(n + 1), labels)


def angles(*degrees: float) -> np.ndarray:
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_pairs_are_ranked_by_their_cosine() -> None:
    vectors = angles(0, 10, 0, 50, 0, 90) * np.array([[1], [9], [2], [1], [5], [3]])
    data = encoded(PAIRS.label_rows([5.0, 5.0, 2.5, 2.5, 0.0, 0.0]))
    assert PAIRS.score(vectors, data) == pytest.approx(1)
    assert PAIRS.score(vectors, encoded(PAIRS.label_rows([0.0, 0.0, 2.5, 2.5, 5.0, 5.0]))) == 0  # below 0 is 0
    assert PAIRS.statistics(vectors, data)[0].tolist() == [pytest.approx(np.cos(np.deg2rad(10)), abs=1e-6), 5]


@given(NUMBERS)
def test_linear_terms_are_the_derivative_by_each_pairs_weight(rows: list[tuple[int, int, int]]) -> None:
    first, second, counts = np.array(rows, dtype=float).T
    weights = counts / counts.sum()
    terms = spearman_terms(first, second, weights)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert not terms.any()
        return
    assert weights @ terms == pytest.approx(float(spearman(first, second, counts)), abs=1e-9)
    step, scale = 1e-5, 1e9  # of so many, since `ranks` count whole pairs
    for k in range(len(rows)):
        moved = weights * (1 - step)
        moved[k] += step
        found = [float(spearman(first, second, scale * each)) for each in (weights, moved)]
        assert terms[k] - found[0] == pytest.approx((found[1] - found[0]) / step, abs=2e-3)
    other = (np.array([5.0, first[0]]), np.array([-4.0, second[0]]))
    assert spearman_terms(first, second, weights, other)[1] == pytest.approx(terms[0])


def test_a_search_is_ndcg_of_the_documents_without_the_queries() -> None:
    labels = SEARCH.label_rows([(2, 3, 4, 1), (3, 1), (), (), ()])
    assert labels.dtype == np.int8
    assert labels.tolist() == [[QUERY, 0], [0, QUERY], [3, 0], [0, 1], [1, 0]]
    data, metric = encoded(labels), Retrieval()
    right = angles(0, 90, 1, 91, 20)
    assert metric.statistics(right, data).tolist() == [[1, 1], [1, 1]]
    first_wrong = angles(0, 90, 40, 91, 20)
    best = 3 + 1 / np.log2(3)
    assert metric.statistics(first_wrong, data)[0, 0] == pytest.approx((1 + 3 / np.log2(3)) / best, abs=1e-6)
    assert metric.recalls(first_wrong, data).tolist() == [[1, 1], [1, 1]]
    assert metric.observations([(2, 3), (), ()]) == 1


def test_the_teachers_vectors_are_a_measure() -> None:
    theirs = angles(0, 45, 90)
    data = TEACHER.referenced(encoded(TEACHER.label_rows([0, 0, 0])), theirs)
    assert TEACHER.score(theirs * 7, data) == pytest.approx(1)
    assert TEACHER.score(angles(60, 105, 150), data) == pytest.approx(0.5)
    assert TEACHER.score(-theirs, data) == 0
    constant = TEACHER.constant_statistics(data)
    assert TEACHER.metric(constant) == pytest.approx((2 * np.cos(np.pi / 4) + 1) / 3, abs=1e-5)
    with pytest.raises(ValueError, match="not among the labels"):
        TeacherCosine().statistics(theirs, encoded(np.zeros(3, np.int64)))
    assert PAIRS.referenced(data, theirs) is data


def test_one_vector_for_every_text_tells_nothing() -> None:
    scored = encoded(PAIRS.label_rows([1.0, 1.0, 2.0, 2.0, 3.0, 3.0]))
    assert PAIRS.metric(PAIRS.constant_statistics(scored)) == 0
    searched = encoded(SEARCH.label_rows([(1, 1), (), ()]))
    assert SEARCH.metric(SEARCH.constant_statistics(searched)) == pytest.approx((1 + 1 / np.log2(3)) / 2, abs=1e-6)


def test_an_interval_draws_pairs() -> None:
    generator = np.random.default_rng(0)
    scores = generator.uniform(0, 5, 120)
    vectors = np.concatenate([angles(0, 15 * (5 - s) + generator.normal(0, 8)) for s in scores])
    data = encoded(PAIRS.label_rows(np.repeat(scores, 2).tolist()))
    statistics = PAIRS.statistics(vectors, data)
    found = metric_interval(statistics, PAIRS, resamples=400)
    assert found.low < found.value < found.high <= 1
    weights = np.full(120, 1 / 120)
    error = float(np.sqrt((spearman_terms(*statistics.T, weights) - found.value).var() / 120))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.3)


def test_answers_agree_where_they_point_the_same_way() -> None:
    metric = PairSpearman()
    assert metric.differ(angles(0, 0), angles(10, 60)).tolist() == [False, True]
    assert metric.divergences(angles(0, 0), angles(0, 60)) == pytest.approx([0, 0.5])
    assert cosines(np.zeros((1, 2)), angles(0)).tolist() == [0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ("a",), "vector_size": 2}, "1 labels"),
        ({"labels": (), "vector_size": 0}, "vectors of 0"),
        ({"labels": (), "vector_size": 2, "pair": True}, "pair True"),
    ],
)
def test_tasks_that_are_none(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Task("feature-extraction", **settings)  # type: ignore[arg-type]


def test_only_vectors_have_a_size() -> None:
    with pytest.raises(InputError, match="only feature-extraction gives vectors"):
        Task("text-classification", ("a", "b"), vector_size=3)
