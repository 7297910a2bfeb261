"""MobileBERT's feature map transfer, and its progressive knowledge transfer.

Feature map transfer (Sun et al. 2020, arXiv:2004.02984, §3.4, eq. 2) is the mean squared error of each layer's output;
in practice the paper takes it apart into the discrepancy of the normalized maps and that of their statistics. With
mean μ and standard deviation σ over a token's H numbers and x̂ the normalized vector,

    mean (x − y)² = (μx − μy)² + (σx − σy)² + σx σy · mean (x̂ − ŷ)²

exactly; the decomposed loss sets the factor σx σy to 1, so that a layer of small outputs counts as much as one of
large ones. Deviation: the three terms weigh the same.

Progressive knowledge transfer (§3.5) trains layer after layer. A layer's loss counts from when training has reached
it, and layers below the current one train on at a small rate instead of being frozen: here their losses, not their
learning rates, are scaled, since one optimizer trains all. Afterwards all layers count fully.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.compress.distil.signals import Loss, Shapes, Signals
from edgepack.compress.distil.states import initial_map, mapped, mean_square, token_mean
from edgepack.errors import InputError

EARLIER_WEIGHT = 0.1  # of the layers below the one in training; the paper says "a small learning rate", no number
PROGRESSIVE_SHARE = 0.5  # of the training: transfer first, then distillation of the whole, as in the paper
EPSILON = 1e-6  # in the variance: a constant vector has no direction


def active_layers(progress: float, layers: int, share: float = PROGRESSIVE_SHARE) -> tuple[float, ...]:
    """Weight of each layer's loss when `progress` (0 to 1) of the training is done.

    The first `share` of the training is cut into `layers` equal parts, one for each layer from the bottom: 1 for the
    layer whose part it is, `EARLIER_WEIGHT` for those below, 0 for those above; 1 for all once the share is over.
    """
    if progress >= share:
        return (1.0,) * layers
    current = min(int(progress / share * layers), layers - 1)
    return (EARLIER_WEIGHT,) * current + (1.0,) + (0.0,) * (layers - 1 - current)


def check_share(name: str, share: float, progressive: bool) -> None:
    """Raise InputError unless `0 < share ≤ 1`, and where a share is given of what does not go layer after layer."""
    if not 0 < share <= 1:
        raise InputError(f"{name}: share is {share}; allowed: above 0, up to 1")
    if share != PROGRESSIVE_SHARE and not progressive:
        raise InputError(f"{name}: share is {share}; it goes with progressive = true alone: add that, or leave it out")


def statistics(states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`(batch, seq, H)` → mean and standard deviation `(batch, seq, 1)`, and the normalized states."""
    mean = states.mean(-1, keepdim=True)
    deviation = (states.var(-1, unbiased=False, keepdim=True) + EPSILON).sqrt()
    return mean, deviation, (states - mean) / deviation


def feature_map_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Two `(batch, seq, H)` → normalized discrepancy + that of means + that of deviations, mean over real tokens."""
    mean, deviation, normalized = statistics(student.float())
    teacher_mean, teacher_deviation, teacher_normalized = statistics(teacher.detach().float())
    of_statistics = (mean - teacher_mean).square() + (deviation - teacher_deviation).square()
    return mean_square(normalized, teacher_normalized, mask) + token_mean(of_statistics, mask)


@dataclass(frozen=True)
class FeatureMaps(Loss):
    """Feature map transfer of all paired layers (not the embedding's output); `progressive`: layer after layer."""

    progressive: bool = False
    share: float = PROGRESSIVE_SHARE

    def __post_init__(self) -> None:
        check_share("feature maps", self.share, self.progressive)

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return {layer + 1 for layer in followed}

    @property
    def follows_map(self) -> bool:
        return True

    def initial(self, shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
        return initial_map(shapes)

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        pairs = sorted((own, other) for own, other in signals.pairs if own > 0)
        if not pairs:
            raise InputError(f"feature maps: no layer among the pairs {signals.pairs}; pair at least one layer's state")
        weights = active_layers(signals.progress if self.progressive else 1.0, len(pairs), self.share)
        losses = [
            weight
            * feature_map_loss(
                mapped(signals.student_states[own], learned), signals.teacher_states[other], signals.mask
            )
            for weight, (own, other) in zip(weights, pairs, strict=True)
            if weight > 0
        ]
        return torch.stack(losses).sum() / len(pairs)
