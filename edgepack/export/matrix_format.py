"""Which format a matrix has in a file, and its numbers in that format: the rule that every writer and size model reads.

A matrix that is not rounded is stored as floats, one at 8 bits as int8 codes with a scale for each output channel.
Below 8 bits a matrix has blocks of `config.block_size` columns:

- a file whose own program unpacks weights (ONNX, TorchScript) takes blocks of any size at any width;
- a runtime that reads blocks itself (XNNPACK, Core ML) has kernels for whole blocks of 32 at 4 bits. It gets all other
  matrices as the int8 operand, code times multiplier: exact, and twice the bytes of 4 bits.

A table has one format for each width, so it needs no rule: floats; codes with a scale and a minimum for each row; or,
where its width is `centred`, codes with a scale alone. Its rows take `BitWidth.packed_bytes(columns)` each.
"""

from __future__ import annotations

from enum import Enum

from torch import Tensor

from edgepack.export.linear import Linear
from edgepack.export.weights import Weights
from edgepack.quantization import INT4, BitWidth
from edgepack.student.config import StudentConfig
from edgepack.student.model import matrix_name

KERNEL_WIDTH, KERNEL_BLOCK = INT4, 32  # what XNNPACK's and Core ML's kernels read in blocks


class MatrixFormat(Enum):
    """How a matrix is stored."""

    FLOATS = "floats"
    CHANNELS = "int8 codes, a scale for each channel"
    BLOCKS = "codes of less than 8 bits, a multiplier or a scale for each block"
    OPERAND = "int8 products of code and multiplier, a scale for each channel"


def width_of(linear: Linear, config: StudentConfig) -> BitWidth:
    """How a product's matrix is rounded."""
    return config.width_of(matrix_name(linear.name))


def packed_format(linear: Linear, config: StudentConfig) -> MatrixFormat:
    """The format of a matrix in a file that unpacks it itself."""
    width = width_of(linear, config)
    if not width.is_rounded:
        return MatrixFormat.FLOATS
    return MatrixFormat.BLOCKS if width.in_blocks else MatrixFormat.CHANNELS


def kernel_format(linear: Linear, config: StudentConfig) -> MatrixFormat:
    """The format of a matrix in a file for a runtime with kernels for whole blocks of `KERNEL_BLOCK`."""
    found = packed_format(linear, config)
    if found is not MatrixFormat.BLOCKS:
        return found
    whole = linear.in_features % KERNEL_BLOCK == 0 and config.block_size == KERNEL_BLOCK
    return MatrixFormat.BLOCKS if whole and width_of(linear, config) == KERNEL_WIDTH else MatrixFormat.OPERAND


def scales_per_channel(linear: Linear, found: MatrixFormat) -> int:
    """Scales that a kernel's file holds for each output channel."""
    return linear.in_features // KERNEL_BLOCK if found is MatrixFormat.BLOCKS else 1


def kernel_matrix(weights: Weights, linear: Linear) -> tuple[Tensor, Tensor]:
    """A rounded matrix as a kernel reads it: int8 codes `(out, in)` and fp32 scales `(out, scales_per_channel)`."""
    found = kernel_format(linear, weights.config)
    if found is MatrixFormat.CHANNELS:
        channels = weights.channels(linear)
        return channels.q, channels.scale[:, None]
    blocks = weights.blocks(linear, width_of(linear, weights.config))
    if found is MatrixFormat.OPERAND:
        return blocks.int8_operand(), blocks.scale[:, None]
    return blocks.q, blocks.multiplier * blocks.scale[:, None]
