"""Attention of every layer: TinyBERT's scores and MobileBERT's distributions.

Scores: mean squared error of `QKᵀ / √d` before the softmax (Jiao et al. 2020, arXiv:1909.10351, eq. 7), which the paper
found to converge faster than after it. Distributions: `KL(teacher ‖ student)` of each head's attention (Sun et al.
2020, arXiv:2004.02984, §3.4, eq. 3). Both are means over layers, heads and real tokens. The papers need equal head
counts; where a student has other heads than its teacher, the means over heads are compared instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.distil.feature_maps import PROGRESSIVE_SHARE, active_layers, check_share
from edgepack.compress.distil.signals import Counted, Loss, Signals, Vectors

MASKED = -1e9  # a score whose softmax is exactly 0 in fp32, and whose differences stay finite


def both_vectors(signals: Signals, layer: int) -> tuple[Vectors, Vectors]:
    """Student's and teacher's vectors of a student's layer, counted from 0; the teacher's without gradient."""
    assert signals.teacher_vectors is not None, "a loss with needs_vectors was given none"
    teacher = signals.teacher_vectors(layer)
    detached = Vectors(teacher.queries.detach(), teacher.keys.detach(), teacher.values.detach())
    return signals.student_vectors[layer], detached


def scaled_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Two `(batch, heads, seq, size)` → `QKᵀ / √size` `(batch, heads, seq, seq)` in fp32."""
    return queries.float() @ keys.float().transpose(2, 3) / math.sqrt(queries.shape[-1])


def log_attention(queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    """Log of each query's distribution over the real keys, `(batch, heads, seq, seq)`."""
    return F.log_softmax(scaled_scores(queries, keys).masked_fill(mask[:, None, None, :] == 0, MASKED), dim=-1)


def score_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Scores `(batch, heads, seq, seq)` of both → mean squared error over heads and pairs of real tokens."""
    if student.shape[1] != teacher.shape[1]:
        student, teacher = student.mean(1, keepdim=True), teacher.mean(1, keepdim=True)
    real = mask[:, None, :, None].float() * mask[:, None, None, :].float()
    return ((student - teacher) * real).square().sum() / (real.sum() * student.shape[1])


def divergence(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Log-distributions `(batch, heads, seq, seq)` of both → mean `KL(teacher ‖ student)` over heads, real queries."""
    if student.shape[1] != teacher.shape[1]:
        student, teacher = _mean_distribution(student), _mean_distribution(teacher)
    kl = (teacher.exp() * (teacher - student)).sum(-1)  # (batch, heads, seq)
    real = mask[:, None, :].to(kl.dtype)
    return (kl * real).sum() / (real.sum() * kl.shape[1])


def _mean_distribution(log_probabilities: Tensor) -> Tensor:
    """Log of the heads' mean distribution, `(batch, 1, seq, seq)`."""
    return log_probabilities.logsumexp(1, keepdim=True) - math.log(log_probabilities.shape[1])


@dataclass(frozen=True)
class AttentionScores(Loss):
    """TinyBERT's attention loss, all layers."""

    needs_vectors: ClassVar[bool] = True
    counted: ClassVar[Counted] = "pairs"

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return set(followed)  # what enters a layer: its queries, keys and values are computed from it

    @property
    def follows_map(self) -> bool:
        return True

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        losses = []
        for layer in range(len(signals.student_vectors)):
            student, teacher = both_vectors(signals, layer)
            own, other = scaled_scores(student.queries, student.keys), scaled_scores(teacher.queries, teacher.keys)
            losses.append(score_loss(own, other, signals.mask))
        return torch.stack(losses).mean()


@dataclass(frozen=True)
class AttentionTransfer(Loss):
    """MobileBERT's attention transfer, all layers; `progressive` as in `FeatureMaps`."""

    progressive: bool = False
    share: float = PROGRESSIVE_SHARE
    needs_vectors: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_share("attention transfer", self.share, self.progressive)

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return set(followed)

    @property
    def follows_map(self) -> bool:
        return True

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        layers = len(signals.student_vectors)
        weights = active_layers(signals.progress if self.progressive else 1.0, layers, self.share)
        losses = []
        for layer, weight in enumerate(weights):
            if weight > 0:
                student, teacher = both_vectors(signals, layer)
                own = log_attention(student.queries, student.keys, signals.mask)
                other = log_attention(teacher.queries, teacher.keys, signals.mask)
                losses.append(weight * divergence(own, other, signals.mask))
        return torch.stack(losses).sum() / layers
