"""Module replacing inside the loop: in a step, some of the student's layers give way to the teacher's own.

The losses are the phase's. What they see of the student is the mixed model: its logits and, where a loss compares
hidden states, the states of whichever layers ran. The paper has prediction losses alone; that is a recipe's choice.
Steps that measure importance run the student whole. Layers that did not run get gradients of 0, not none: an optimizer
whose step counts differ between parameters could not resume from a checkpoint with the same bits, and the paper's own
code (PyTorch of 2020, gradients zeroed in place) did the same.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edgepack.compress.module_replacing import Groups, ModuleReplacing, draw_successors, theseus_forward
from edgepack.student.model import Student, StudentOutput
from edgepack.train.random import SUCCESSORS, step_generator
from edgepack.train.step import run_student

LAYERS = ("attention.", "feed_forward.", "attention_norms.", "ffn_norms.")


@dataclass(frozen=True, eq=False)
class Replacing:
    """The settings, the frozen teacher as a student of its own shape, and the teacher layers of each student layer."""

    settings: ModuleReplacing
    teacher: Student
    groups: Groups

    def to(self, device: torch.device) -> Replacing:
        """The same with a copy of the teacher on `device`."""
        return replace(self, teacher=deepcopy(self.teacher).to(device).eval())

    def draw(self, seed: int, step: int, progress: float) -> tuple[bool, ...]:
        """For each student layer whether it runs in this step; `progress` is the share of the training done."""
        generator = step_generator(seed, step, SUCCESSORS)
        return draw_successors(len(self.groups), self.settings.rate(progress), generator)

    def forward(self, student: Student, inputs: dict[str, Tensor], successors: tuple[bool, ...]) -> StudentOutput:
        """The mixed model's outputs on a batch; the student's own `forward` where all its layers run."""
        if all(successors):
            return run_student(student, inputs)
        ids, mask, types = inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
        return theseus_forward(student, self.teacher, ids, mask, types, self.groups, successors)


def fill_gradients(student: Student) -> None:
    """Gradients of 0 for the weights of layers that did not run."""
    for name, parameter in student.named_parameters():
        if parameter.grad is None and name.startswith(LAYERS):
            parameter.grad = torch.zeros_like(parameter)
