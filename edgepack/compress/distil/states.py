"""Hidden states of two hidden sizes: the learned map between them, and means over real tokens.

TinyBERT (Jiao et al. 2020, arXiv:1909.10351, eq. 8–9) multiplies the student's states by a learned matrix where the
sizes differ. Here the matrix starts as a truncated identity, since a student is carved out of the teacher's own
dimensions, and where the sizes are equal there is none.

The mean square of a state is 0.2 to 1.2, by teacher, and a mean squared error grows with it. A loss with `normalized`
divides by it, so that its weight means the same for every teacher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.distil.signals import Shapes

MAP = "map"
SQUARE = "square"  # the teacher's mean square, of the whole batch


def initial_map(shapes: Shapes) -> dict[str, Tensor]:
    """`{"map": (teacher_hidden, student_hidden)}`, ones on the diagonal; nothing where the sizes are equal."""
    if shapes.student_hidden == shapes.teacher_hidden:
        return {}
    return {MAP: torch.eye(shapes.teacher_hidden, shapes.student_hidden)}


def mapped(state: Tensor, learned: Mapping[str, Tensor]) -> Tensor:
    """A student state `(…, student_hidden)` in the teacher's size and in fp32."""
    return F.linear(state.float(), learned[MAP]) if MAP in learned else state.float()


def token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """`values (batch, seq, …)` → mean over the real tokens and whatever follows; padding is multiplied by 0."""
    real = mask.reshape(*mask.shape, *[1] * (values.dim() - 2)).to(values.dtype)
    return (values * real).sum() / (real.sum() * values[0, 0].numel())


def mean_square(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of two `(batch, seq, H)` over real tokens and H; the teacher gets no gradient."""
    real = mask[:, :, None].float()
    return cast(Tensor, SquaredDistance.apply(student, teacher, real)) / (real.sum() * student.shape[-1])


class SquaredDistance(torch.autograd.Function):
    """Sum of `((student − teacher) · real)²` in fp32, with a gradient of `student` alone.

    In half the time of the same sum by autograd, which keeps each product in between and goes over all of them again.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
        """`real`: 1 or 0 by token, broadcast; more than 0 and 1 would need its square in the gradient."""
        difference = student.to(torch.float32, copy=True).sub_(teacher).mul_(real)
        ctx.save_for_backward(difference)
        ctx.dtype = student.dtype
        return difference.flatten().dot(difference.flatten())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (difference,) = ctx.saved_tensors
        return (difference * (2 * gradients[0])).to(ctx.dtype), None, None


def state_square(states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Mean square of the teacher's states, each `(batch, seq, H)`: over real tokens, H and states; no gradient."""
    real = mask[:, :, None].float()
    squares = [(state.detach().float() * real).square().sum() for state in states]
    return torch.stack(squares).mean() / (real.sum() * states[0].shape[-1])


def relative(loss: Tensor, states: Sequence[Tensor], mask: Tensor, learned: Mapping[str, Tensor]) -> Tensor:
    """A mean squared error by the teacher's mean square: the whole batch's, where that was measured."""
    return loss / (learned[SQUARE] if SQUARE in learned else state_square(states, mask))
