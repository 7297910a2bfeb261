"""The student as a Core AI graph: its own codes, expanded where they are used, and fp32 numbers.

- matrices: int8 codes with one scale a channel; below 8 bits int4, uint2 or int2 codes with the whole multipliers
  of their blocks, four bits each, and one scale a channel, all under `blockwise_shift_scale`. They are stored
  `(in, out)`, as products read them; where blocks do not fill the inputs, the last one is padded and cut off again.
- tables: rows are gathered as codes and made floats after that, so a table is never expanded. Rows of 8 and 4 bits have
  fp16 scales and minima, narrower ones the exponents of their scales.
- vectors are fp32: the package folds what would make floats of fp16 ones, and stores the result.
- activations are not rounded, and numbers are fp32: the runtime for Linux takes a hundred times as long for fp16.

There is no type of 3 bits that a table is gathered from or a matrix expanded from, so no student of 3 bits is written.
Ternary codes take two bits. Values have a batch: a text is `(batch, seq, size)`, heads `(batch, heads, seq, head
size)`. The steps call an emitter: the exporter's makes an operator, the planner's counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import Any, Protocol

import numpy as np

from edgepack.export.encoder_walk import LEAST_LENGTH, Table
from edgepack.export.linear import Linear
from edgepack.export.matrix_format import MatrixFormat, packed_format, width_of
from edgepack.export.onnx_weights import row_codes, row_exponents, row_minima, row_scales, stored_codes
from edgepack.export.weighted_walk import EmittedWalk
from edgepack.export.weights import Weights
from edgepack.quantization import INT2, INT4, INT8, ROW_SCALE_ZERO, ROW_SCALES_PER_OCTAVE, TERNARY, BitWidth
from edgepack.student.relative_positions import bucket_by_distance

MASKED = -1e9  # added to the scores of padding
F32, F16, SI8, UI8, SI4, UI4, SI2, UI2, SI32 = "f32", "f16", "si8", "ui8", "si4", "ui4", "si2", "ui2", "si32"
BITS = {F32: 32, F16: 16, SI8: 8, UI8: 8, SI4: 4, UI4: 4, SI2: 2, UI2: 2, SI32: 32}
CODES = {INT8: SI8, INT4: SI4, INT2: UI2, TERNARY: SI2}  # of matrices; at 2 bits odd ones, which are counted from 0
ROW_CODES = {INT8: UI8, INT4: UI4, INT2: UI2, TERNARY: UI2}  # of tables, from 0
TO_THE_END = 2**31 - 1  # of a slice

Make = Callable[[], np.ndarray]


class Emitter(Protocol):
    """Where the steps go: a graph that is being made, or a count of what it would hold."""

    def op(self, operator: str, name: str, *operands: Any, **attributes: Any) -> Any:
        """One operator, arrays among its operands made constants; its value (a list of values for `split`)."""
        ...

    def constant(self, name: str, shape: tuple[int, ...], type_: str, make: Make) -> Any:
        """Stored numbers, once for each name."""
        ...

    def zeros(self, shape: tuple[int, ...], type_: str) -> Any:
        """Zeros, which take no bytes."""
        ...


class CoreaiEncoder(EmittedWalk[Emitter]):
    """The walk over an emitter's values. `inputs`: int32 `(batch, seq)` by name."""

    def output(self) -> Any:
        """fp32 `(batch, outputs)` or `(batch, seq, outputs)`."""
        logits = self.logits()
        if self.config.per_token:
            return logits
        shape = (None, self.config.outputs)
        return self._emit.op("reshape", "output", logits, np.array([-1, self.config.outputs], np.int32), shape=shape)

    # the steps of the walk

    def rows(self, table: Table) -> Any:
        emit, name, width = self._emit, table.name, table.width
        if table.index == "types" and self.config.type_vocab_size == 1:
            return self._small(name, (table.rows, table.columns), table.path)
        index, shape = self._index(table.index), (table.rows, table.columns)
        if not width.is_rounded:
            return emit.op("gather_nd", f"{name}.rows", self._small(name, shape, table.path), index)
        codes = emit.constant(f"{name}.codes", shape, ROW_CODES[width], lambda: row_codes(self._taken(), table))
        found = emit.op("cast", f"{name}.floats", emit.op("gather_nd", f"{name}.found", codes, index), F32)
        if width.centred:
            return self._centred_rows(table, found, index)
        tail = (table.rows, 2)
        stored = emit.constant(f"{name}.tails", tail, F16, lambda: row_tails(self._taken(), table))
        tails = emit.op("cast", f"{name}.tail", emit.op("gather_nd", f"{name}.ends", stored, index), F32)
        scale, minimum = emit.op("split", f"{name}.parts", tails, np.array([1, 1], np.uint32), np.array(-1, np.int32))
        return self._plus(f"{name}.rows", self._times(f"{name}.scaled", found, scale), minimum)

    def _centred_rows(self, table: Table, found: Any, index: Any) -> Any:
        """Rows of codes −m, …, m with a scale 2^((e − 128) / 16) each."""
        emit, name, width = self._emit, table.name, table.width
        stored = emit.constant(f"{name}.exponents", (table.rows, 1), UI8, lambda: row_exponents(self._taken(), table))
        exponent = emit.op("cast", f"{name}.exponent", emit.op("gather_nd", f"{name}.ends", stored, index), F32)
        octave = log(2) / ROW_SCALES_PER_OCTAVE
        power = self._times(
            f"{name}.power", self._plus(f"{name}.from_zero", exponent, number(-ROW_SCALE_ZERO)), number(octave)
        )
        spread = self._times(f"{name}.spread", found, number(width.code_step)) if width.code_step != 1 else found
        codes = self._plus(f"{name}.centred", spread, number(-width.largest_code))
        return self._times(f"{name}.rows", codes, emit.op("exp", f"{name}.scale", power))

    def linear(self, tag: str, x: Any, linear: Linear) -> Any:
        x = self._emit.op("broadcasting_batch_matmul", f"{tag}.product", x, self._weight(linear))
        if not linear.bias:
            return x
        name, size = f"{linear.name}.bias", linear.out_features
        return self._plus(f"{tag}.shifted", x, self._vector(name, size, lambda: self._taken().bias(linear).numpy()))

    def add(self, tag: str, x: Any, y: Any) -> Any:
        return self._plus(f"{tag}.sum", x, y)

    def norm(self, tag: str, x: Any, path: str, size: int) -> Any:
        emit = self._emit
        if self.config.norm == "layer_norm":
            x = self._plus(f"{tag}.centred", x, self._times(f"{tag}.minus", self._mean(f"{tag}.mean", x), number(-1)))
            variance = self._mean(f"{tag}.variance", self._times(f"{tag}.squares", x, x))
            shifted = self._plus(f"{tag}.shifted", variance, number(self.config.norm_eps))
            x = self._times(f"{tag}.whitened", x, emit.op("rsqrt", f"{tag}.inverse", shifted))
        gain = self._vector(f"{path}.gain", size, lambda: self._parameter(f"{path}.weight"))
        bias = self._vector(f"{path}.bias", size, lambda: self._parameter(f"{path}.bias"))
        return self._plus(f"{tag}.norm", self._times(f"{tag}.gained", x, gain), bias)

    def activation(self, tag: str, x: Any, act: str) -> Any:
        if act.startswith("gelu"):
            how = "tanh" if act == "gelu_tanh" else "none"
            return self._emit.op("gelu", f"{tag}.act", x, approximate=how)
        return self._emit.op(act, f"{tag}.act", x)

    def first(self, tag: str, x: Any) -> Any:
        return self._first_of(f"{tag}.first", x, rank=3, axis=1)

    def mean(self, tag: str, x: Any, last: bool) -> Any:
        emit, present = self._emit, self._present()
        count = emit.op("reduce_sum", f"{tag}.count", present, axes(1))
        if last:
            place = emit.op("scan", f"{tag}.place", present, np.array(1, np.uint32), np.array(False))
            is_last = self._equal(f"{tag}.is_last", place, count, F32)
            weights = self._times(f"{tag}.weights", present, is_last)
        else:
            weights = emit.op("broadcasting_divide", f"{tag}.weights", present, count)
        row = emit.op("expand_dims", f"{tag}.row", weights, axes(1))
        return emit.op("broadcasting_batch_matmul", f"{tag}.mean", row, x)

    def unit(self, tag: str, x: Any) -> Any:
        emit = self._emit
        total = emit.op("reduce_sum", f"{tag}.total", self._times(f"{tag}.squares", x, x), axes(2))
        least = self._plus(f"{tag}.least", total, number(LEAST_LENGTH**2))
        return self._times(tag, x, emit.op("rsqrt", f"{tag}.inverse", least))

    def sum_neighbours(self, tag: str, x: Any, places: Sequence[int]) -> Any:
        emit, reach, size = self._emit, max(places), self.config.hidden_size
        x = self._times(f"{tag}.own", x, emit.op("expand_dims", f"{tag}.real", self._present(), axes(2)))
        padded = emit.op("pad", f"{tag}.padded", x, np.array([0, 0, reach, reach, 0, 0], np.uint32), number(0))
        total: Any = None
        for which, place in enumerate(places):
            begin = np.array([0, reach + place, which * size], np.int32)
            end = np.array([TO_THE_END, place - reach or TO_THE_END, (which + 1) * size], np.int32)
            part = emit.op("slice_", f"{tag}.part{which}", padded, begin, end, np.ones(3, np.int32))
            total = part if total is None else self._plus(f"{tag}.total{which}", total, part)
        return total

    def matches(self, tag: str, path: str, separator: int) -> Any:
        emit, one = self._emit, np.array(1, np.int32)
        following = self._plus(f"{tag}.following", self._inputs["input_ids"], one)
        ids = self._times(f"{tag}.ids", following, self._inputs["attention_mask"])
        between = self._equal(f"{tag}.between", ids, np.array(separator + 1, np.int32), F32)
        count = emit.op("scan", f"{tag}.count", between, np.array(1, np.uint32), np.array(False))
        first = self._equal(f"{tag}.first", count, number(0), SI32)
        double = self._plus(f"{tag}.double", ids, ids)
        wanted = emit.op("broadcasting_sub", f"{tag}.wanted", self._plus(f"{tag}.next", double, one), first)
        down = emit.op("expand_dims", f"{tag}.down", self._plus(f"{tag}.own", double, first), axes(2))
        pairs = self._equal(f"{tag}.pairs", down, emit.op("expand_dims", f"{tag}.across", wanted, axes(1)), F32)
        found = emit.op("reduce_sum", f"{tag}.found", pairs, axes(2))
        absent = self._equal(f"{tag}.absent", found, number(0), F32)
        present = emit.op("broadcasting_sub", f"{tag}.present", number(1), absent)
        vector = self._vector(path, self.config.hidden_size, lambda: self._parameter(path))
        return self._times(tag, present, vector)

    def first_rows(self, tag: str, x: Any) -> Any:
        return self._first_of(f"{tag}.first", x, rank=4, axis=2)

    def split_heads(self, tag: str, x: Any, parts: int, heads: int, size: int) -> list[Any]:
        split = self._reshape(f"{tag}.heads", x, self._sizes(), (parts * heads, size))
        turned = self._emit.op("transpose", f"{tag}.turned", split, np.array([0, 2, 1, 3], np.uint32))
        if parts == 1:
            return [turned]
        each = np.full(parts, heads, np.uint32)
        return list(self._emit.op("split", f"{tag}.parts", turned, each, np.array(1, np.int32)))

    def attend(self, tag: str, query: Any, key: Any, value: Any, size: int, bias: Any | None) -> Any:
        emit = self._emit
        query = self._times(f"{tag}.scaled", query, number(size**-0.5))
        turned = emit.op("transpose", f"{tag}.keys", key, np.array([0, 1, 3, 2], np.uint32))
        scores = emit.op("broadcasting_batch_matmul", f"{tag}.scores", query, turned)
        scores = self._plus(f"{tag}.masked", scores, self._mask())
        if bias is not None:
            scores = self._plus(f"{tag}.biased", scores, bias)
        shares = emit.op("softmax", f"{tag}.shares", scores, np.array(3, np.int32))
        return emit.op("broadcasting_batch_matmul", f"{tag}.context", shares, value)

    def merge_heads(self, tag: str, x: Any, inner: int) -> Any:
        emit = self._emit
        turned = emit.op("transpose", f"{tag}.back", x, np.array([0, 2, 1, 3], np.uint32))
        shape = emit.op("get_shape", f"{tag}.shape", turned)
        sizes = emit.op("slice_", f"{tag}.sizes", shape, *(np.array([i], np.int32) for i in (0, 2, 1)))
        return self._reshape(f"{tag}.merged", turned, emit.op("cast", f"{tag}.rows", sizes, SI32), (inner,))

    def relative_bias(self, path: str, heads: int) -> Any:
        name, emit = f"{path}.relative", self._emit

        def make() -> Any:
            table = self._small(f"{path}.relative_bias", (self.config.relative_attention_buckets, heads))
            by_pair = emit.op("gather_nd", f"{path}.by_pair", table, self._pairs())
            turned = emit.op("transpose", f"{path}.turned", by_pair, np.array([2, 0, 1], np.uint32))
            return emit.op("expand_dims", name, turned, axes(0))

        return self._once(name, make)

    # parts of steps

    def _plus(self, name: str, x: Any, y: Any) -> Any:
        return self._emit.op("broadcasting_add", name, x, y)

    def _times(self, name: str, x: Any, y: Any) -> Any:
        return self._emit.op("broadcasting_mul", name, x, y)

    def _equal(self, name: str, x: Any, y: Any, type_: str) -> Any:
        """1 where both are the same number, else 0."""
        return self._emit.op("cast", name, self._emit.op("broadcasting_equal", f"{name}.same", x, y), type_)

    def _mean(self, name: str, x: Any) -> Any:
        return self._emit.op("reduce_mean", name, x, axes(2))

    def _first_of(self, name: str, x: Any, rank: int, axis: int) -> Any:
        end = np.full(rank, TO_THE_END, np.int32)
        end[axis] = 1
        return self._emit.op("slice_", name, x, np.zeros(rank, np.int32), end, np.ones(rank, np.int32))

    def _reshape(self, name: str, x: Any, sizes: Any, last: tuple[int, ...]) -> Any:
        """`x` with the sizes of a batch and a length, int32 `(2,)`, and then `last`."""
        shape = self._emit.op("concat", f"{name}.shape", np.array(0, np.int32), sizes, np.array(last, np.int32))
        return self._emit.op("reshape", name, x, shape, shape=(None, None, *last))

    def _sizes(self) -> Any:
        """Size of the batch and the length, int32 `(2,)`."""
        return self._once("sizes", lambda: self._emit.op("cast", "sizes", self._shape(), SI32))

    def _shape(self) -> Any:
        return self._once("shape", lambda: self._emit.op("get_shape", "shape", self._inputs["input_ids"]))

    def _present(self) -> Any:
        """1 for a text's own tokens, 0 for padding, fp32 `(batch, seq)`."""
        return self._once("present", lambda: self._emit.op("cast", "present", self._inputs["attention_mask"], F32))

    def _mask(self) -> Any:
        """0 for a text's own tokens, a large negative number for padding: `(batch, 1, 1, seq)`."""

        def make() -> Any:
            scaled = self._times("m.scaled", self._plus("m.absent", self._present(), number(-1)), number(-MASKED))
            return self._emit.op("expand_dims", "mask", scaled, axes(1, 2))

        return self._once("mask", make)

    def _index(self, name: str) -> Any:
        """Indices of words, types and buckets, int32 `(batch, seq, 1)`, or of positions, `(seq, 1)`."""
        if name == "positions":
            return self._once(name, lambda: self._emit.op("expand_dims", "p.column", self._positions(), axes(1)))
        source = self._inputs["token_type_ids" if name == "types" else "input_ids"]
        if name == "buckets":
            rows = np.array(self.config.wide_rows, np.int32)
            source = self._once("wide.ids", lambda: self._emit.op("broadcasting_modulo", "wide.ids", source, rows))
        return self._once(name, lambda: self._emit.op("expand_dims", f"{name}.column", source, axes(2)))

    def _positions(self) -> Any:
        """0, 1, … for as many tokens as there are, int32 `(seq,)`."""

        def make() -> Any:
            bounds = (np.array([1], np.int32), np.array([2], np.int32), np.array([1], np.int32))
            length = self._emit.op("slice_", "p.length", self._sizes(), *bounds)
            stop = self._emit.op("shrink_dims", "p.stop", length, axes(0))
            return self._emit.op("range_", "p.counted", np.array(0, np.int32), stop, np.array(1, np.int32))

        return self._once("counted", make)

    def _pairs(self) -> Any:
        """Bucket of each (query, key), `(seq, seq, 1)`: looked up by their distance, query − key."""

        def make() -> Any:
            emit, most = self._emit, self.config.max_position_embeddings
            buckets = emit.constant(
                "relative_buckets", (2 * most - 1,), SI32, lambda: bucket_by_distance(self.config).numpy()
            )
            down = emit.op("expand_dims", "r.down", self._positions(), axes(1))
            across = emit.op("expand_dims", "r.across", self._positions(), axes(0))
            distance = emit.op("broadcasting_sub", "r.distance", down, across)
            place = self._plus("r.place", distance, np.array(most - 1, np.int32))
            found = emit.op("gather_nd", "r.found", buckets, emit.op("expand_dims", "r.column", place, axes(2)))
            return emit.op("expand_dims", "pairs", found, axes(2))

        return self._once("pairs", make)

    def _weight(self, linear: Linear) -> Any:
        """A product's matrix, fp32 `(in, out)`."""
        return self._once(f"{linear.name}.weight", lambda: self._make_weight(linear))

    def _make_weight(self, linear: Linear) -> Any:
        emit, name, shape = self._emit, linear.name, (linear.in_features, linear.out_features)
        stored = packed_format(linear, self.config)
        if stored is MatrixFormat.FLOATS:
            return emit.constant(f"{name}.weight", shape, F32, lambda: self._taken().matrix(linear).numpy().T)
        if stored is MatrixFormat.CHANNELS:
            codes = emit.constant(f"{name}.codes", shape, SI8, lambda: self._taken().channels(linear).q.numpy().T)
            blocks = (1, shape[1])
            scale = emit.constant(
                f"{name}.scale", blocks, F32, lambda: self._taken().channels(linear).scale[None].numpy()
            )
            return self._expanded(f"{name}.weight", codes, SI8, blocks, scale, None)
        return self._blocks(linear, width_of(linear, self.config))

    def _blocks(self, linear: Linear, width: BitWidth) -> Any:
        """A matrix below 8 bits, of whole blocks; what the last one has too much is cut off."""
        emit, name = self._emit, linear.name
        size, type_ = self.config.block_size, CODES[width]
        count = -(-linear.in_features // size)
        codes = emit.constant(
            f"{name}.codes", (count * size, linear.out_features), type_, lambda: self._block_codes(linear, width)
        )
        blocks = (count, linear.out_features)
        scale, lowest = self._block_scales(linear, width, blocks)
        found = self._expanded(f"{name}.expanded", codes, type_, blocks, scale, lowest)
        if count * size == linear.in_features:
            return found
        end = np.array([linear.in_features, TO_THE_END], np.int32)
        return emit.op("slice_", f"{name}.weight", found, np.zeros(2, np.int32), end, np.ones(2, np.int32))

    def _block_scales(self, linear: Linear, width: BitWidth, blocks: tuple[int, int]) -> tuple[Any, Any | None]:
        """Steps of the codes of each block, fp32 `(blocks, out)`, and what code 0 stands for where that is not 0.

        Where a channel is one block they are stored: the package would fold them. It also makes one product of two by
        constants, so the factors of a width are in what is stored.
        """
        steps = self._scaled(linear, width, blocks, "steps", width.code_step)
        return steps, self._scaled(
            linear, width, blocks, "lowest", -width.largest_code
        ) if width.code_step != 1 else None

    def _scaled(self, linear: Linear, width: BitWidth, blocks: tuple[int, int], part: str, factor: int) -> Any:
        """Multipliers times scales times a factor, fp32 `(blocks, out)`."""
        emit, name, single = self._emit, linear.name, blocks[0] == 1

        def values() -> np.ndarray:
            held = self._taken().blocks(linear, width)
            scale = held.scale[:, None] * factor
            return (held.multiplier * scale if single else scale).numpy().T

        scale = emit.constant(f"{name}.{part}", (1, blocks[1]), F32, values)
        if single:
            return scale
        stored = emit.constant(
            f"{name}.multipliers", blocks, UI4, lambda: self._taken().blocks(linear, width).multiplier.numpy().T
        )
        whole = self._once(f"{name}.whole", lambda: emit.op("cast", f"{name}.whole", stored, F32))
        return self._times(f"{name}.{part}", whole, scale)

    def _expanded(
        self, name: str, codes: Any, type_: str, blocks: tuple[int, int], scale: Any, lowest: Any | None
    ) -> Any:
        """`scale · codes + lowest`, scale and lowest of each block."""
        added = self._emit.zeros(blocks, F32) if lowest is None else lowest
        return self._emit.op("blockwise_shift_scale", name, codes, scale, self._emit.zeros(blocks, type_), added)

    def _block_codes(self, linear: Linear, width: BitWidth) -> np.ndarray:
        """Codes `(whole blocks, out)`, 0 where nothing is."""
        q = self._taken().blocks(linear, width).q.numpy()
        codes = stored_codes(q, width) if width.code_step != 1 else q
        return np.pad(codes, ((0, 0), (0, -codes.shape[1] % self.config.block_size))).T

    def _vector(self, name: str, size: int, make: Make) -> Any:
        return self._emit.constant(name, (size,), F32, make)

    def _small(self, name: str, shape: tuple[int, int], path: str | None = None) -> Any:
        """A table that is not rounded."""
        return self._emit.constant(name, shape, F32, lambda: self._parameter(path or name))


def row_tails(weights: Weights, table: Table) -> np.ndarray:
    """Scale and minimum of a table's rows, fp16 `(rows, 2)`."""
    return np.concatenate([row_scales(weights, table), row_minima(weights, table)], axis=1)


def axes(*places: int) -> np.ndarray:
    """Axes as operators take them."""
    return np.array(places, np.int32)


def number(value: float) -> np.ndarray:
    """An fp32 number."""
    return np.array(value, np.float32)
