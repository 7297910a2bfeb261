"""TinyBERT's hidden-state and embedding losses (Jiao et al. 2020, arXiv:1909.10351, eq. 8–9).

Mean squared error between a student state, times a learned matrix where the sizes differ, and its teacher's state,
on real tokens. The embedding's output is state 0, so eq. 9 is the same loss on one more pair. Deviations: one matrix
serves all layers and the embedding (the paper has one for the layers and one for the embedding), and the result is
the mean over pairs, not their sum. A mean over hundreds of numbers is small, hence the weight of 100
(docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.compress.distil.signals import Loss, Shapes, Signals
from edgepack.compress.distil.states import SQUARE, initial_map, mapped, mean_square, relative, state_square


def hidden_state_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Paired states, each `(batch, seq, H)` → mean squared error over real tokens, pairs and H."""
    return torch.stack([mean_square(own, other, mask) for own, other in zip(student, teacher, strict=True)]).mean()


@dataclass(frozen=True)
class HiddenStates(Loss):
    """Mean squared error of all paired hidden states, the embedding's output among them.

    `normalized`: by the teacher's mean square.
    """

    weight: float = 100.0
    normalized: bool = False

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return {0, *(layer + 1 for layer in followed)}

    @property
    def follows_map(self) -> bool:
        return True

    @property
    def measures(self) -> bool:
        return self.normalized

    def initial(self, shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
        return initial_map(shapes)

    def measure(self, signals: Signals, learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        teacher = [signals.teacher_states[other] for _, other in signals.pairs]
        return {SQUARE: state_square(teacher, signals.mask)} if self.normalized else {}

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        student = [mapped(signals.student_states[own], learned) for own, _ in signals.pairs]
        teacher = [signals.teacher_states[other] for _, other in signals.pairs]
        loss = hidden_state_loss(student, teacher, signals.mask)
        return relative(loss, teacher, signals.mask, learned) if self.normalized else loss
