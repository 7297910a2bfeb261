"""Patient knowledge distillation (Sun et al. 2019, arXiv:1908.09355, eq. 7): first-token states of the layers between.

`‖h_s / ‖h_s‖ − h_t / ‖h_t‖‖²` for the first token of every intermediate layer: not the embedding's output, and not
the last layer, which the prediction loss teaches. The paper sums over examples and layers; this is the mean, so that
neither changes the loss's size: 0 to 4. Equal sizes need no map, as in the paper; others get a learned one.

PKD-Skip takes the given pairs, which are spread evenly. PKD-Last matches the student's intermediate layers with the
teacher's last ones, whatever the pairs are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.distil.signals import Counted, Loss, Shapes, Signals
from edgepack.compress.distil.states import initial_map, mapped
from edgepack.errors import InputError

Pairs = tuple[tuple[int, int], ...]


def patience_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """First-token states `(batch, H)` of both → mean over examples of the squared distance of their directions."""
    difference = F.normalize(student.float(), dim=-1) - F.normalize(teacher.detach().float(), dim=-1)
    return difference.square().sum(-1).mean()


def skip_pairs(pairs: Pairs, student_states: int) -> Pairs:
    """Those of the pairs that hold an intermediate layer of the student."""
    return tuple((own, other) for own, other in pairs if 0 < own < student_states - 1)


def last_pairs(student_states: int, teacher_states: int) -> Pairs:
    """The student's intermediate states with the teacher's last intermediate ones, as many as both have."""
    count = min(student_states, teacher_states) - 2
    return tuple((student_states - 1 - i, teacher_states - 1 - i) for i in range(count, 0, -1))


@dataclass(frozen=True)
class Patience(Loss):
    """Direction of the first token's state in every intermediate layer."""

    layers: Literal["skip", "last"] = "skip"
    first_token: ClassVar[bool] = True
    counted: ClassVar[Counted] = "examples"

    def __post_init__(self) -> None:
        if self.layers not in ("skip", "last"):
            raise InputError(f"patience: layers is {self.layers!r}; allowed: skip, last")

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        if self.layers == "skip":
            return {layer + 1 for layer in followed[:-1]}
        return set(range(layers - len(followed), layers + 1))  # as many as the student has, counted from the last

    @property
    def follows_map(self) -> bool:
        return self.layers == "skip"

    def initial(self, shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
        return initial_map(shapes)

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        own, other = len(signals.student_states), len(signals.teacher_states)
        pairs = skip_pairs(signals.pairs, own) if self.layers == "skip" else last_pairs(own, other)
        if not pairs:
            raise InputError(
                f"patience: no intermediate layer to match, student states {own}, teacher states {other}; "
                "at least 3 of each are needed; leave this loss out"
            )
        losses = [
            patience_loss(mapped(signals.student_states[s][:, 0], learned), signals.teacher_states[t][:, 0])
            for s, t in pairs
        ]
        return torch.stack(losses).mean()
