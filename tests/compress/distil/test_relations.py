"""MiniLMv2's and MiniLM's relations with numpy, head counts and widths free."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import Tensor

from edgepack.compress.distil.relations import LastLayerAttention, Relations, relation_loss, split_heads
from edgepack.compress.distil.signals import Signals
from edgepack.errors import InputError

LENGTHS = (5, 3, 1)


def relation(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """`(heads, n, size)` of both → softmax of scaled products."""
    return softmax(queries @ keys.transpose(0, 2, 1) / np.sqrt(queries.shape[-1]), -1)


def regrouped(vectors: Tensor, example: int, relation_heads: int) -> np.ndarray:
    """An example's real tokens: heads side by side, split anew: `(relation_heads, n, size)`."""
    heads, n = vectors.shape[1], LENGTHS[example]
    flat = np.concatenate([vectors[example, h, :n].numpy() for h in range(heads)], axis=-1)
    return np.stack(np.split(flat, relation_heads, axis=-1))


def by_hand(student: Tensor, teacher: Tensor, relation_heads: int) -> float:
    divergences = []
    for example in range(3):
        own, other = (regrouped(v, example, relation_heads) for v in (student, teacher))
        divergences.append(rel_entr(relation(other, other), relation(own, own)).sum(-1).ravel())
    return float(np.concatenate(divergences).mean())


@pytest.mark.parametrize("heads", [(2, 2), (2, 5), (3, 1)])
def test_the_three_kinds_are_added_up(make_signals: Callable[..., Signals], heads: tuple[int, int]) -> None:
    signals = make_signals(heads=heads)
    assert signals.teacher_vectors is not None
    own, other = signals.student_vectors[-1], signals.teacher_vectors(3)
    expected = [by_hand(getattr(own, k), getattr(other, k), 4) for k in ("queries", "keys", "values")]
    assert Relations(relation_heads=4)(signals, {}).item() == pytest.approx(sum(expected), rel=1e-4)
    assert Relations(relation_heads=4, kinds=("values",))(signals, {}).item() == pytest.approx(expected[2], rel=1e-4)


def test_another_layer(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals()
    assert signals.teacher_vectors is not None
    expected = by_hand(signals.student_vectors[1].keys, signals.teacher_vectors(1).keys, 2)
    for layer in (1, -3):
        loss = Relations(relation_heads=2, kinds=("keys",), layer=layer)(signals, {})
        assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_splitting_into_the_same_heads_changes_nothing() -> None:
    vectors = torch.randn(2, 3, 5, 4)
    assert torch.equal(split_heads(vectors, 3), vectors)


def test_a_width_that_does_not_divide_is_filled_with_zeros() -> None:
    split = split_heads(torch.ones(1, 2, 5, 4), 3)  # 8 numbers in 3 heads of 3
    assert split.shape == (1, 3, 5, 3)
    assert split[0, :, 0].tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0]]


def test_a_rotation_of_the_vectors_within_a_head_keeps_the_relations() -> None:
    vectors, mask = torch.randn(2, 1, 4, 6), torch.ones(2, 4)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6))
    assert relation_loss(vectors @ rotation, vectors, mask, 1).item() == pytest.approx(0, abs=1e-5)
    assert relation_loss(vectors @ rotation, vectors, mask, 2).item() > 1e-3


@pytest.mark.parametrize("heads", [(2, 2), (2, 3)])
def test_minilm_is_attention_plus_value_relation(make_signals: Callable[..., Signals], heads: tuple[int, int]) -> None:
    signals = make_signals(heads=heads)
    assert signals.teacher_vectors is not None
    own, other = signals.student_vectors[-1], signals.teacher_vectors(3)
    expected = 0.0
    for left, right in (("queries", "keys"), ("values", "values")):
        divergences = []
        for b, n in enumerate(LENGTHS):
            student, teacher = (
                relation(getattr(v, left)[b, :, :n].numpy(), getattr(v, right)[b, :, :n].numpy()) for v in (own, other)
            )
            if heads[0] != heads[1]:
                student, teacher = student.mean(0), teacher.mean(0)
            divergences.append(rel_entr(teacher, student).sum(-1).ravel())
        expected += np.concatenate(divergences).mean()
    assert LastLayerAttention()(signals, {}).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", [Relations(relation_heads=4), LastLayerAttention()])
def test_zero_for_an_imitation(
    make_signals: Callable[..., Signals],
    imitate: Callable[[Signals], Signals],
    loss: Relations | LastLayerAttention,
) -> None:
    assert loss(imitate(make_signals()), {}).item() == pytest.approx(0, abs=1e-6)


def test_bad_settings_are_refused(make_signals: Callable[..., Signals]) -> None:
    with pytest.raises(InputError, match="kinds is"):
        Relations(kinds=("outputs",))
    with pytest.raises(InputError, match=r"kinds is \[\]"):
        Relations(kinds=())
    with pytest.raises(InputError, match="relation_heads is 0"):
        Relations(relation_heads=0)
    with pytest.raises(InputError, match="layer 4 of a student of 4"):
        Relations(layer=4)(make_signals(), {})
    with pytest.raises(InputError, match="12 relation heads for vectors of 8"):
        Relations()(make_signals(), {})
