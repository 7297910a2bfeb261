"""The plan's score against recorded builds: constants of other tasks find a task's losses again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from benchmarks.plan_errors import TODAY, Terms, judge, rank_correlation, terms_of
from benchmarks.store import RESULTS, Store
from edgepack.plan import losses
from edgepack.plan.space import SearchSpace, Vocabulary
from edgepack.student.config import StudentConfig

TRUE = {"body": 0.002, "depth": 0.05, "table": 0.1, "unknown": 0.2, "rounding": 0.03, "new": 0.0}


def made(task: str, count: int, seed: int, constants: dict[str, float], noise: float = 0.0) -> list[Terms]:
    """Builds of drawn shapes that lose what the constants say."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        terms = {name: float(random.uniform(0, 1)) for name in TODAY}
        lost = sum(constants[name] * terms[name] for name in TODAY) + noise * float(random.normal())
        found.append(Terms(task=task, effort="standard", shape={"layers": number}, terms=terms, lost=lost))
    return found


def test_constants_of_other_tasks_are_judged_on_the_one_left_out() -> None:
    found = [each for number, task in enumerate("abc") for each in made(task, 12, number, TRUE)]
    for each in judge(found):
        assert each.shapes == 12
        assert each.left_out_rank == pytest.approx(1)
        assert each.left_out_error == pytest.approx(0, abs=1e-9)
        assert each.error > 0.01  # today's constants are others
    alone = judge(made("a", 12, 0, TRUE))
    assert [(each.left_out_rank, each.left_out_error) for each in alone] == [(None, None)]
    assert judge(made("a", 2, 0, TRUE)) == []


def test_builds_that_differ_in_their_seed_are_one_shape() -> None:
    (first, *rest) = made("a", 5, 0, TRUE)
    again = first.model_copy(update={"lost": first.lost + 0.02})
    (judged,) = judge([first, again, *rest])
    (mean,) = judge([first.model_copy(update={"lost": first.lost + 0.01}), *rest])
    assert judged == mean


def test_a_rank_turned_round_is_minus_one_and_equal_estimates_have_none() -> None:
    assert rank_correlation(np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(-1)
    assert rank_correlation(np.ones(3), np.array([1.0, 2.0, 3.0])) == 0


def test_terms_times_todays_constants_are_the_plans_own_estimate() -> None:
    full = StudentConfig(
        vocab_size=1000,
        embedding_size=64,
        hidden_size=64,
        num_hidden_layers=4,
        num_heads=[2] * 4,
        head_sizes=[32] * 4,
        intermediate_sizes=[128] * 4,
        max_position_embeddings=32,
        id2label={0: "a", 1: "b"},
    )
    vocabulary = Vocabulary(None, 1000, 0, 500, 0.02)
    spectrum = tuple(float(x) for x in range(1, 65))
    space = SimpleNamespace(full=full, spectrum=spectrum, vocabularies=(vocabulary,), new_body=True)
    shape: dict[str, Any] = {"layers": 2, "heads": 1, "ffn": 64, "embedding": 32, "vocabulary": 1000}
    shape |= {"body_bits": 3, "embedding_bits": 2}
    terms = terms_of(cast(SearchSpace, space), shape)
    expected = losses.body_loss(full, 2, 1, 64) - losses.compute_price(full, 2, 1, 64)
    expected += losses.table_loss(spectrum, 32, 2, 0.02) + losses.body_rounding_loss(3) + losses.NEW_BODY_LOSS
    assert sum(TODAY[name] * value for name, value in terms.items()) == pytest.approx(expected)


def test_recorded_terms_are_of_recorded_builds() -> None:
    found = Store(RESULTS / "plan-errors").load_all(Terms)
    assert found
    for key, each in found.items():
        table = next(name for name in ("frontier", "kinds", "encoders", "plan-search") if key.startswith(f"{name}-"))
        record = RESULTS / table / f"{key.removeprefix(f'{table}-')}.json"
        assert record.is_file(), key
        assert set(each.terms) == set(TODAY)
