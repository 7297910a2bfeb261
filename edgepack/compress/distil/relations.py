"""Self-attention relations of one layer: MiniLMv2 and MiniLM.

MiniLMv2 (Wang et al. 2021, arXiv:2012.15828, eq. 4–6): the queries of all heads are put side by side and split anew
into `relation_heads` heads; `KL(teacher ‖ student)` of `softmax(QQᵀ / √d_r)`, mean over relation heads and real tokens;
the same for keys and values, and the sum of the three. Head counts and sizes are free. A size that `relation_heads`
does not divide is filled up with zeros, which add nothing to a product (the paper's sizes are divisible; a pruned
student's may not be).

MiniLM (Wang et al. 2020, arXiv:2002.10957, §3.1–3.2): KL of the last layer's attention distributions plus KL of its
value relations `softmax(VVᵀ / √d)`, head by head; where the head counts differ, of the heads' mean distributions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.distil.attention_maps import both_vectors, divergence, log_attention
from edgepack.compress.distil.signals import Loss, Signals
from edgepack.errors import InputError

KINDS = ("queries", "keys", "values")


def split_heads(vectors: Tensor, relation_heads: int) -> Tensor:
    """`(batch, heads, seq, size)` → `(batch, relation_heads, seq, ⌈heads · size / relation_heads⌉)`."""
    flat = vectors.transpose(1, 2).flatten(2)  # (batch, seq, heads · size)
    if flat.shape[-1] < relation_heads:
        raise InputError(f"relations: {relation_heads} relation heads for vectors of {flat.shape[-1]}; take fewer")
    size = -(-flat.shape[-1] // relation_heads)
    padded = F.pad(flat, (0, size * relation_heads - flat.shape[-1]))
    return padded.view(*flat.shape[:2], relation_heads, size).transpose(1, 2)


def relation_loss(student: Tensor, teacher: Tensor, mask: Tensor, relation_heads: int) -> Tensor:
    """MiniLMv2's loss for one kind of vector, `(batch, heads, seq, size)` of both, counts and sizes free."""
    own, other = (split_heads(vectors, relation_heads) for vectors in (student, teacher))
    return divergence(log_attention(own, own, mask), log_attention(other, other, mask), mask)


@dataclass(frozen=True)
class Relations(Loss):
    """MiniLMv2: relations of the named kinds in one of the student's layers (negative: from the last)."""

    kinds: tuple[str, ...] = KINDS
    relation_heads: int = 12
    layer: int = -1
    needs_vectors: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(KINDS) or len(set(self.kinds)) < len(self.kinds):
            raise InputError(f"relations: kinds is {list(self.kinds)}; allowed: some of {', '.join(KINDS)}, each once")
        if self.relation_heads < 1:
            raise InputError(f"relations: relation_heads is {self.relation_heads}; allowed: 1 or more")

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return {followed[self.layer]}

    @property
    def follows_map(self) -> bool:
        return self.layer != -1  # every map pairs the last layers

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        layers = len(signals.student_vectors)
        if not -layers <= self.layer < layers:
            raise InputError(
                f"relations: layer {self.layer} of a student of {layers}; allowed: {-layers} to {layers - 1}"
            )
        student, teacher = both_vectors(signals, self.layer % layers)
        losses = [
            relation_loss(getattr(student, kind), getattr(teacher, kind), signals.mask, self.relation_heads)
            for kind in self.kinds
        ]
        return torch.stack(losses).sum()


@dataclass(frozen=True)
class LastLayerAttention(Loss):
    """MiniLM: attention distributions and value relations of the last layer."""

    needs_vectors: ClassVar[bool] = True

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return {followed[-1]}

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        mask = signals.mask
        student, teacher = both_vectors(signals, len(signals.student_vectors) - 1)
        own, other = (
            (log_attention(v.queries, v.keys, mask), log_attention(v.values, v.values, mask))
            for v in (student, teacher)
        )
        return divergence(own[0], other[0], mask) + divergence(own[1], other[1], mask)
