"""TinyBERT's attention scores and MobileBERT's attention transfer, entry by entry with numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from edgepack.compress.distil.attention_maps import AttentionScores, AttentionTransfer, divergence, log_attention
from edgepack.compress.distil.signals import Signals, Vectors

LENGTHS = (5, 3, 1)


def scores(vectors: Vectors, example: int) -> np.ndarray:
    """QKᵀ / √d of an example's real tokens, `(heads, n, n)`."""
    n = LENGTHS[example]
    queries, keys = vectors.queries[example, :, :n].numpy(), vectors.keys[example, :, :n].numpy()
    return queries @ keys.transpose(0, 2, 1) / np.sqrt(queries.shape[-1])


def layer_pairs(signals: Signals) -> list[tuple[Vectors, Vectors]]:
    assert signals.teacher_vectors is not None
    return [(own, signals.teacher_vectors(i)) for i, own in enumerate(signals.student_vectors)]


def test_scores_are_eq_7_on_real_pairs(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals()
    layers = []
    for own, other in layer_pairs(signals):
        errors = [((scores(own, b) - scores(other, b)) ** 2).ravel() for b in range(3)]
        layers.append(np.concatenate(errors).mean())
    assert AttentionScores()(signals, {}).item() == pytest.approx(np.mean(layers), rel=1e-4)


def test_scores_of_other_head_counts_are_their_means(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(heads=(2, 3))
    layers = []
    for own, other in layer_pairs(signals):
        errors = [((scores(own, b).mean(0) - scores(other, b).mean(0)) ** 2).ravel() for b in range(3)]
        layers.append(np.concatenate(errors).mean())
    assert AttentionScores()(signals, {}).item() == pytest.approx(np.mean(layers), rel=1e-4)


def transfer_by_hand(own: Vectors, other: Vectors, mean_heads: bool) -> float:
    """Mean over real queries and heads of KL(teacher ‖ student)."""
    divergences = []
    for example in range(3):
        student, teacher = (softmax(scores(v, example), -1) for v in (own, other))
        if mean_heads:
            student, teacher = student.mean(0), teacher.mean(0)
        divergences.append(rel_entr(teacher, student).sum(-1).ravel())
    return float(np.concatenate(divergences).mean())


@pytest.mark.parametrize("heads", [(2, 2), (2, 3)])
def test_transfer_is_eq_3(make_signals: Callable[..., Signals], heads: tuple[int, int]) -> None:
    signals = make_signals(heads=heads)
    expected = np.mean([transfer_by_hand(*pair, mean_heads=heads[0] != heads[1]) for pair in layer_pairs(signals)])
    assert AttentionTransfer()(signals, {}).item() == pytest.approx(expected, rel=1e-4)


def test_progressive_transfer_weighs_the_layers(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(4, 4), progress=0.25)
    first, second, _ = (transfer_by_hand(*pair, mean_heads=False) for pair in layer_pairs(signals))
    loss = AttentionTransfer(progressive=True)(signals, {}).item()
    assert loss == pytest.approx((0.1 * first + second) / 3, rel=1e-4)


@pytest.mark.parametrize("loss", [AttentionScores(), AttentionTransfer()])
@pytest.mark.parametrize("heads", [(2, 2), (3, 3)])
def test_zero_for_an_imitation(
    make_signals: Callable[..., Signals],
    imitate: Callable[[Signals], Signals],
    loss: AttentionScores | AttentionTransfer,
    heads: tuple[int, int],
) -> None:
    assert loss(imitate(make_signals(heads=heads)), {}).item() == pytest.approx(0, abs=1e-6)


def test_attention_is_a_distribution_over_the_real_keys() -> None:
    mask = torch.tensor([[1, 1, 0]])
    probabilities = log_attention(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4), mask).exp()
    assert not probabilities[..., 2].any()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(1, 2, 3))


def test_the_divergence_is_not_symmetric_and_has_the_teacher_first() -> None:
    student, teacher = torch.tensor([[[[0.5, 0.5]]]]).log(), torch.tensor([[[[0.9, 0.1]]]]).log()
    expected = 0.9 * np.log(1.8) + 0.1 * np.log(0.2)
    mask = torch.tensor([[1]])
    assert divergence(student, teacher, mask).item() == pytest.approx(expected, rel=1e-5)
    assert divergence(teacher, student, mask).item() != pytest.approx(expected, rel=1e-2)
