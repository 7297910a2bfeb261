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
  carved table is centred, and a scale that is 4 % coarse costs nothing compared with two bits.

A bit width is a value, a `BitWidth`: one of the six below, which know their levels and how their codes are stored.
Configs, targets and the command line write them as whole numbers, which `bit_width` reads.

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
from typing import Any, cast

import torch
from torch import Tensor

from edgepack.errors import InputError

# x86 CPUs without VNNI add two products of uint8 and int8 in 16 bits and saturate (VPMADDUBSW): 2 · 255 · 64 < 2^15
# holds, 2 · 255 · 127 does not. Relaxed WebAssembly SIMD leaves open what more than 7 bits of the second factor give.
OPERAND_MAX = 63
LARGEST_MULTIPLIER = 15  # of a block: four bits in the file
TINY = 1e-12  # keeps an all-zero channel from dividing by zero
SMALLEST_SCALE = 2.0**-22  # of fp16: a channel this small has hardly any effect
REFINEMENTS = 2
ROUNDED_BY = ("example", "token", "nothing")  # what shares a range of activations
ROW_SCALES_PER_OCTAVE, ROW_SCALE_ZERO = 16, 128


@dataclass(frozen=True)
class BitWidth:
    """How finely numbers are rounded, and what that makes of their codes.

    `bits` is what configs, targets and the command line write. A code takes one of `levels` values (0: numbers are not
    rounded); a matrix's codes run from −`largest_code` to `largest_code`. `normal_step` is the best step of an even
    quantizer with so many levels on normal values, in standard deviations, where the step is searched, and `None` where
    the largest magnitude sets it.

    In a packed file a code is cut into `planes`, parts of so many bits, low bits first, each stored with its like; with
    no planes it is a digit in base `levels`, `digits_per_byte` of them to a byte.
    """

    name: str
    bits: int
    levels: int = 0
    largest_code: int = 0
    normal_step: float | None = None
    planes: tuple[int, ...] = ()
    digits_per_byte: int = 0

    @property
    def is_rounded(self) -> bool:
        """Whether numbers are rounded at all."""
        return self.levels > 0

    @property
    def in_blocks(self) -> bool:
        """Whether a matrix has a multiplier for each block of its columns: below 8 bits."""
        return 0 < self.levels <= 16

    @property
    def centred(self) -> bool:
        """Whether a table's rows are centred, with a scale and no minimum: below 4 bits."""
        return self.normal_step is not None

    @property
    def code_step(self) -> int:
        """Difference of neighbouring codes: 2 where they are odd, since an even number of levels is centred on 0."""
        return 2 if self.centred and self.levels % 2 == 0 else 1

    @property
    def largest_multiplier(self) -> int:
        """Largest multiplier of a block: code times multiplier is an operand of the int8 product."""
        return min(LARGEST_MULTIPLIER, OPERAND_MAX // self.largest_code)

    @property
    def codes_per_byte(self) -> float:
        """Codes that share a byte of a packed file, on average."""
        return self.digits_per_byte or 8 / self.bits

    @property
    def stored_bits(self) -> float:
        """Bits that a number takes in a packed file."""
        return 8 / self.codes_per_byte

    def packed_bytes(self, count: int) -> int:
        """Bytes of `count` packed codes; each plane is padded to whole bytes."""
        if self.digits_per_byte:
            return -(-count // self.digits_per_byte)
        return sum(-(-count * plane // 8) for plane in self.planes)

    def __str__(self) -> str:
        return self.name


FP32 = BitWidth("fp32", 32)
INT8 = BitWidth("int8", 8, levels=256, largest_code=OPERAND_MAX, planes=(8,))
INT4 = BitWidth("int4", 4, levels=16, largest_code=7, planes=(4,))
# the codes of 3 and 2 bits are 2 apart, and so half of the paper's step is between numbers
INT3 = BitWidth("int3", 3, levels=8, largest_code=7, normal_step=0.586 / 2, planes=(2, 1))
INT2 = BitWidth("int2", 2, levels=4, largest_code=3, normal_step=0.9957 / 2, planes=(2,))
TERNARY = BitWidth("ternary", 1, levels=3, largest_code=1, normal_step=1.224, digits_per_byte=5)  # 3^5 = 243
WIDTHS = {width.bits: width for width in (TERNARY, INT2, INT3, INT4, INT8, FP32)}
BITS = tuple(WIDTHS)  # what a config may hold


def bit_width(bits: int) -> BitWidth:
    """The width that configs, targets and the command line write as this number."""
    if bits not in WIDTHS:
        raise InputError(f"bit width is {bits!r}; allowed: {', '.join(map(str, BITS))}; 1 is ternary, 32 not rounded")
    return WIDTHS[bits]


def small_table_width(words: BitWidth) -> BitWidth:
    """How the small tables of a student are rounded whose word table has this width: less, since they are small."""
    if not words.is_rounded:
        return FP32
    return INT4 if words.centred else INT8


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
    width: BitWidth

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
    width: BitWidth

    def dequantize(self) -> Tensor:
        return self.q.float() * self.scale.float()[:, None] + self.minimum.float()[:, None]


@dataclass(frozen=True)
class CentredRows:
    """Codes of a table `(rows, columns)` in int8 and the uint8 `exponent (rows,)` of their scales."""

    q: Tensor
    exponent: Tensor
    width: BitWidth

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


def quantize_blocks(weight: Tensor, width: BitWidth, block_size: int = 32, step: Tensor | None = None) -> Blocks:
    """Blocks with an integer multiplier each; at 4 bits a block's step is its largest magnitude / 7, below searched.

    `step`, fp32 `(out, blocks)`: the steps wanted instead, such as learned ones.
    """
    q, multiplier, scale = _block_codes(weight, width, block_size, step)
    q = q.flatten(1)[:, : weight.shape[1]]
    return Blocks(q.to(torch.int8).contiguous(), multiplier.to(torch.uint8), scale, block_size, width)


def block_steps(weight: Tensor, width: BitWidth, block_size: int) -> Tensor:
    """The step of each block of a matrix `(out, in)`, before it is stored: `(out, blocks)`."""
    return _chosen_steps(cut_into_blocks(weight.float(), block_size), width)


def _chosen_steps(blocks: Tensor, width: BitWidth) -> Tensor:
    searched = width.normal_step is not None
    return search_step(blocks, width) if searched else blocks.abs().amax(dim=2) / width.largest_code


def cut_into_blocks(weight: Tensor, block_size: int) -> Tensor:
    """`(out, in)` as `(out, blocks, block_size)`, a short last block filled up with zeros."""
    rows, columns = weight.shape
    blocks = number_of_blocks(columns, block_size)
    missing = blocks * block_size - columns
    padded = torch.nn.functional.pad(weight, (0, missing)) if missing else weight
    return padded.reshape(rows, blocks, block_size)


def number_of_blocks(columns: int, block_size: int) -> int:
    """Blocks of a row; the last may be short."""
    return -(-columns // block_size)


def _block_codes(
    weight: Tensor, width: BitWidth, block_size: int, step: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """What `Blocks` holds, as floats: codes `(out, blocks, block_size)`, a short last block filled up."""
    blocks = cut_into_blocks(weight.float(), block_size)
    up = step is None and width.normal_step is None  # or the largest magnitude, which sets the step, is clipped
    multiplier, scale = stored_steps(_chosen_steps(blocks, width) if step is None else step, width, up)
    return codes_(blocks / (multiplier * scale[:, None])[:, :, None], width), multiplier, scale


def stored_steps(step: Tensor, width: BitWidth, up: bool = False) -> tuple[Tensor, Tensor]:
    """Whole multipliers `(out, blocks)` and scales `(out,)`; their products are near the steps, or not below (`up`)."""
    most = width.largest_multiplier
    scale = stored_scale(step.amax(dim=1) / most)
    multiplier = step / scale[:, None]
    multiplier = torch.ceil(multiplier - 1e-4) if up else torch.round(multiplier)
    return torch.clamp(multiplier, 1, most), scale


def quantize_rows(table: Tensor, width: BitWidth) -> RowTable:
    """8- or 4-bit codes per row; scale and minimum rounded to the stored type before the codes are chosen."""
    stored = torch.float32 if width == INT8 else torch.float16
    table = table.float()
    levels = width.levels - 1
    minimum = table.amin(dim=1).half().to(stored)
    scale = ((table.amax(dim=1) - minimum.float()) / levels).clamp(min=1e-7).half().to(stored)
    q = torch.clamp(torch.round((table - minimum.float()[:, None]) / scale.float()[:, None]), 0, levels)
    return RowTable(q.to(torch.uint8), scale, minimum, width)


def quantize_centred_rows(table: Tensor, width: BitWidth) -> CentredRows:
    """3-bit, 2-bit or ternary codes per row with one searched scale each, no minimum."""
    table = table.float()
    step = search_step(table, width).clamp(min=TINY)
    exponent = torch.clamp(torch.round(torch.log2(step) * ROW_SCALES_PER_OCTAVE) + ROW_SCALE_ZERO, 0, 255)
    rows = CentredRows(torch.zeros_like(table, dtype=torch.int8), exponent.to(torch.uint8), width)
    return CentredRows(codes_(table / rows.scale[:, None], width).to(torch.int8), rows.exponent, width)


def codes_(x: Tensor, width: BitWidth) -> Tensor:
    """`x` itself, each number replaced by its nearest code: whole at 4 bits and for ternary, odd at 3 and 2 bits."""
    most = width.largest_code
    nearest = x.round_() if width.code_step == 1 else x.div_(2).floor_().mul_(2).add_(1)
    return nearest.clamp_(-most, most)


def search_step(values: Tensor, width: BitWidth) -> Tensor:
    """The step of each group `(…, n)` → `(…)`: a normal distribution's best, refined by least squares on its codes."""
    assert width.normal_step is not None, f"{width}: the largest magnitude sets the step"
    step = values.square().mean(dim=-1).sqrt() * width.normal_step
    q, products = torch.empty_like(values), torch.empty_like(values)
    for _ in range(REFINEMENTS):
        codes_(torch.div(values, step.clamp(min=TINY)[..., None], out=q), width)
        refined = torch.mul(values, q, out=products).sum(dim=-1) / q.square_().sum(dim=-1).clamp(min=1)
        step = torch.where(refined > 0, refined, step)
    return step


def stored_scale(scale: Tensor) -> Tensor:
    """A scale as files store it: an fp16 number, in fp32."""
    return scale.clamp(min=SMALLEST_SCALE).half().float()


def round_weight(weight: Tensor, width: BitWidth, block_size: int) -> Tensor:
    """The weight as the runtime sees it, `(out, in)`; gradients pass straight through."""
    if not width.is_rounded:
        return weight
    with torch.no_grad():
        if width.in_blocks:  # as `Blocks.dequantize` has it, without the small integers in between
            q, multiplier, scale = _block_codes(weight, width, block_size)
            rounded = q.mul_(multiplier[:, :, None]).mul_(scale[:, None, None]).flatten(1)[:, : weight.shape[1]]
        else:
            rounded = quantize_int8(weight).dequantize()
    return cast(Tensor, StraightThrough.apply(weight, rounded.to(weight.dtype)))


def round_rows(table: Tensor, width: BitWidth) -> Tensor:
    """The embedding rows as the runtime sees them, `(…, columns)`; gradients pass straight through."""
    if not width.is_rounded:
        return table
    with torch.no_grad():
        flat = table.flatten(0, -2)
        quantized = quantize_centred_rows(flat, width) if width.centred else quantize_rows(flat, width)
        rounded = quantized.dequantize().view_as(table).to(table.dtype)
    return cast(Tensor, StraightThrough.apply(table, rounded))


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
    return cast(Tensor, StraightThrough.apply(x, rounded))


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
