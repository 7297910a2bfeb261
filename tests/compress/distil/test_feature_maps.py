"""MobileBERT's feature map transfer: the exact decomposition behind it, and which layers are in training when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgepack.compress.distil.feature_maps import FeatureMaps, active_layers, feature_map_loss
from edgepack.compress.distil.signals import Signals
from edgepack.errors import InputError


def by_hand(student: np.ndarray, teacher: np.ndarray) -> float:
    """Of `(tokens, H)`: squared differences of means, of deviations, and the normalized vectors' mean squared error."""
    means, others = student.mean(-1), teacher.mean(-1)
    deviations, other_deviations = student.std(-1), teacher.std(-1)
    normalized = (student - means[:, None]) / deviations[:, None]
    other_normalized = (teacher - others[:, None]) / other_deviations[:, None]
    parts = (means - others) ** 2 + (deviations - other_deviations) ** 2
    return float(parts.mean() + ((normalized - other_normalized) ** 2).mean())


def layer_losses(signals: Signals) -> list[float]:
    real = signals.mask.bool().numpy()
    pairs = [pair for pair in signals.pairs if pair[0] > 0]
    return [by_hand(signals.student_states[s].numpy()[real], signals.teacher_states[t].numpy()[real]) for s, t in pairs]


def test_all_layers_without_the_embedding(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(4, 7))
    assert FeatureMaps()(signals, {}).item() == pytest.approx(np.mean(layer_losses(signals)), rel=1e-4)


@given(st.integers(0, 1000))
def test_of_unit_deviation_it_is_the_mean_squared_error(seed: int) -> None:
    """Where σ = 1 on both sides the decomposition is exact, so the loss is eq. 2 itself."""
    student, teacher = torch.randn(2, 1, 1, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    student, teacher = (x / x.std(unbiased=False) for x in (student + 0.5, teacher))
    loss = feature_map_loss(student, teacher, torch.ones(1, 1)).item()
    assert loss == pytest.approx((student - teacher).square().mean().item(), rel=1e-4)


def test_a_constant_vector_has_a_finite_gradient() -> None:
    student = torch.ones(1, 1, 8, requires_grad=True)
    feature_map_loss(student, torch.randn(1, 1, 8), torch.ones(1, 1)).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_layers_are_reached_one_after_the_other() -> None:
    assert active_layers(0.0, 3, 0.6) == (1.0, 0.0, 0.0)
    assert active_layers(0.19, 3, 0.6) == (1.0, 0.0, 0.0)
    assert active_layers(0.21, 3, 0.6) == (0.1, 1.0, 0.0)
    assert active_layers(0.41, 3, 0.6) == (0.1, 0.1, 1.0)
    assert active_layers(0.6, 3, 0.6) == active_layers(1.0, 3, 0.6) == (1.0, 1.0, 1.0)


@given(st.floats(0, 1), st.integers(1, 24), st.floats(0.01, 1))
def test_before_the_end_exactly_one_layer_is_in_training(progress: float, layers: int, share: float) -> None:
    weights = active_layers(progress, layers, share)
    assert len(weights) == layers
    assert weights.count(1.0) == (layers if progress >= share else 1)
    if progress < share:
        assert list(weights) == sorted(weights, key=lambda w: (w == 0.0, w == 1.0))  # below, current, above


def test_progressive_weighs_the_layers(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(4, 7), progress=0.25)
    first, second, _ = layer_losses(signals)
    loss = FeatureMaps(progressive=True)(signals, {})
    assert loss.item() == pytest.approx((0.1 * first + second) / 3, rel=1e-4)
    later = replace(signals, progress=0.5)
    assert torch.equal(FeatureMaps(progressive=True)(later, {}), FeatureMaps()(later, {}))


def test_bad_settings_and_signals_are_refused(make_signals: Callable[..., Signals]) -> None:
    with pytest.raises(InputError, match="share is 0"):
        FeatureMaps(share=0.0)
    with pytest.raises(InputError, match="no layer among the pairs"):
        FeatureMaps()(replace(make_signals(), pairs=((0, 0),)), {})
