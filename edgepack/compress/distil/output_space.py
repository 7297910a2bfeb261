"""Layers matched in class space, after Universal-KD (Wu et al. 2021, EMNLP, "Universal-KD: Attention-based
Output-Grounded Intermediate Layer Knowledge Distillation").

Small classifiers sit on the first token's state of every intermediate layer of student and teacher. A student layer's
distribution is pulled (KL) to a mixture of the teacher layers' distributions, weighted by attention: the softmax over
teacher layers of the dot product of both layers' logits. Sizes, layer counts and architectures are free, since
only classes are compared.

The teacher's classifiers learn from the teacher's own prediction, and from nothing else: were they trained by the
match too, all classifiers could agree on a constant. The paper's abstract fixes pseudo classifiers and attention-based
projection; KL, the dot product, and training the teacher's classifiers with the student's are choices made here.
For text classification only: a labelled token's place in the sentence is not among the signals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.distil.signals import Counted, Loss, Shapes, Signals
from edgepack.errors import InputError

INITIAL_SCALE = 0.02  # standard deviation of the classifiers' first weights, BERT's


def class_logits(states: tuple[Tensor, ...], weight: Tensor, bias: Tensor) -> Tensor:
    """First tokens of `(batch, seq, H)` under classifiers `(layers, classes, H)` → `(batch, layers, classes)`."""
    first = torch.stack([state[:, 0].float() for state in states], dim=1)
    return torch.einsum("blh,lch->blc", first, weight) + bias


def attended_targets(student: Tensor, teacher: Tensor) -> Tensor:
    """Logits `(batch, layers, C)` of both → the distribution that each student layer is to match."""
    attention = torch.softmax(student @ teacher.transpose(1, 2), dim=-1)  # (batch, student layers, teacher layers)
    return attention @ torch.softmax(teacher, dim=-1)


def matching_loss(student: Tensor, targets: Tensor) -> Tensor:
    """Logits and distributions `(batch, layers, C)` → mean KL(targets ‖ student) over examples and layers."""
    log = F.log_softmax(student, dim=-1)
    return (torch.xlogy(targets, targets) - targets * log).sum(-1).mean()


@dataclass(frozen=True)
class OutputSpace(Loss):
    """Intermediate layers of both, matched in the space of `classes`; 0: the task's labels."""

    classes: int = 0
    first_token: ClassVar[bool] = True
    counted: ClassVar[Counted] = "examples"

    def __post_init__(self) -> None:
        if self.classes < 0 or self.classes == 1:
            raise InputError(
                f"output space: classes is {self.classes}; allowed: 0 (the task's labels), or as many as those"
            )

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return set(range(layers + 1))

    def initial(self, shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
        learned, classes = {}, self.classes or shapes.classes
        if classes < 2:
            raise InputError(f"output space: {classes} classes; allowed: 2 or more, the task's labels")
        for side, states, size in (
            ("student", shapes.student_states, shapes.student_hidden),
            ("teacher", shapes.teacher_states, shapes.teacher_hidden),
        ):
            if states < 3:
                raise InputError(f"output space: {states} {side} states; at least 3 are needed, leave this loss out")
            weight = torch.randn(states - 2, classes, size, generator=generator)
            learned[f"{side}_weight"] = weight * INITIAL_SCALE
            learned[f"{side}_bias"] = torch.zeros(states - 2, classes)
        return learned

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        examples, classes = len(signals.mask), learned["teacher_bias"].shape[1]
        if signals.teacher_logits.shape != (examples, classes):
            raise InputError(
                f"output space: logits {tuple(signals.teacher_logits.shape)} for {examples} examples and "
                f"{classes} classes; this loss is for text classification, with the task's number of classes"
            )
        between = tuple(state.detach() for state in signals.teacher_states[1:-1])
        teacher = class_logits(between, learned["teacher_weight"], learned["teacher_bias"])
        student = class_logits(signals.student_states[1:-1], learned["student_weight"], learned["student_bias"])
        prediction = torch.softmax(signals.teacher_logits.detach().float(), dim=-1)[:, None].expand_as(teacher)
        targets = attended_targets(student.detach(), teacher.detach())
        return matching_loss(teacher, prediction) + matching_loss(student, targets)
