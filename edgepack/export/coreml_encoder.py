"""The student as a Core ML program: operators of iOS 18, fp16 numbers, weights with the student's own codes.

- matrices: int8 codes with one scale a channel, or int4 codes with one for each block of 32 inputs, under
  `constexpr_blockwise_shift_scale`; where inputs are no multiple of 32, the int8 operand q · m of the 4-bit format.
- tables: codes under the same operator, one scale a row; rows are gathered from it, and each row's minimum, which the
  operator's integer offset cannot hold, from a second table. There is no integer type of 3 or 2 bits: such tables are
  places in a palette under `constexpr_lut_to_dense`, one for all rows; gathered rows are multiplied by their scales.
- activations are not rounded: Core ML multiplies fp16 numbers.

Positions are counted with `cumsum`, so no shape is computed. The steps call an emitter: the exporter's makes an
operator, the planner's counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from edgepack.export.encoder_walk import Table
from edgepack.export.linear import Linear
from edgepack.export.matrix_format import MatrixFormat, kernel_format, kernel_matrix, scales_per_channel
from edgepack.export.weighted_walk import EmittedWalk
from edgepack.quantization import INT8 as INT8_WIDTH
from edgepack.student.relative_positions import bucket_by_distance

MASKED = -3e4  # added to the scores of padding; fp16 ends at 65504
SMALLEST_EPS = 2.0**-24  # of fp16: a smaller one would be zero
INT4, INT8, UINT2, UINT3, UINT4, UINT8, INT32 = "int4", "int8", "uint2", "uint3", "uint4", "uint8", "int32"
FP16 = "fp16"
PALETTES = {3: UINT3, 2: UINT2}  # types of the places in a palette
BITS = {INT4: 4, INT8: 8, UINT2: 2, UINT3: 3, UINT4: 4, UINT8: 8, FP16: 16, INT32: 32}

Make = Callable[[], np.ndarray]


class Emitter(Protocol):
    """Where the steps go: a program that is being made, or a count of what it would hold."""

    def op(self, operator: str, name: str, **inputs: Any) -> Any:
        """One operator; its value (a list of values for `split`)."""
        ...

    def constant(self, name: str, shape: tuple[int, ...], dtype: str, make: Make) -> Any:
        """A constant, stored once, however many steps use it."""
        ...


class CoremlEncoder(EmittedWalk[Emitter]):
    """The walk over an emitter's values. `inputs`: int32 `(1, seq)` by name."""

    def output(self) -> Any:
        """fp32 `(1, outputs)` or `(1, seq, outputs)`."""
        logits = self.logits()
        if self.config.per_token:
            logits = self._emit.op("expand_dims", "batch_logits", x=logits, axes=[0])
        return self._emit.op("cast", self.config.output_name, x=logits, dtype="fp32")

    def rows(self, table: Table) -> Any:
        name, shape, indices = table.name, (table.rows, table.columns), self._index(table.index)
        if not table.width.is_rounded:
            whole = self._emit.constant(name, shape, FP16, lambda: self._parameter(table.path))
            return self._gather(f"{name}.rows", whole, indices)
        if table.width.centred:
            return self._palette_rows(table, indices)

        def part(which: str) -> Make:
            return lambda: getattr(self._taken().rows(table.path, table.width), which)[:, None].numpy()

        code = UINT8 if table.width == INT8_WIDTH else UINT4
        data = self._emit.constant(
            f"{name}.codes", shape, code, lambda: self._taken().rows(table.path, table.width).q.numpy()
        )
        scales = self._emit.constant(f"{name}.scale", (table.rows, 1), FP16, part("scale"))
        minima = self._emit.constant(f"{name}.minimum", (table.rows, 1), FP16, part("minimum"))
        scaled = self._emit.op("constexpr_blockwise_shift_scale", f"{name}.table", data=data, scale=scales)
        found = self._gather(f"{name}.scaled", scaled, indices)
        return self._emit.op("add", f"{name}.rows", x=found, y=self._gather(f"{name}.minima", minima, indices))

    def _palette_rows(self, table: Table, indices: Any) -> Any:
        name, width, most = table.name, table.width, table.width.largest_code
        palette = np.arange(-most, most + 1, width.code_step).reshape(1, 1, width.levels, 1)

        def codes() -> np.ndarray:
            return (self._taken().centred_rows(table.path, width).q.numpy() + most) // width.code_step

        def scale() -> np.ndarray:
            return self._taken().centred_rows(table.path, width).scale[:, None].numpy()

        places = self._emit.constant(f"{name}.codes", (table.rows, table.columns), PALETTES[width.bits], codes)
        lut = self._emit.constant(f"{name}.palette", palette.shape, FP16, lambda: palette)
        scales = self._emit.constant(f"{name}.scale", (table.rows, 1), FP16, scale)
        whole = self._emit.op("constexpr_lut_to_dense", f"{name}.table", indices=places, lut=lut)
        found = self._gather(f"{name}.found", whole, indices)
        return self._emit.op("mul", f"{name}.rows", x=found, y=self._gather(f"{name}.scales", scales, indices))

    def linear(self, tag: str, x: Any, linear: Linear) -> Any:
        inputs = {"x": x, "weight": self._weight(linear)}
        if linear.bias:
            name, size = f"{linear.name}.bias", linear.out_features
            inputs["bias"] = self._vector(name, size, lambda: self._taken().bias(linear).numpy())
        return self._emit.op("linear", f"{tag}.product", **inputs)

    def add(self, tag: str, x: Any, y: Any) -> Any:
        return self._emit.op("add", f"{tag}.sum", x=x, y=y)

    def norm(self, tag: str, x: Any, path: str, size: int) -> Any:
        gain = self._vector(f"{path}.gain", size, lambda: self._parameter(f"{path}.weight"))
        bias = self._vector(f"{path}.bias", size, lambda: self._parameter(f"{path}.bias"))
        if self.config.norm == "no_norm":
            return self.add(f"{tag}.norm", self._emit.op("mul", f"{tag}.gained", x=x, y=gain), bias)
        epsilon = np.float16(max(self.config.norm_eps, SMALLEST_EPS))
        return self._emit.op("layer_norm", f"{tag}.norm", x=x, axes=[-1], gamma=gain, beta=bias, epsilon=epsilon)

    def activation(self, tag: str, x: Any, act: str) -> Any:
        if act.startswith("gelu"):
            mode = "TANH_APPROXIMATION" if act == "gelu_tanh" else "EXACT"
            return self._emit.op("gelu", f"{tag}.act", x=x, mode=mode)
        return self._emit.op(act, f"{tag}.act", x=x)

    def first(self, tag: str, x: Any) -> Any:
        return self._emit.op("slice_by_size", f"{tag}.first", x=x, begin=[0, 0], size=[1, -1])

    def mean(self, tag: str, x: Any, last: bool) -> Any:
        emit = self._emit
        weights = emit.op("cast", f"{tag}.mask", x=self._inputs["attention_mask"], dtype="fp16")
        count = emit.op("reduce_sum", f"{tag}.count", x=weights, axes=[1], keep_dims=True)
        if last:
            place = emit.op("cumsum", f"{tag}.place", x=weights, axis=1)
            is_last = emit.op("cast", f"{tag}.one", x=emit.op("equal", f"{tag}.equal", x=place, y=count), dtype="fp16")
            weights = emit.op("mul", f"{tag}.weights", x=weights, y=is_last)
        else:
            weights = emit.op("real_div", f"{tag}.weights", x=weights, y=count)
        return emit.op("matmul", f"{tag}.mean", x=weights, y=x, transpose_x=False, transpose_y=False)

    def unit(self, tag: str, x: Any) -> Any:
        length = self._emit.op("reduce_l2_norm", f"{tag}.length", x=x, axes=[-1], keep_dims=True)
        divisor = self._emit.op("maximum", f"{tag}.divisor", x=length, y=np.float16(SMALLEST_EPS))
        return self._emit.op("real_div", tag, x=x, y=divisor)

    def sum_neighbours(self, tag: str, x: Any, places: Sequence[int]) -> Any:
        emit, reach, size = self._emit, max(places), self.config.hidden_size
        mask = emit.op("cast", f"{tag}.mask", x=self._inputs["attention_mask"], dtype="fp16")
        real = emit.op("transpose", f"{tag}.real", x=mask, perm=[1, 0])
        x = emit.op("mul", f"{tag}.present", x=x, y=real)
        pad, zero = [reach, reach, 0, 0], np.float16(0)
        padded = emit.op("pad", f"{tag}.padded", x=x, pad=pad, mode="constant", constant_val=zero)
        total: Any = None
        for number, place in enumerate(places):
            name, last = f"{tag}.part{number}", [place == reach, False]
            begin, end = [reach + place, number * size], [place - reach, (number + 1) * size]
            part = emit.op("slice_by_index", name, x=padded, begin=begin, end=end, end_mask=last)
            total = part if total is None else emit.op("add", f"{tag}.total{number}", x=total, y=part)
        return total

    def matches(self, tag: str, path: str, separator: int) -> Any:
        emit = self._emit
        following = emit.op("add", f"{tag}.following", x=self._inputs["input_ids"], y=np.int32(1))
        real = emit.op("mul", f"{tag}.real", x=following, y=self._inputs["attention_mask"])
        ids = emit.op("squeeze", f"{tag}.ids", x=real, axes=[0])
        between = emit.op("equal", f"{tag}.between", x=ids, y=np.int32(separator + 1))
        count = emit.op("cumsum", f"{tag}.count", x=emit.op("cast", f"{tag}.one", x=between, dtype="int32"), axis=0)
        is_first = emit.op("equal", f"{tag}.is_first", x=count, y=np.int32(0))
        first = emit.op("cast", f"{tag}.first", x=is_first, dtype="int32")
        double = emit.op("add", f"{tag}.double", x=ids, y=ids)
        own = emit.op("add", f"{tag}.own", x=double, y=first)
        wanted = emit.op("sub", f"{tag}.wanted", x=emit.op("add", f"{tag}.next", x=double, y=np.int32(1)), y=first)
        down = emit.op("expand_dims", f"{tag}.down", x=own, axes=[1])
        same = emit.op("equal", f"{tag}.same", x=down, y=wanted)
        pairs = emit.op("cast", f"{tag}.pairs", x=same, dtype="fp16")
        found = emit.op("reduce_sum", f"{tag}.found", x=pairs, axes=[1], keep_dims=True)
        none = emit.op("equal", f"{tag}.none", x=found, y=np.float16(0))
        absent = emit.op("cast", f"{tag}.absent", x=none, dtype="fp16")
        present = emit.op("sub", f"{tag}.present", x=np.float16(1), y=absent)
        vector = self._vector(path, self.config.hidden_size, lambda: self._parameter(path))
        return emit.op("mul", tag, x=present, y=vector)

    def first_rows(self, tag: str, x: Any) -> Any:
        return self._emit.op("slice_by_size", f"{tag}.first", x=x, begin=[0, 0, 0], size=[-1, 1, -1])

    def split_heads(self, tag: str, x: Any, parts: int, heads: int, size: int) -> list[Any]:
        split = self._emit.op("reshape", f"{tag}.heads", x=x, shape=[-1, parts * heads, size])
        turned = self._emit.op("transpose", f"{tag}.turned", x=split, perm=[1, 0, 2])
        if parts == 1:
            return [turned]
        return list(self._emit.op("split", f"{tag}.parts", x=turned, num_splits=parts, axis=0))

    def attend(self, tag: str, query: Any, key: Any, value: Any, size: int, bias: Any | None) -> Any:
        query = self._emit.op("mul", f"{tag}.scaled", x=query, y=np.float16(size**-0.5))
        scores = self._emit.op("matmul", f"{tag}.scores", x=query, y=key, transpose_x=False, transpose_y=True)
        scores = self._emit.op("add", f"{tag}.masked", x=scores, y=self._mask())
        if bias is not None:
            scores = self._emit.op("add", f"{tag}.biased", x=scores, y=bias)
        shares = self._emit.op("softmax", f"{tag}.shares", x=scores, axis=-1)
        return self._emit.op("matmul", f"{tag}.context", x=shares, y=value, transpose_x=False, transpose_y=False)

    def merge_heads(self, tag: str, x: Any, inner: int) -> Any:
        turned = self._emit.op("transpose", f"{tag}.back", x=x, perm=[1, 0, 2])
        return self._emit.op("reshape", f"{tag}.merged", x=turned, shape=[-1, inner])

    def relative_bias(self, path: str, heads: int) -> Any:
        def make() -> Any:
            shape = (self.config.relative_attention_buckets, heads)
            parameter = f"{path}.relative_bias"
            table = self._emit.constant(parameter, shape, FP16, lambda: self._parameter(parameter))
            by_pair = self._gather(f"{path}.by_pair", table, self._pairs())
            return self._emit.op("transpose", f"{path}.relative", x=by_pair, perm=[2, 0, 1])

        return self._once(path, make)

    def _mask(self) -> Any:
        """0 for a text's own tokens, a large negative number for padding: `(1, 1, seq)`."""

        def make() -> Any:
            present = self._emit.op("cast", "m.present", x=self._inputs["attention_mask"], dtype="fp16")
            absent = self._emit.op("sub", "m.absent", x=np.float16(1), y=present)
            scaled = self._emit.op("mul", "m.scaled", x=absent, y=np.float16(MASKED))
            return self._emit.op("expand_dims", "mask", x=scaled, axes=[0])

        return self._once("mask", make)

    def _index(self, name: str) -> Any:
        """Indices `(seq,)` of words, positions, types or buckets."""

        def make() -> Any:
            source = self._inputs[
                "token_type_ids" if name == "types" and self.config.type_vocab_size > 1 else "input_ids"
            ]
            if name == "types" and self.config.type_vocab_size == 1:
                source = self._emit.op("fill_like", "t.zeros", ref_tensor=source, value=np.int32(0))
            if name == "positions":
                ones = self._emit.op("fill_like", "p.ones", ref_tensor=source, value=np.int32(1))
                source = self._emit.op("cumsum", "p.counted", x=ones, axis=1, exclusive=True)
            if name == "buckets":
                source = self._emit.op("mod", "wide.buckets", x=source, y=np.int32(self.config.wide_rows))
            return self._emit.op("squeeze", name, x=source, axes=[0])

        return self._once(name, make)

    def _pairs(self) -> Any:
        """Bucket of each (query, key), `(seq, seq)`: looked up by their distance, query − key."""

        def make() -> Any:
            most, positions = self.config.max_position_embeddings, self._index("positions")
            table = self._emit.constant(
                "relative_buckets", (2 * most - 1,), INT32, lambda: bucket_by_distance(self.config).numpy()
            )
            down = self._emit.op("expand_dims", "r.down", x=positions, axes=[1])
            distance = self._emit.op("sub", "r.distance", x=down, y=positions)
            place = self._emit.op("add", "r.place", x=distance, y=np.int32(most - 1))
            return self._gather("pairs", table, place)

        return self._once("pairs", make)

    def _gather(self, name: str, table: Any, indices: Any) -> Any:
        return self._emit.op("gather", name, x=table, indices=indices, axis=0)

    def _weight(self, linear: Linear) -> Any:
        name, shape = linear.name, (linear.out_features, linear.in_features)
        stored = kernel_format(linear, self.config)
        if stored is MatrixFormat.FLOATS:
            return self._emit.constant(f"{name}.weight", shape, FP16, lambda: self._taken().matrix(linear).numpy())

        def make() -> Any:
            code, groups = INT4 if stored is MatrixFormat.BLOCKS else INT8, scales_per_channel(linear, stored)
            data = self._emit.constant(
                f"{name}.codes", shape, code, lambda: kernel_matrix(self._taken(), linear)[0].numpy()
            )
            scale = self._emit.constant(
                f"{name}.scale", (shape[0], groups), FP16, lambda: kernel_matrix(self._taken(), linear)[1].numpy()
            )
            return self._emit.op("constexpr_blockwise_shift_scale", f"{name}.weight", data=data, scale=scale)

        return self._once(name, make)

    def _vector(self, name: str, size: int, make: Make) -> Any:
        return self._emit.constant(name, (size,), FP16, make)
