"""DistilBERT's cosine loss against scipy's cosine distance, token by token."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine

from edgepack.compress.distil.cosine import CosineStates, cosine_loss
from edgepack.compress.distil.signals import Signals


def test_it_is_the_mean_cosine_distance_of_the_last_states(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals()
    student, teacher = signals.student_states[-1].numpy(), signals.teacher_states[-1].numpy()
    expected = np.mean([cosine(student[b, t], teacher[b, t]) for b, t in signals.mask.nonzero().tolist()])
    assert CosineStates()(signals, {}).item() == pytest.approx(expected, rel=1e-5)


def test_it_sees_directions_only_from_0_to_2() -> None:
    state, mask = torch.randn(2, 3, 4), torch.ones(2, 3)
    assert cosine_loss(3 * state, state, mask).item() == pytest.approx(0, abs=1e-6)
    assert cosine_loss(-state, state, mask).item() == pytest.approx(2)


def test_the_map_comes_before_the_cosine(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(hidden=(4, 6))
    matrix = torch.randn(6, 4)
    expected = cosine_loss(signals.student_states[-1] @ matrix.T, signals.teacher_states[-1], signals.mask)
    torch.testing.assert_close(CosineStates()(signals, {"map": matrix}), expected)
