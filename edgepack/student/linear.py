"""Linear layers that compute what the runtime will: rounded weights times rounded activations.

The step of each block of a weight is chosen by the weight at every step of the training, or it is a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgepack.quantization import (
    FP32,
    SMALLEST_SCALE,
    BitWidth,
    block_steps,
    codes_,
    cut_into_blocks,
    number_of_blocks,
    round_activation,
    round_weight,
    stored_steps,
)


class QuantizedLinear(nn.Linear):
    """A linear layer that computes what the runtime will: rounded weight times rounded activation."""

    width: BitWidth = FP32
    block_size: int = 32
    exact_input: bool = False  # the runtime multiplies the input's own codes: nothing to round
    rounded_by: str = "example"  # what shares a range of activations

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.log_step: nn.Parameter | None = None  # logarithms of the blocks' steps, `(out, blocks)`, if learned

    def forward(self, x: Tensor, first_only: bool = False) -> Tensor:
        return F.linear(self.rounded_input(x, first_only), self.rounded_weight(), self.bias)

    def rounded_input(self, x: Tensor, first_only: bool = False) -> Tensor:
        """The input as the runtime multiplies it."""
        exact = self.exact_input or not self.width.is_rounded
        return x if exact else round_activation(x, first_only, self.rounded_by)

    def rounded_weight(self) -> Tensor:
        """The weight `(out, in)` as the runtime has it."""
        return round_together([self])

    def add_steps(self) -> nn.Parameter:
        """Make room for the steps of the weight's blocks, as parameters."""
        size = (self.out_features, number_of_blocks(self.in_features, self.block_size))
        self.log_step = nn.Parameter(self.weight.new_zeros(size))
        return self.log_step

    def learn_steps(self) -> None:
        """Make the steps parameters, which begin as the weight has them; a width without blocks does not use them."""
        log_step = self.add_steps()
        if self.width.in_blocks:
            step = block_steps(self.weight.detach(), self.width, self.block_size)
            log_step.data = step.clamp(min=SMALLEST_SCALE).log()


class Projection(nn.Module):
    """`(…, in) → (…, out)` by one full matrix, or by two of the given rank: `up(down(x))`."""

    def __init__(self, in_features: int, out_features: int, rank: int = 0, bias: bool = True) -> None:
        super().__init__()
        self.rank = rank
        if rank:
            self.down = QuantizedLinear(in_features, rank, bias=False)
            self.up = QuantizedLinear(rank, out_features, bias=bias)
        else:
            self.full = QuantizedLinear(in_features, out_features, bias=bias)

    def factors(self) -> list[QuantizedLinear]:
        """The linear layers to apply, first to last: one, or two when factorized."""
        return [self.down, self.up] if self.rank else [self.full]

    def forward(self, x: Tensor, first_only: bool = False) -> Tensor:
        for linear in self.factors():
            x = linear(x, first_only)
        return x


def round_together(linears: Sequence[QuantizedLinear]) -> Tensor:
    """The weights of layers with one input as the runtime has them, one below the other; all are rounded alike."""
    first = linears[0]
    weight = torch.cat([linear.weight for linear in linears]) if len(linears) > 1 else first.weight
    steps: list[Tensor] = [linear.log_step for linear in linears if linear.log_step is not None]
    if not steps or not first.width.in_blocks:
        return round_weight(weight, first.width, first.block_size)
    return cast(Tensor, LearnedSteps.apply(weight, torch.cat(steps), first.width, first.block_size))


class LearnedSteps(torch.autograd.Function):
    """Rounding to blocks with gradients to their steps (Esser et al. 2020, "Learned step size quantization", eq. 3).

    A weight within the range of the codes gets its gradient as it is, one beyond it none. A step gets the sum over its
    block of the gradient times (code − weight / step) within the range, times the outermost code beyond it. The
    gradient of a step's logarithm is that times the step.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, log_step: Tensor, width: BitWidth, block_size: int) -> Tensor:
        """`weight (out, in)`, `log_step (out, blocks)`; the rounded weight in the weight's type."""
        multiplier, scale = stored_steps(log_step.float().exp(), width)
        step = (multiplier * scale[:, None])[:, :, None]
        scaled = cut_into_blocks(weight.float(), block_size) / step
        within = scaled.abs() <= width.largest_code + width.code_step / 2
        codes = codes_(scaled.clone(), width)
        ctx.save_for_backward(within, torch.where(within, codes - scaled, codes) * step)
        ctx.block_size = block_size
        return (codes * step).flatten(1)[:, : weight.shape[1]].to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """To the weight and to the logarithms of the steps."""
        within, by_step = ctx.saved_tensors
        blocks = cut_into_blocks(gradient, ctx.block_size)
        of_weight = (blocks * within).flatten(1)[:, : gradient.shape[1]]
        return of_weight, (blocks.float() * by_step).sum(dim=2), None, None
