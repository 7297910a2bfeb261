"""The student as a module that torch.export traces and XNNPACK takes whole, but for tables and norms.

Weights are buffers with the student's own codes and scales, not numbers for a quantizer to round again:

- matrices at 8 bits: int8 codes of `quantize_int8` and a scale for each channel, under `dequantize_per_channel`.
- matrices at 4 bits: `q` of `quantize_blocks` and m · scale for each block of 32 inputs, under
  `dequantize_per_channel_group`; XNNPACK keeps those scales as bf16. Where inputs are no multiple of 32 it has no
  kernel, and the same weights are stored as the int8 operand q · m, exact and twice the bytes.
- activations: rounded to int8 with a range for each token, which is XNNPACK's only dynamic scheme. Queries, keys and
  values are three products of one rounded input: one product would have to be cut, which XNNPACK does not do at a
  length that is not fixed.
- tables: `quantized_decomposed::embedding_byte` and `embedding_4bit` with the codes of `quantize_rows`; a row's minimum
  is its zero point, −minimum / scale, which these operators keep as a float. The 4-bit one computes in fp16.

Shapes: one text, any length up to the longest. Reshapes name the one unknown length -1; XNNPACK refuses a symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgepack.export.encoder_walk import LEAST_LENGTH, Attention, Table
from edgepack.export.linear import Linear
from edgepack.export.matrix_format import KERNEL_BLOCK, MatrixFormat, kernel_format, kernel_matrix
from edgepack.export.one_text_walk import OneTextWalk
from edgepack.export.weights import Weights
from edgepack.quantization import INT8, RowTable
from edgepack.student.config import StudentConfig
from edgepack.student.match import match_words
from edgepack.student.model import Student, activation
from edgepack.student.neighbours import sum_neighbours
from edgepack.student.relative_positions import bucket_by_distance

Make = Callable[[Weights], Tensor]
MASKED = -1e9  # added to the scores of padding
LOWEST, HIGHEST = -128, 127  # of int8
INT4_MIN, INT4_MAX = -8, 7  # of int4


class ExecutorchModule(nn.Module):
    """`(input_ids, attention_mask[, token_type_ids])`, int64 `(1, seq)`, to logits.

    Buffers are made out of the student in a first run, here, each once however many layers use it.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.config: StudentConfig = student.config
        self._sources = [Weights(student)]
        with torch.no_grad():
            self(*self.example_inputs())
        self._sources.clear()

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Inputs to trace with, longer than one token: torch takes a length of one for a constant."""
        ids = torch.zeros(1, min(3, self.config.max_position_embeddings), dtype=torch.int64)
        inputs = (ids, torch.ones_like(ids))
        # a tensor of its own: given twice, one tensor would be traced as one input
        return (*inputs, torch.zeros_like(ids)) if self.config.type_vocab_size > 1 else inputs

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        indices = {"words": input_ids[0], "positions": torch.arange(input_ids.shape[1])}
        if self.config.wide_rows:
            indices["buckets"] = input_ids[0] % self.config.wide_rows
        if token_type_ids is not None:
            indices["types"] = token_type_ids[0]
        mask = (1.0 - attention_mask.float()) * MASKED
        logits = ExecutorchEncoder(self.config, self.constant, indices, mask, attention_mask.float()).logits()
        return logits[None] if self.config.per_token else logits

    def constant(self, name: str, make: Make) -> Tensor:
        """The buffer of this name."""
        flat = name.replace(".", "_")
        if not hasattr(self, flat):
            self.register_buffer(flat, make(self._sources[0]).detach().contiguous())
        buffer: Tensor = getattr(self, flat)
        return buffer


class ExecutorchEncoder(OneTextWalk[Tensor]):
    """The walk over tensors. `constant` gives a buffer by name; `mask` and `present` (1 or 0) are `(1, seq)`."""

    def __init__(
        self,
        config: StudentConfig,
        constant: Callable[[str, Make], Tensor],
        indices: dict[str, Tensor],
        mask: Tensor,
        present: Tensor,
    ) -> None:
        super().__init__(config)
        self._constant, self._indices, self._mask, self._present = constant, indices, mask, present
        self._made: dict[str, Tensor] = {}

    def rows(self, table: Table) -> Tensor:
        path, name, width = table.path, table.name, table.width
        if table.index not in self._indices:  # one token type: its row is added to every token
            return self._parameter(path)
        indices = self._indices[table.index]
        if not width.is_rounded:
            return F.embedding(indices, self._parameter(path))
        operators = torch.ops.quantized_decomposed
        codes = self._constant(f"{name}.codes", lambda weights: packed_codes(weights.rows(path, width)))
        scale = self._constant(f"{name}.scale", lambda weights: weights.rows(path, width).scale)
        zero = self._constant(f"{name}.zero", lambda weights: zero_points(weights.rows(path, width)))
        if width == INT8:
            rows: Tensor = operators.embedding_byte(codes, scale, zero, LOWEST, HIGHEST, indices)
            return rows
        rows = operators.embedding_4bit.dtype(
            codes, scale, zero, INT4_MIN, INT4_MAX, indices, dtype=torch.float16
        ).float()
        return rows if table.columns % 2 == 0 else rows[:, : table.columns]

    def linear(self, tag: str, x: Tensor, linear: Linear) -> Tensor:
        return self._multiply(self._rounded(x), linear)

    def query_key_value(self, tag: str, x: Tensor, attention: Attention) -> list[Tensor]:
        if attention.joined is None:
            return super().query_key_value(tag, x, attention)
        rounded, found = self._rounded(x), []
        for (linear,) in attention.inputs:
            found += self.split_heads(tag, self._multiply(rounded, linear), 1, attention.heads, attention.head_size)
        return found

    def add(self, tag: str, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def norm(self, tag: str, x: Tensor, path: str, size: int) -> Tensor:
        gain, bias = self._parameter(f"{path}.weight"), self._parameter(f"{path}.bias")
        if self.config.norm == "no_norm":
            return x * gain + bias
        return F.layer_norm(x, (size,), gain, bias, self.config.norm_eps)

    def activation(self, tag: str, x: Tensor, act: str) -> Tensor:
        return activation(act, x)

    def first(self, tag: str, x: Tensor) -> Tensor:
        return x[:1]

    def first_rows(self, tag: str, x: Tensor) -> Tensor:
        return x[:, :1]

    def mean(self, tag: str, x: Tensor, last: bool) -> Tensor:
        weights, count = self._present, self._present.sum(dim=1, keepdim=True)
        if last:
            weights = weights * (weights.cumsum(dim=1) == count).float()
            return weights @ x
        return (weights @ x) / count

    def unit(self, tag: str, x: Tensor) -> Tensor:
        return x / (x * x).sum(dim=-1, keepdim=True).sqrt().clamp(min=LEAST_LENGTH)

    def sum_neighbours(self, tag: str, x: Tensor, places: Sequence[int]) -> Tensor:
        return sum_neighbours(x * self._present.view(-1, 1), places)

    def matches(self, tag: str, path: str, separator: int) -> Tensor:
        found = match_words(self._indices["words"][None], self._present.long(), separator)
        return found[0, :, None].float() * self._parameter(path)

    def split_heads(self, tag: str, x: Tensor, parts: int, heads: int, size: int) -> list[Tensor]:
        return [x.view(-1, heads, size).permute(1, 0, 2)]

    def attend(self, tag: str, query: Tensor, key: Tensor, value: Tensor, size: int, bias: Tensor | None) -> Tensor:
        scores = torch.bmm(query * size**-0.5, key.permute(0, 2, 1)) + self._mask
        if bias is not None:
            scores = scores + bias
        return torch.bmm(torch.softmax(scores, dim=-1), value)

    def merge_heads(self, tag: str, x: Tensor, inner: int) -> Tensor:
        return x.permute(1, 0, 2).contiguous().view(-1, inner)

    def relative_bias(self, path: str, heads: int) -> Tensor:
        if path not in self._made:
            table = self._parameter(f"{path}.relative_bias")
            self._made[path] = F.embedding(self._pairs(), table).permute(2, 0, 1)
        return self._made[path]

    def _pairs(self) -> Tensor:
        """Bucket of each (query, key), `(seq, seq)`: looked up by their distance, query − key."""
        if "pairs" not in self._made:
            positions, most = self._indices["positions"], self.config.max_position_embeddings
            distances = positions[:, None] - positions[None, :] + (most - 1)
            buckets = self._constant("relative_buckets", lambda _: bucket_by_distance(self.config).int())
            self._made["pairs"] = buckets[distances]
        return self._made["pairs"]

    def _rounded(self, x: Tensor) -> Tensor:
        """The nearest int8 numbers in each token's own range."""
        if not self.config.body_width.is_rounded:
            return x
        operators = torch.ops.quantized_decomposed
        scale, zero = operators.choose_qparams_per_token_asymmetric(x, torch.int8)
        codes = operators.quantize_per_token(x, scale, zero, LOWEST, HIGHEST, torch.int8)
        rounded: Tensor = operators.dequantize_per_token(codes, scale, zero, LOWEST, HIGHEST, torch.int8, torch.float32)
        return rounded

    def _multiply(self, x: Tensor, linear: Linear) -> Tensor:
        bias = None
        if linear.bias:
            bias = self._constant(f"{linear.name}.bias", lambda weights: weights.bias(linear))
        return F.linear(x, self._weight(linear), bias)

    def _weight(self, linear: Linear) -> Tensor:
        """The weight as its codes say, fp32 `(out, in)`."""
        name, operators, stored = linear.name, torch.ops.quantized_decomposed, kernel_format(linear, self.config)
        if stored is MatrixFormat.FLOATS:
            return self._constant(f"{name}.weight", lambda weights: weights.matrix(linear))
        codes = self._constant(f"{name}.codes", lambda weights: kernel_matrix(weights, linear)[0])
        scale = self._constant(f"{name}.scale", lambda weights: _scales(weights, linear))
        zero = self._constant(f"{name}.zero", lambda _: torch.zeros(scale.shape, dtype=torch.int64))
        if stored is MatrixFormat.BLOCKS:
            limits = (INT4_MIN, INT4_MAX, torch.int8, KERNEL_BLOCK, torch.float32)
            weight: Tensor = operators.dequantize_per_channel_group(codes, scale, zero, *limits)
        else:
            weight = operators.dequantize_per_channel(codes, scale, zero, 0, LOWEST + 1, HIGHEST, torch.int8)
        return weight

    def _parameter(self, path: str) -> Tensor:
        return self._constant(path, lambda weights: weights.parameter(path))


def packed_codes(table: RowTable) -> Tensor:
    """Codes of rows: int8 at 8 bits; at 4 bits two to a byte, the even column in the high half."""
    codes = table.q
    if table.width == INT8:
        return (codes.to(torch.int16) + LOWEST).to(torch.int8)
    codes = F.pad(codes, (0, codes.shape[1] % 2))
    return codes[:, ::2] << 4 | codes[:, 1::2]


def zero_points(table: RowTable) -> Tensor:
    """What a row's codes stand at for zero, not rounded: −minimum / scale, shifted as the codes are."""
    zero = -table.minimum.float() / table.scale.float() - table.width.levels // 2
    return zero.to(table.scale.dtype)


def _scales(weights: Weights, linear: Linear) -> Tensor:
    """Scales of a matrix as XNNPACK keeps them: of blocks as bf16 numbers, of channels without a second axis."""
    scales = kernel_matrix(weights, linear)[1]
    if kernel_format(linear, weights.config) is MatrixFormat.BLOCKS:
        return scales.bfloat16().float()
    return scales[:, 0]
