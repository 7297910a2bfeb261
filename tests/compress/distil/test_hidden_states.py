"""TinyBERT's hidden-state loss with numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.signals import Shapes, Signals


def by_hand(signals: Signals, matrix: np.ndarray) -> float:
    """Mean over pairs of MSE(H_s W, H_t) on the real tokens."""
    real = signals.mask.bool().numpy()
    errors = [
        (signals.student_states[s].numpy()[real] @ matrix.T - signals.teacher_states[t].numpy()[real]) ** 2
        for s, t in signals.pairs
    ]
    return float(np.mean(errors))


def test_equal_widths(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(4, 7))
    assert HiddenStates()(signals, {}).item() == pytest.approx(by_hand(signals, np.eye(8)), rel=1e-5)


def test_one_learned_matrix_for_all_layers(make_signals: Callable[..., Signals]) -> None:
    signals, matrix = make_signals(hidden=(4, 6)), torch.randn(6, 4)
    assert HiddenStates()(signals, {"map": matrix}).item() == pytest.approx(by_hand(signals, matrix.numpy()), rel=1e-5)
    initial = HiddenStates().initial(Shapes(4, 6, 5, 5), torch.Generator())
    assert HiddenStates()(signals, initial).item() == pytest.approx(by_hand(signals, np.eye(6, 4)), rel=1e-5)


def test_the_learned_matrix_can_make_the_loss_vanish(make_signals: Callable[..., Signals]) -> None:
    signals, matrix = make_signals(hidden=(4, 6)), torch.randn(6, 4)
    followed = replace(signals, teacher_states=tuple(state @ matrix.T for state in signals.student_states))
    assert HiddenStates()(followed, {"map": matrix}).item() == pytest.approx(0, abs=1e-10)
    assert HiddenStates()(followed, {"map": torch.eye(6, 4)}).item() > 0.1


def test_only_pairs_count(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(3, 9))
    before = HiddenStates()(signals, {})
    signals.teacher_states[1].fill_(50.0)  # paired with no student state
    assert torch.equal(HiddenStates()(signals, {}), before)
    signals.teacher_states[4].fill_(50.0)
    assert HiddenStates()(signals, {}) > before


def test_the_weight_is_100_unless_it_is_said_otherwise() -> None:
    assert HiddenStates().weight == 100
    assert HiddenStates(weight=3).weight == 3
