"""A student's tensors in the layouts that the ONNX graph stores: transposed, joined, rounded.

ONNX multiplies `(…, in) @ (in, out)`, torch keeps `(out, in)`: int8 operands are transposed here, smaller ones by the
session once it has unpacked them (`onnx_packing.py`). Rounding is `edgepack.quantization`, the functions that
the torch model trains through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgepack.quantization import (
    LEVELS,
    TERNARY,
    quantize_blocks,
    quantize_centred_rows,
    quantize_int8,
    quantize_rows,
)
from edgepack.student.model import Student


@dataclass(frozen=True)
class Linear:
    """One matrix product: the student's linear layers at `paths`, side by side, as one `(in, out)` operand."""

    name: str
    paths: tuple[str, ...]
    in_features: int
    out_features: int
    bias: bool = True


class Weights:
    """A student's tensors in the layouts that the graph stores; each is quantized once."""

    def __init__(self, student: Student) -> None:
        self.student = student
        self._made: dict[tuple[str, int], dict[str, np.ndarray]] = {}

    def parameter(self, path: str) -> np.ndarray:
        """A parameter as fp32."""
        return np.asarray(self.student.get_parameter(path).detach().float().cpu().numpy())

    def bias(self, linear: Linear) -> np.ndarray:
        """Bias `(out,)`."""
        return np.concatenate([self.parameter(f"{path}.bias") for path in linear.paths])

    def operand(self, linear: Linear, bits: int) -> np.ndarray:
        """A weight at 32 bits as it is, at 8 bits its codes, `(in, out)`."""
        weight = self._weight(linear)
        return weight.T.numpy() if bits == 32 else self._int8(linear)["codes"]

    def scale(self, linear: Linear, bits: int) -> np.ndarray:
        """Scales `(out,)` of a weight at 8 bits or less."""
        return (self._int8(linear) if bits == 8 else self.blocks(linear, bits))["scale"]

    def blocks(self, linear: Linear, bits: int) -> dict[str, np.ndarray]:
        """`codes` 0 … levels − 1 `(out, blocks, block)`, the last block padded, and `multiplier` `(out, blocks)`."""
        key = (linear.name, bits)
        if key not in self._made:
            size = self.student.config.block_size
            blocks = quantize_blocks(self._weight(linear), bits, size)
            codes = stored_codes(blocks.q.numpy(), bits)
            rows, count = blocks.multiplier.shape
            padded = np.zeros((rows, count * size), np.uint8)
            padded[:, : codes.shape[1]] = codes
            self._made[key] = {
                "codes": padded.reshape(rows, count, size),
                "multiplier": blocks.multiplier.numpy(),
                "scale": blocks.scale.numpy(),
            }
        return self._made[key]

    def rows(self, path: str, bits: int) -> dict[str, np.ndarray]:
        """`codes` 0 … levels − 1 `(rows, columns)`; `scale` and `minimum` `(rows, 1)`, or `exponent` `(rows, 1)`."""
        key = (path, bits)
        if key not in self._made:
            values = torch.from_numpy(self.parameter(path))
            if bits >= 4:
                table = quantize_rows(values, bits)
                parts = {
                    "codes": table.q,
                    "scale": table.scale.half()[:, None],
                    "minimum": table.minimum.half()[:, None],
                }
                self._made[key] = {name: part.numpy() for name, part in parts.items()}
            else:
                centred = quantize_centred_rows(values, bits)
                codes = stored_codes(centred.q.numpy(), bits)
                self._made[key] = {"codes": codes, "exponent": centred.exponent.numpy()[:, None]}
        return self._made[key]

    def _weight(self, linear: Linear) -> Tensor:
        return torch.from_numpy(np.concatenate([self.parameter(f"{path}.weight") for path in linear.paths]))

    def _int8(self, linear: Linear) -> dict[str, np.ndarray]:
        key = (linear.name, 8)
        if key not in self._made:
            channels = quantize_int8(self._weight(linear))
            self._made[key] = {"codes": channels.q.T.numpy(), "scale": channels.scale.numpy()}
        return self._made[key]


def stored_codes(q: np.ndarray, bits: int) -> np.ndarray:
    """Codes of `edgepack.quantization` as 0 … levels − 1: offset, halved where they are odd."""
    levels = LEVELS[bits]
    offset = 1 if bits == TERNARY else levels // 2
    shifted = (q.astype(np.int16) + levels - 1) // 2 if bits in (2, 3) else q.astype(np.int16) + offset
    return shifted.astype(np.uint8)
