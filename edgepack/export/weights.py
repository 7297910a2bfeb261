"""A student's numbers as the writers ask for them: fp32, joined where a product joins layers, rounded once each.

Rounding is `edgepack.quantization`, the functions that the torch model trains through. How a format lays the codes out
is the writer's own business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor

from edgepack.export.linear import Linear
from edgepack.quantization import (
    BitWidth,
    Blocks,
    CentredRows,
    ChannelInt8,
    RowTable,
    quantize_blocks,
    quantize_centred_rows,
    quantize_int8,
    quantize_rows,
)
from edgepack.student.model import Student

T = TypeVar("T")


class Weights:
    """The numbers of one student."""

    def __init__(self, student: Student) -> None:
        self.student, self.config = student, student.config
        self._made: dict[tuple[str, BitWidth | None], object] = {}

    def parameter(self, path: str) -> Tensor:
        """A parameter as fp32."""
        return self.student.get_parameter(path).detach().float().cpu()

    def matrix(self, linear: Linear) -> Tensor:
        """A product's matrix, fp32 `(out, in)`."""
        return torch.cat([self.parameter(f"{path}.weight") for path in linear.paths])

    def bias(self, linear: Linear) -> Tensor:
        """A product's bias, fp32 `(out,)`."""
        return torch.cat([self.parameter(f"{path}.bias") for path in linear.paths])

    def channels(self, linear: Linear) -> ChannelInt8:
        """A matrix at 8 bits."""
        return self._once(linear.name, None, lambda: quantize_int8(self.matrix(linear)))

    def blocks(self, linear: Linear, width: BitWidth) -> Blocks:
        """A matrix below 8 bits, in the steps that were learned where they were."""

        def make() -> Blocks:
            return quantize_blocks(self.matrix(linear), width, self.config.block_size, self.steps(linear))

        return self._once(linear.name, width, make)

    def steps(self, linear: Linear) -> Tensor | None:
        """The learned steps of a product's blocks, fp32 `(out, blocks)`; `None` where the weights decide."""
        if not self.config.learned_scales:
            return None
        return torch.cat([self.parameter(f"{path}.log_step") for path in linear.paths]).exp()

    def rows(self, path: str, width: BitWidth) -> RowTable:
        """A table at 8 or 4 bits."""
        return self._once(path, width, lambda: quantize_rows(self.parameter(path), width))

    def centred_rows(self, path: str, width: BitWidth) -> CentredRows:
        """A table below 4 bits."""
        return self._once(path, width, lambda: quantize_centred_rows(self.parameter(path), width))

    def _once(self, name: str, width: BitWidth | None, make: Callable[[], T]) -> T:
        key = (name, width)
        if key not in self._made:
            self._made[key] = make()
        return cast(T, self._made[key])
