"""DistilBERT's cosine loss (Sanh et al. 2019, arXiv:1910.01108, §3): the last hidden states point the same way.

`1 − cos(student, teacher)` for each real token, mean over them; lengths are free. Where the sizes differ a learned
map comes first, which the paper does not need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.distil.signals import Loss, Shapes, Signals
from edgepack.compress.distil.states import initial_map, mapped, token_mean


def cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Two `(batch, seq, H)` → mean of `1 − cos` over real tokens: 0 to 2."""
    cosine = F.cosine_similarity(student.float(), teacher.detach().float(), dim=-1)
    return token_mean(1 - cosine, mask)


@dataclass(frozen=True)
class CosineStates(Loss):
    """Direction of the last hidden state."""

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return {layers}

    def initial(self, shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
        return initial_map(shapes)

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        return cosine_loss(mapped(signals.student_states[-1], learned), signals.teacher_states[-1], signals.mask)
