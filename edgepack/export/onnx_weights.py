"""A student's tensors in the layouts that the ONNX graph stores: transposed, joined, rounded and packed.

ONNX multiplies `(…, in) @ (in, out)`, torch keeps `(out, in)`, so every operand is transposed once here. Rounding is
`edgepack.compress.quantization`, the functions that the torch model trains through. 4-bit codes are packed two to
a byte, halves of the last axis rather than neighbours, so that unpacking is a mask, a shift and a Concat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgepack.compress.quantization import INT4_MIN, quantize_int4, quantize_int8, quantize_rows
from edgepack.student.model import Student

CODE_OFFSET = -INT4_MIN  # codes −8…7 are stored as 0…15


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
        self._operands: dict[str, dict[str, np.ndarray]] = {}

    def parameter(self, path: str) -> np.ndarray:
        """A parameter as fp32."""
        return np.asarray(self.student.get_parameter(path).detach().float().cpu().numpy())

    def bias(self, linear: Linear) -> np.ndarray:
        """Bias `(out,)`."""
        return np.concatenate([self.parameter(f"{path}.bias") for path in linear.paths])

    def operand(self, linear: Linear) -> dict[str, np.ndarray]:
        """`weight` or `codes` `(in, out)`, `multiplier` `(blocks, out)` and `scale` `(out,)`, as the width has them."""
        if linear.name not in self._operands:
            config = self.student.config
            weight = torch.from_numpy(np.concatenate([self.parameter(f"{path}.weight") for path in linear.paths]))
            self._operands[linear.name] = _operand(weight, config.body_bits, config.block_size)
        return self._operands[linear.name]

    def rows(self, path: str, bits: int) -> dict[str, np.ndarray]:
        """`codes` uint8 `(rows, bytes)`, `scale` and `minimum` `(rows, 1)` of an embedding table."""
        key = f"{path}:{bits}"
        if key not in self._operands:
            table = quantize_rows(torch.from_numpy(self.parameter(path)), bits)
            codes = table.q.numpy()
            self._operands[key] = {
                "codes": pack_nibbles(codes) if bits == 4 else codes,
                "scale": table.scale.numpy()[:, None],
                "minimum": table.minimum.numpy()[:, None],
            }
        return self._operands[key]


def pack_nibbles(codes: np.ndarray) -> np.ndarray:
    """uint8 codes 0…15 `(…, n)` → bytes `(…, ⌈n/2⌉)`: column `j` in the low nibble, `j + ⌈n/2⌉` in the high one."""
    half = -(-codes.shape[-1] // 2)
    low, high = codes[..., :half], codes[..., half:]
    packed = low.copy()
    packed[..., : high.shape[-1]] |= high << 4
    return packed


def _operand(weight: Tensor, bits: int, block_size: int) -> dict[str, np.ndarray]:
    """The arrays of a weight `(out, in)`, transposed to `(in, out)`."""
    if bits == 32:
        return {"weight": weight.T.numpy()}
    if bits == 8:
        channels = quantize_int8(weight)
        return {"codes": channels.q.T.numpy(), "scale": channels.scale.numpy()}
    blocks = quantize_int4(weight, block_size)
    codes = blocks.q.T.numpy().astype(np.int16) + CODE_OFFSET
    return {"codes": codes.astype(np.uint8), "multiplier": blocks.multiplier.T.numpy(), "scale": blocks.scale.numpy()}
