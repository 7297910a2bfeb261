"""The transport against scipy's linear programming, cost attention by hand, and the loss made of both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from edgepack.compress.distil.earth_mover import (
    EarthMover,
    cost_attention,
    layer_distances,
    layer_flow,
    optimal_transport,
)
from edgepack.compress.distil.signals import Signals
from edgepack.errors import InputError


def lowest_cost(costs: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> float:
    """The transport problem's optimum, by linear programming."""
    m, n = costs.shape
    rows, columns = np.kron(np.eye(m), np.ones(n)), np.kron(np.ones(m), np.eye(n))
    masses = np.concatenate([supply / supply.sum(), demand / demand.sum()])
    return float(linprog(costs.ravel(), A_eq=np.vstack([rows, columns])[:-1], b_eq=masses[:-1]).fun)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 10_000), st.booleans())
def test_the_flow_is_feasible_and_as_cheap_as_linear_programming(m: int, n: int, seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    costs = random.integers(0, 3, (m, n)).astype(float) if ties else random.random((m, n)) ** 3
    supply, demand = (np.ones(m), np.ones(n)) if seed % 2 else (random.random(m) + 0.01, random.random(n) + 0.01)
    flow = optimal_transport(costs, supply, demand)
    assert flow.min() >= 0
    np.testing.assert_allclose(flow.sum(1), supply / supply.sum(), atol=1e-9)
    np.testing.assert_allclose(flow.sum(0), demand / demand.sum(), atol=1e-9)
    assert (flow * costs).sum() == pytest.approx(lowest_cost(costs, supply, demand), abs=1e-8)


def test_mass_is_taken_back_where_that_is_cheaper() -> None:
    """Row 0 goes to column 0 at first, which is cheapest; row 1 can go nowhere else, so row 0 must leave again."""
    costs = np.array([[0.0, 1.0], [1.0, 9.0]])
    np.testing.assert_allclose(optimal_transport(costs, np.ones(2), np.ones(2)), [[0, 0.5], [0.5, 0]])


def test_no_weight_moves_nothing() -> None:
    flow = optimal_transport(np.ones((2, 2)), np.array([0.0, 1.0]), np.array([0.3, 0.7]))
    np.testing.assert_allclose(flow, [[0, 0], [0.3, 0.7]])


def test_costs_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        optimal_transport(np.array([[np.nan]]), np.ones(1), np.ones(1))


def test_cost_attention_by_hand() -> None:
    # ΣC = 8, so ΣC / C = (8, 4, 1.6); τ = 4
    powers = np.exp(np.array([8, 4, 1.6]) / 4)
    expected = powers / powers.sum()
    units = np.array([1.0, 2.0, 5.0])
    np.testing.assert_allclose(cost_attention(units, 4.0), expected, rtol=1e-12)
    np.testing.assert_allclose(cost_attention(units * 1e-4, 4.0), expected, rtol=1e-12)  # the scale does not count
    np.testing.assert_allclose(cost_attention(np.zeros(4), 4.0), [0.25] * 4)


def test_distances_are_mean_squared_errors_of_real_tokens(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(3, 4))
    real = signals.mask.bool().numpy()
    expected = [
        [((s.numpy()[real] - t.numpy()[real]) ** 2).mean() for t in signals.teacher_states]
        for s in signals.student_states
    ]
    distances = layer_distances(signals.student_states, signals.teacher_states, signals.mask)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    same = layer_distances(signals.student_states, signals.student_states, signals.mask)
    assert not same.diagonal().any()


def test_the_loss_is_the_cost_of_the_cheapest_transport(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(4, 7))
    distances = layer_distances(signals.student_states[1:], signals.teacher_states[1:], signals.mask)
    expected = lowest_cost(distances, np.ones(3), np.ones(6))
    assert EarthMover(temperature=None)(signals, {}).item() == pytest.approx(expected, rel=1e-5)


def test_cost_attention_makes_the_second_transport(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(4, 7))
    distances = layer_distances(signals.student_states[1:], signals.teacher_states[1:], signals.mask)
    spent = layer_flow(distances, None) * distances
    own, other = cost_attention(spent.sum(1) * 3, 2.0), cost_attention(spent.sum(0) * 6, 2.0)
    loss = EarthMover(temperature=2.0)(signals, {}).item()
    assert loss == pytest.approx(lowest_cost(distances, own, other), rel=1e-5)
    assert loss < EarthMover(temperature=None)(signals, {}).item()  # cheap layers count for more


def test_it_finds_layers_that_were_put_in_another_order(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals()
    order = [0, 3, 1, 4, 2]
    shuffled = Signals(**{**vars(signals), "teacher_states": tuple(signals.student_states[i] for i in order)})
    assert EarthMover()(shuffled, {}).item() == 0


def test_a_temperature_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InputError, match="temperature is 0"):
        EarthMover(temperature=0)


def test_the_map_comes_before_the_distances(make_signals: Callable[..., Signals]) -> None:
    signals, matrix = make_signals(hidden=(4, 6)), torch.randn(6, 4)
    own = [state @ matrix.T for state in signals.student_states[1:]]
    distances = layer_distances(own, signals.teacher_states[1:], signals.mask)
    expected = lowest_cost(distances, np.ones(4), np.ones(4))
    assert EarthMover(temperature=None)(signals, {"map": matrix}).item() == pytest.approx(expected, rel=1e-5)
