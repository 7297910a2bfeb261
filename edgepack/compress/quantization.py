"""Rounding weights and activations exactly as the runtimes do, and training through it.

Three number formats, each a plain function from a float tensor to integers and their scales:

- int8, one scale per output channel: `w ≈ q · scale[c]`, q in −127…127.
- int4 blocks: `w ≈ q · m[c, b] · scale[c]`, q in −8…7, m in 1…15 per block of `block_size` input columns.
  `q · m` fits in int8, so a runtime that expands the file once at load runs at int8 speed.
- rows (embedding tables): `w ≈ q · scale[r] + minimum[r]`, q in 0…2^bits − 1. Scale and minimum are fp32 at
  8 bits and fp16 at 4 bits, the formats of torch's `embedding_bag_{byte,4bit}_rowwise_offsets`.

Activations are rounded per example to uint8 with one scale, zero always exact: what `DynamicQuantizeLinear`
(ONNX) and qnnpack's dynamic linear compute for a batch of one. Training uses the straight-through
estimator (Bengio et al. 2013, arXiv:1308.3432) on the same functions; nothing here is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

INT4_MIN, INT4_MAX, MULTIPLIER_MAX = -8, 7, 15
TINY = 1e-12  # keeps an all-zero channel from dividing by zero


@dataclass(frozen=True)
class ChannelInt8:
    """int8 weight `(out, in)` and fp32 `scale (out,)`."""

    q: Tensor
    scale: Tensor

    def dequantize(self) -> Tensor:
        return self.q.float() * self.scale[:, None]


@dataclass(frozen=True)
class BlockInt4:
    """4-bit weight `(out, in)` held in int8, `multiplier (out, blocks)` 1…15 in uint8, `scale (out,)`.

    The last block is shorter where `in` is not a multiple of `block_size`.
    """

    q: Tensor
    multiplier: Tensor
    scale: Tensor
    block_size: int

    def int8_operand(self) -> Tensor:
        """`q · m` as int8 `(out, in)`: the operand of the int8 matrix product."""
        spread = self.multiplier.to(torch.int8).repeat_interleave(self.block_size, dim=1)
        return self.q * spread[:, : self.q.shape[1]]

    def dequantize(self) -> Tensor:
        return self.int8_operand().float() * self.scale[:, None]


@dataclass(frozen=True)
class RowTable:
    """uint8 codes `(rows, columns)`, `scale (rows,)` and `minimum (rows,)`, stored as fp32 or fp16."""

    q: Tensor
    scale: Tensor
    minimum: Tensor
    bits: int

    def dequantize(self) -> Tensor:
        return self.q.float() * self.scale.float()[:, None] + self.minimum.float()[:, None]


def quantize_int8(weight: Tensor) -> ChannelInt8:
    """Symmetric int8 per output channel, range −127…127 (−128 unused, so no sign asymmetry)."""
    weight = weight.float()
    scale = weight.abs().amax(dim=1).clamp(min=TINY) / 127
    q = torch.clamp(torch.round(weight / scale[:, None]), -127, 127)
    return ChannelInt8(q.to(torch.int8), scale)


def quantize_int4(weight: Tensor, block_size: int = 32) -> BlockInt4:
    """4-bit blocks with an integer multiplier each; the block step is its largest magnitude / 7."""
    weight = weight.float()
    rows, columns = weight.shape
    blocks = -(-columns // block_size)
    padded = torch.nn.functional.pad(weight, (0, blocks * block_size - columns)).view(rows, blocks, block_size)
    step = padded.abs().amax(dim=2) / INT4_MAX
    scale = step.amax(dim=1).clamp(min=TINY) / MULTIPLIER_MAX
    multiplier = torch.clamp(torch.ceil(step / scale[:, None] - 1e-4), 1, MULTIPLIER_MAX)
    unit = (multiplier * scale[:, None])[:, :, None]
    q = torch.clamp(torch.round(padded / unit), INT4_MIN, INT4_MAX).view(rows, -1)[:, :columns]
    return BlockInt4(q.to(torch.int8).contiguous(), multiplier.to(torch.uint8), scale, block_size)


def quantize_rows(table: Tensor, bits: int) -> RowTable:
    """Asymmetric codes per row; scale and minimum rounded to the stored type before the codes are chosen."""
    stored = torch.float16 if bits == 4 else torch.float32
    table = table.float()
    levels = 2**bits - 1
    minimum = table.amin(dim=1).to(stored)
    scale = ((table.amax(dim=1) - minimum.float()) / levels).clamp(min=1e-7).to(stored)
    q = torch.clamp(torch.round((table - minimum.float()[:, None]) / scale.float()[:, None]), 0, levels)
    return RowTable(q.to(torch.uint8), scale, minimum, bits)


def round_weight(weight: Tensor, bits: int, block_size: int) -> Tensor:
    """The weight as the runtime sees it, `(out, in)`; gradients pass straight through."""
    if bits == 32:
        return weight
    with torch.no_grad():
        quantized = quantize_int8(weight) if bits == 8 else quantize_int4(weight, block_size)
        error = (quantized.dequantize() - weight).to(weight.dtype)
    return weight + error


def round_rows(table: Tensor, bits: int) -> Tensor:
    """The embedding rows as the runtime sees them, `(rows, columns)`; gradients pass straight through."""
    if bits == 32:
        return table
    with torch.no_grad():
        error = (quantize_rows(table.flatten(0, -2), bits).dequantize().view_as(table) - table).to(table.dtype)
    return table + error


def round_activation(x: Tensor) -> Tensor:
    """Dynamic uint8 rounding of `(batch, …)`, one scale and zero point per example, as at batch size 1."""
    with torch.no_grad():
        flat = x.detach().float().flatten(1)
        low, high = flat.amin(dim=1).clamp(max=0), flat.amax(dim=1).clamp(min=0)
        scale = ((high - low) / 255).clamp(min=TINY)
        zero_point = torch.clamp(torch.round(-low / scale), 0, 255)
        shape = (-1,) + (1,) * (x.dim() - 1)
        scale, zero_point = scale.view(shape), zero_point.view(shape)
        q = torch.clamp(torch.round(x.float() / scale) + zero_point, 0, 255)
        error = ((q - zero_point) * scale - x.float()).to(x.dtype)
    return x + error
