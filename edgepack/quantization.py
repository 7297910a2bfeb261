"""Rounding weights and activations exactly as the runtimes do, and training through it.

Number formats, each a plain function from a float tensor to integers and their scales:

- int8, one scale per output channel: `w ≈ q · scale[c]`, q in −63…63 (`OPERAND_MAX`).
- blocks at 4, 3 or 2 bits and ternary: `w ≈ q · m[c, b] · scale[c]`, m per block of `block_size` input columns.
  q is −7…7 at 4 bits; odd, −7…7 and −3…3, at 3 and 2 bits (four levels evenly spread around 0 lose less than
  four with a 0 among them); −1, 0, 1 for ternary weights. m is 1…9 at 4 and 3 bits, 1…15 below, so that `q · m` is in
  −63…63 too, and a runtime that expands the file once at load runs at int8 speed.
- rows at 8 or 4 bits (embedding tables): `w ≈ q · scale[r] + minimum[r]`, q in 0…2^bits − 1. Scale and minimum are
  fp16 numbers, held in fp32 at 8 bits and in fp16 at 4 bits, the formats of torch's
  `embedding_bag_{byte,4bit}_rowwise_offsets`.
- rows at 3 or 2 bits and ternary: `w ≈ q · 2^((e[r] − 128) / 16)`, q as in the blocks, e one byte: a row of a
  carved table is centred, and a scale that is 4 % coarse costs nothing beside two bits.

Widths are written in bits; `TERNARY` stands for three levels, 1.6 bits in the file (five to a byte).

Where the largest magnitude sets the step (8 and 4 bits), nothing is clipped. Below that the step is searched: it
starts at the best one for a normal distribution (Max 1960, doi:10.1109/TIT.1960.1057548, table II) and is then
the least-squares step of the codes it leads to, in turn, twice.

Scales of weights, like all vectors of a rounded student, are fp16 numbers held in fp32: files store two bytes for each.

Activations are rounded per example to uint8 with one scale, zero always exact: what `DynamicQuantizeLinear`
(ONNX) and qnnpack's dynamic linear compute for a batch of one. XNNPACK rounds each token by a range of its own, which
is finer; Core ML leaves activations as they are. Students are trained for the coarsest, the first. Training uses the
straight-through estimator (Bengio et al. 2013, arXiv:1308.3432) on the same functions; nothing here is learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TERNARY = 1
# x86 CPUs without VNNI add two products of uint8 and int8 in 16 bits and saturate (VPMADDUBSW): 2 · 255 · 64 < 2^15
# holds, 2 · 255 · 127 does not. Relaxed WebAssembly SIMD leaves open what more than 7 bits of the second factor give.
OPERAND_MAX = 63
INT4_MAX = 7
MULTIPLIER_MAX = {TERNARY: 15, 2: 15, 3: OPERAND_MAX // 7, 4: OPERAND_MAX // INT4_MAX}  # four bits in the file
TINY = 1e-12  # keeps an all-zero channel from dividing by zero
SMALLEST_SCALE = 2.0**-22  # of fp16: a channel this small has hardly any effect
LEVELS = {TERNARY: 3, 2: 4, 3: 8, 4: 16}
# best step, in standard deviations, of an even quantizer with so many levels on normal values; the codes of 2 and 3
# bits are 2 apart
NORMAL_STEPS = {TERNARY: 1.224, 2: 0.9957 / 2, 3: 0.586 / 2}
REFINEMENTS = 2
ROUNDED_BY = ("example", "token", "nothing")  # what shares a range of activations
ROW_SCALES_PER_OCTAVE, ROW_SCALE_ZERO = 16, 128


@dataclass(frozen=True)
class ChannelInt8:
    """int8 weight `(out, in)` and fp32 `scale (out,)`."""

    q: Tensor
    scale: Tensor

    def dequantize(self) -> Tensor:
        return self.q.float() * self.scale[:, None]


@dataclass(frozen=True)
class Blocks:
    """Codes of a weight `(out, in)` held in int8, `multiplier (out, blocks)` from 1 in uint8, `scale (out,)`.

    The last block is shorter where `in` is not a multiple of `block_size`.
    """

    q: Tensor
    multiplier: Tensor
    scale: Tensor
    block_size: int
    bits: int

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


@dataclass(frozen=True)
class CentredRows:
    """Codes of a table `(rows, columns)` in int8 and the uint8 `exponent (rows,)` of their scales."""

    q: Tensor
    exponent: Tensor
    bits: int

    @property
    def scale(self) -> Tensor:
        """fp32 `(rows,)`."""
        return torch.exp2((self.exponent.float() - ROW_SCALE_ZERO) / ROW_SCALES_PER_OCTAVE)

    def dequantize(self) -> Tensor:
        return self.q.float() * self.scale[:, None]


def quantize_int8(weight: Tensor) -> ChannelInt8:
    """Symmetric int8 per output channel, range −63…63: one bit of eight is left for sums of products."""
    weight = weight.float()
    scale = stored_scale(weight.abs().amax(dim=1) / OPERAND_MAX)
    q = torch.clamp(torch.round(weight / scale[:, None]), -OPERAND_MAX, OPERAND_MAX)
    return ChannelInt8(q.to(torch.int8), scale)


def quantize_blocks(weight: Tensor, bits: int, block_size: int = 32) -> Blocks:
    """Blocks with an integer multiplier each; at 4 bits a block's step is its largest magnitude / 7, below searched."""
    weight = weight.float()
    rows, columns = weight.shape
    blocks = -(-columns // block_size)
    padded = torch.nn.functional.pad(weight, (0, blocks * block_size - columns)).view(rows, blocks, block_size)
    step = padded.abs().amax(dim=2) / INT4_MAX if bits == 4 else search_step(padded, bits)
    most = MULTIPLIER_MAX[bits]
    scale = stored_scale(step.amax(dim=1) / most)
    multiplier = step / scale[:, None]
    multiplier = torch.ceil(multiplier - 1e-4) if bits == 4 else torch.round(multiplier)
    multiplier = torch.clamp(multiplier, 1, most)
    q = codes(padded / (multiplier * scale[:, None])[:, :, None], bits).view(rows, -1)[:, :columns]
    return Blocks(q.to(torch.int8).contiguous(), multiplier.to(torch.uint8), scale, block_size, bits)


def quantize_rows(table: Tensor, bits: int) -> RowTable:
    """8- or 4-bit codes per row; scale and minimum rounded to the stored type before the codes are chosen."""
    stored = torch.float16 if bits == 4 else torch.float32
    table = table.float()
    levels = 2**bits - 1
    minimum = table.amin(dim=1).half().to(stored)
    scale = ((table.amax(dim=1) - minimum.float()) / levels).clamp(min=1e-7).half().to(stored)
    q = torch.clamp(torch.round((table - minimum.float()[:, None]) / scale.float()[:, None]), 0, levels)
    return RowTable(q.to(torch.uint8), scale, minimum, bits)


def quantize_centred_rows(table: Tensor, bits: int) -> CentredRows:
    """3-bit, 2-bit or ternary codes per row with one searched scale each, no minimum."""
    table = table.float()
    step = search_step(table, bits).clamp(min=TINY)
    exponent = torch.clamp(torch.round(torch.log2(step) * ROW_SCALES_PER_OCTAVE) + ROW_SCALE_ZERO, 0, 255)
    rows = CentredRows(torch.zeros_like(table, dtype=torch.int8), exponent.to(torch.uint8), bits)
    return CentredRows(codes(table / rows.scale[:, None], bits).to(torch.int8), rows.exponent, bits)


def codes(x: Tensor, bits: int) -> Tensor:
    """The code nearest to each number, as floats: whole at 4 bits and for ternary weights, odd at 3 and 2 bits."""
    if bits == 4:
        return torch.clamp(torch.round(x), -INT4_MAX, INT4_MAX)
    if bits == TERNARY:
        return torch.clamp(torch.round(x), -1, 1)
    most = LEVELS[bits] - 1
    return torch.clamp(2 * torch.floor(x / 2) + 1, -most, most)


def search_step(values: Tensor, bits: int) -> Tensor:
    """The step of each group `(…, n)` → `(…)`: a normal distribution's best, refined by least squares on its codes."""
    step = values.square().mean(dim=-1).sqrt() * NORMAL_STEPS[bits]
    for _ in range(REFINEMENTS):
        q = codes(values / step.clamp(min=TINY)[..., None], bits)
        refined = (values * q).sum(dim=-1) / q.square().sum(dim=-1).clamp(min=1)
        step = torch.where(refined > 0, refined, step)
    return step


def stored_scale(scale: Tensor) -> Tensor:
    """A scale as files store it: an fp16 number, in fp32."""
    return scale.clamp(min=SMALLEST_SCALE).half().float()


def round_weight(weight: Tensor, bits: int, block_size: int) -> Tensor:
    """The weight as the runtime sees it, `(out, in)`; gradients pass straight through."""
    if bits == 32:
        return weight
    with torch.no_grad():
        quantized = quantize_int8(weight) if bits == 8 else quantize_blocks(weight, bits, block_size)
        error = (quantized.dequantize() - weight).to(weight.dtype)
    return weight + error


def round_rows(table: Tensor, bits: int) -> Tensor:
    """The embedding rows as the runtime sees them, `(…, columns)`; gradients pass straight through."""
    if bits == 32:
        return table
    with torch.no_grad():
        flat = table.flatten(0, -2)
        quantized = quantize_rows(flat, bits) if bits >= 4 else quantize_centred_rows(flat, bits)
        error = (quantized.dequantize().view_as(table) - table).to(table.dtype)
    return table + error


def round_activation(x: Tensor, first_only: bool = False, by: str = "example") -> Tensor:
    """Dynamic 8-bit rounding of `(batch, …)`, one scale and zero point per example, as at batch size 1.

    With `first_only` the range is that of each example's first token, `x[:, 0]`: the runtime computes no other. `by`
    is one of `ROUNDED_BY`: "token" has a range for each token, "nothing" leaves the numbers as they are.
    """
    if by == "nothing":
        return x
    if by == "token":
        return round_activation(x.flatten(0, -2)).view_as(x)
    with torch.no_grad():
        flat = (x[:, :1] if first_only else x).detach().float().flatten(1)
        # amin and amax are vectorized, aminmax along a dimension is not: 20 times as long
        low, high = flat.amin(dim=1).clamp(max=0), flat.amax(dim=1).clamp(min=0)
        shape = (-1,) + (1,) * (x.dim() - 1)
        scale = ((high - low) / 255).clamp(min=TINY)
        zero_point = torch.clamp(torch.round(-low / scale), 0, 255).view(shape)
        scale = scale.view(shape)
        q = x.detach().to(torch.float32, copy=True).div_(scale).round_().add_(zero_point).clamp_(0, 255)
        rounded = q.sub_(zero_point).mul_(scale).to(x.dtype)
    return StraightThrough.apply(x, rounded)


class StraightThrough(torch.autograd.Function):
    """`rounded` in the forward pass, `x`'s gradient in the backward pass; no sum or difference is made."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rounded: Tensor) -> Tensor:
        """Both of one shape and type."""
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """To `x` as it is."""
        return gradient, None
