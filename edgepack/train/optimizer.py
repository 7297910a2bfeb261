"""AdamW over a student and what its losses learn, with moments that can be saved and put back.

The whole embedding table is updated at every step, rows without a gradient by their momentum, as in AdamW. Updating
only a batch's rows would save some 5 % of a step, but a rare word's row would then move by one step for each time it
is seen, not by the 1 / (1 − β₁/√β₂) ≈ 11 that its momentum lasts. Its gradient is summed up in memory that stays:
autograd would fill a table with zeros for each piece of a batch, which took a tenth of a small student's step.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from edgepack.compress.surgery import State
from edgepack.student.model import Student

MOMENTS = ("exp_avg", "exp_avg_sq")
STEP = "step"  # how often a parameter was updated: one that joins later starts at 0, for Adam's bias correction
BETAS = (0.9, 0.98)


def named_parameters(student: Student, learned: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """All that is trained, by the names that moments have."""
    return dict(student.named_parameters()) | {f"learned.{name}": value for name, value in learned.items()}


def make_optimizer(
    student: Student,
    weight_decay: float,
    learned: Mapping[str, Parameter] | None = None,
    betas: tuple[float, float] = BETAS,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019); norms, biases, embeddings, steps and what losses learn are not decayed."""
    decayed: list[Parameter] = []
    others: list[Parameter] = []
    for name, parameter in named_parameters(student, learned or {}).items():
        exempt = parameter.dim() <= 1 or name.startswith(("embeddings.", "learned.")) or name.endswith(".log_step")
        (others if exempt else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=1e-6, fused=True)


class TableGradient:
    """The gradient of the student's word table, in memory of its own from step to step.

    On a CPU lookups give the rows they read, which `gather` adds up in their order. A GPU adds in any order, so there
    autograd makes the table.
    """

    def __init__(self, student: Student, device: torch.device) -> None:
        self.word = student.embeddings.word
        self.word.sparse = device.type == "cpu"
        self.table = torch.zeros_like(self.word.weight, requires_grad=False) if self.word.sparse else None

    def gather(self) -> None:
        """Make a gradient of single rows one of the whole table."""
        gradient = self.word.weight.grad
        if self.table is None or gradient is None or not gradient.is_sparse:
            return
        self.word.weight.grad = self.table.zero_().index_add_(0, gradient._indices()[0], gradient._values())

    def end(self) -> None:
        """Lookups give gradients of the whole table again."""
        self.word.sparse = False


def read_moments(parameters: Mapping[str, Parameter], optimizer: torch.optim.Optimizer) -> State:
    """The optimizer's moments and step counts by parameter name, on the CPU: its own tensors, where it is there."""
    moments: State = {}
    for name, parameter in parameters.items():
        state = optimizer.state.get(parameter, {})
        for kind in (*MOMENTS, STEP):
            if kind in state:
                moments[f"{name}.{kind}"] = state[kind].detach().cpu()
    return moments


def restore_moments(
    parameters: Mapping[str, Parameter], optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]
) -> None:
    """Put moments and step counts back, zeros where there are none."""
    for name, parameter in parameters.items():
        step = moments.get(f"{name}.{STEP}", torch.tensor(0.0))
        state: State = {STEP: step.to(parameter.device, copy=True)}
        for kind in MOMENTS:
            value = moments.get(f"{name}.{kind}")
            state[kind] = torch.zeros_like(parameter) if value is None else value.to(parameter.device, copy=True)
        optimizer.state[parameter] = state
