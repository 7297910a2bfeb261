"""The graph of a student as a TFLite file.

Inputs are int64 `(1, seq)`; the file's own `seq` is the longest input, and a caller may resize it to what a text
needs. Everything that depends on weights' formats is here:

- matrices at 8 bits: `FULLY_CONNECTED` with int8 codes and one scale a channel, those of `quantize_int8`.
  A float input makes it the runtime's dynamic scheme: each token is rounded to int8 by its own range.
- matrices at 4 bits: int4 codes `q` of `quantize_blocks` with one fp16 scale m · scale for each block of 32 inputs.
  Where the inputs are no multiple of 32, and for blocks of another size, the same weights are stored as the int8
  operand q · m, exact and twice the bytes.
- tables: rows are gathered as codes, made floats and scaled by arithmetic, so a file of 2017's operators can do it.
  TFLite's own quantized `EMBEDDING_LOOKUP` knows no minimum and would store 12 bytes of parameters for each row. Two
  4-bit codes to a byte are parted by a division by 16 and `FLOOR`.
- positions 0, 1, … are counted with `CUMSUM`, so that no shape is computed while the model runs: with every shape known
  once the input is resized, the whole encoder goes to the runtime's XNNPACK.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgepack.export.encoder_walk import Table
from edgepack.export.linear import Linear
from edgepack.export.matrix_format import (
    KERNEL_BLOCK,
    MatrixFormat,
    kernel_format,
    kernel_matrix,
    scales_per_channel,
)
from edgepack.export.one_text_walk import OneTextWalk
from edgepack.export.support import MODEL_INPUTS
from edgepack.export.tflite_file import (
    BOOL,
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
    INT32,
    INT64,
    UINT8,
    Node,
    Option,
    Shape,
    Tensor,
    TfliteGraph,
)
from edgepack.export.weights import Weights
from edgepack.quantization import INT8 as INT8_WIDTH
from edgepack.quantization import RowTable
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student, bucket_by_distance

MASKED = -1e9  # added to the scores of padding
KEEP_DIMS = (Option(0, "b", 1),)
INTEGER, FLOAT = np.int32, np.float32


class LitertEncoder(OneTextWalk[str]):
    """A config's graph; with a student, also its weights."""

    def __init__(self, config: StudentConfig, student: Student | None = None) -> None:
        super().__init__(config)
        self.graph = TfliteGraph()
        self._weights = Weights(student) if student is not None else None
        self._seq = config.max_position_embeddings
        self._numbers: dict[str, int] = {}
        self._build()

    # the file's frame

    def _build(self) -> None:
        for name in MODEL_INPUTS[: 3 if self.config.type_vocab_size > 1 else 2]:
            self.graph.inputs.append(self._value(name, (1, self._seq), INT64, (1, -1)))
        self._index("words", "input_ids")
        self._mask()
        last = self.logits()
        rows = self._shape(last)[0]
        if self.config.task == "token-classification":
            shape = (1, rows, self.config.num_labels)
            last = self._op("RESHAPE", [last, self._integers(1, -1, shape[2])], "batch_logits", shape)
        self.graph.outputs.append(self._numbers[last])

    def _index(self, name: str, source: str) -> None:
        self._op("RESHAPE", [source, self._integers(-1)], name, (self._seq,), type_=INT64)

    def _mask(self) -> None:
        """0 for a text's own tokens, a large negative number for padding: `(1, 1, seq)`."""
        floats = self._op("CAST", ["attention_mask"], "m.float", (1, self._seq))
        absent = self._op("SUB", [floats, self._floats(1.0)], "m.absent", (1, self._seq))
        scaled = self._op("MUL", [absent, self._floats(-MASKED)], "m.scaled", (1, self._seq))
        self._op("RESHAPE", [scaled, self._integers(1, 1, -1)], "mask", (1, 1, self._seq))

    # the steps of the walk

    def rows(self, table: Table) -> str:
        if table.index not in self._numbers:
            self._positions() if table.index == "positions" else self._type_index()
        name, shape = table.name, (self._seq, table.columns)
        if not table.width.is_rounded:
            whole = (table.rows, table.columns)
            stored = self._constant(name, whole, FLOAT32, lambda: self._parameter(table.path))
            return self._gather(stored, table.index, f"{name}.rows", table.columns, FLOAT32)
        bytes_ = table.width.packed_bytes(table.columns)
        codes = self._constant(f"{name}.codes", (table.rows, bytes_), UINT8, lambda: packed_codes(self._rows(table)))
        tail = self._tail(table)
        packed = self._gather(codes, table.index, f"{name}.packed", bytes_, UINT8)
        found = self._op("CAST", [packed], f"{name}.float", (self._seq, bytes_))
        if table.width != INT8_WIDTH:
            found = self._unpack(name, found, bytes_, table.columns)
        parts = [f"{name}.scale", f"{name}.minimum"]
        self._split(self._gather(tail, table.index, f"{name}.tail", 2, FLOAT32), parts, 1, (self._seq, 1))
        scaled = self._op("MUL", [found, parts[0]], f"{name}.scaled", shape)
        return self._op("ADD", [scaled, parts[1]], f"{name}.rows", shape)

    def linear(self, tag: str, x: str, linear: Linear) -> str:
        weight, bias = self._weight(linear), -1
        if linear.bias:
            name, size = f"{linear.name}.bias", (linear.out_features,)
            bias = self._numbers[self._constant(name, size, FLOAT32, lambda: self._taken().bias(linear).numpy())]
        inputs = (self._numbers[x], self._numbers[weight], bias)
        shape = (self._shape(x)[0], linear.out_features)
        return self._node("FULLY_CONNECTED", inputs, tag, shape, (Option(3, "b", 1),))

    def add(self, tag: str, x: str, y: str) -> str:
        return self._op("ADD", [x, y], f"{tag}.sum", self._shape(x))

    def norm(self, tag: str, x: str, path: str, size: int) -> str:
        shape, narrow = self._shape(x), (self._shape(x)[0], 1)
        if self.config.norm == "layer_norm":
            mean = self._op("MEAN", [x, self._integers(1)], f"{tag}.mean", narrow, KEEP_DIMS)
            squares = self._op("SQUARED_DIFFERENCE", [x, mean], f"{tag}.squares", shape)
            variance = self._op("MEAN", [squares, self._integers(1)], f"{tag}.variance", narrow, KEEP_DIMS)
            shifted = self._op("ADD", [variance, self._floats(self.config.norm_eps)], f"{tag}.shifted", narrow)
            inverse = self._op("RSQRT", [shifted], f"{tag}.inverse", narrow)
            x = self._op("SUB", [x, mean], f"{tag}.centred", shape)
            x = self._op("MUL", [x, inverse], f"{tag}.whitened", shape)
        gain = self._constant(f"{path}.gain", (size,), FLOAT32, lambda: self._parameter(f"{path}.weight"))
        bias = self._constant(f"{path}.bias", (size,), FLOAT32, lambda: self._parameter(f"{path}.bias"))
        x = self._op("MUL", [x, gain], f"{tag}.gained", shape)
        return self._op("ADD", [x, bias], f"{tag}.norm", shape)

    def activation(self, tag: str, x: str, act: str) -> str:
        if act.startswith("gelu"):
            options = (Option(0, "b", 1),) if act == "gelu_tanh" else ()
            return self._op("GELU", [x], f"{tag}.act", self._shape(x), options)
        return self._op(act.upper(), [x], f"{tag}.act", self._shape(x))

    def first(self, tag: str, x: str) -> str:
        return self._slice(x, f"{tag}.first", (1, self._shape(x)[1]), 0, 1)

    def first_rows(self, tag: str, x: str) -> str:
        heads, _, size = self._shape(x)
        return self._slice(x, f"{tag}.first", (heads, 1, size), 1, 1)

    def split_heads(self, tag: str, x: str, parts: int, heads: int, size: int) -> list[str]:
        seq = self._shape(x)[0]
        split = self._op(
            "RESHAPE", [x, self._integers(-1, parts * heads, size)], f"{tag}.heads", (seq, parts * heads, size)
        )
        turned = self._op("TRANSPOSE", [split, self._integers(1, 0, 2)], f"{tag}.turned", (parts * heads, seq, size))
        if parts == 1:
            return [turned]
        names = [f"{tag}.part{i}" for i in range(parts)]
        self._split(turned, names, 0, (heads, seq, size))
        return names

    def attend(self, tag: str, query: str, key: str, value: str, size: int, bias: str | None) -> str:
        heads, queries, _ = self._shape(query)
        shape = (heads, queries, self._shape(key)[1])
        query = self._op("MUL", [query, self._floats(size**-0.5)], f"{tag}.scaled", self._shape(query))
        scores = self._op("BATCH_MATMUL", [query, key], f"{tag}.scores", shape, (Option(1, "b", 1),))
        scores = self._op("ADD", [scores, "mask"], f"{tag}.masked", shape)
        if bias is not None:
            scores = self._op("ADD", [scores, bias], f"{tag}.biased", shape)
        shares = self._op("SOFTMAX", [scores], f"{tag}.shares", shape, (Option(0, "f", 1.0),))
        return self._op("BATCH_MATMUL", [shares, value], f"{tag}.context", (heads, queries, size))

    def merge_heads(self, tag: str, x: str, inner: int) -> str:
        heads, queries, size = self._shape(x)
        turned = self._op("TRANSPOSE", [x, self._integers(1, 0, 2)], f"{tag}.back", (queries, heads, size))
        return self._op("RESHAPE", [turned, self._integers(-1, inner)], f"{tag}.merged", (queries, inner))

    def relative_bias(self, path: str, heads: int) -> str:
        name, config, seq = f"{path}.relative", self.config, self._seq
        if name in self._numbers:
            return name
        if "pairs" not in self._numbers:
            self._pairs()
        table = self._constant(
            f"{path}.relative_bias",
            (config.relative_attention_buckets, heads),
            FLOAT32,
            lambda: self._parameter(f"{path}.relative_bias"),
        )
        by_pair = self._op("GATHER", [table, "pairs"], f"{path}.by_pair", (seq, seq, heads))
        return self._op("TRANSPOSE", [by_pair, self._integers(2, 0, 1)], name, (heads, seq, seq))

    # parts of steps

    def _positions(self) -> None:
        same = self._op("EQUAL", ["words", "words"], "p.same", (self._seq,), type_=BOOL)
        ones = self._op("CAST", [same], "p.ones", (self._seq,), type_=INT32)
        self._op("CUMSUM", [ones, self._integers(0)], "positions", (self._seq,), (Option(0, "b", 1),), INT32)

    def _type_index(self) -> None:
        if self.config.type_vocab_size > 1:
            self._index("types", "token_type_ids")
            return
        if "positions" not in self._numbers:
            self._positions()
        self._op("SUB", ["positions", "positions"], "types", (self._seq,), type_=INT32)

    def _pairs(self) -> None:
        """Bucket of each (query, key), int32 `(seq, seq)`: looked up by their distance, query − key."""
        most, seq = self.config.max_position_embeddings, self._seq

        def by_distance() -> np.ndarray:
            return bucket_by_distance(self.config).numpy().astype(INTEGER)

        table = self._constant("relative_buckets", (2 * most - 1,), INT32, by_distance)
        down = self._op("RESHAPE", ["positions", self._integers(-1, 1)], "r.down", (seq, 1), type_=INT32)
        across = self._op("RESHAPE", ["positions", self._integers(1, -1)], "r.across", (1, seq), type_=INT32)
        distance = self._op("SUB", [down, across], "r.distance", (seq, seq), type_=INT32)
        place = self._op("ADD", [distance, self._integers(most - 1)], "r.place", (seq, seq), type_=INT32)
        self._op("GATHER", [table, place], "pairs", (seq, seq), type_=INT32)

    def _tail(self, table: Table) -> str:
        """Scale and minimum of each row, fp32 `(rows, 2)`; stored as fp16 below 8 bits."""

        def values() -> np.ndarray:
            rows = self._rows(table)
            return np.stack([rows.scale.numpy(), rows.minimum.numpy()], axis=1)

        name, shape = f"{table.name}.tails", (table.rows, 2)
        if table.width == INT8_WIDTH:
            return self._constant(name, shape, FLOAT32, values)
        stored = self._constant(name, shape, FLOAT16, values)
        return self._op("DEQUANTIZE", [stored], f"{name}.float", shape)

    def _unpack(self, name: str, packed: str, stored: int, columns: int) -> str:
        """Both halves of each byte as floats: low ones are the first columns, high ones the rest."""
        shape = (self._seq, stored)
        sixteenth = self._op("MUL", [packed, self._floats(1 / 16)], f"{name}.sixteenth", shape)
        high = self._op("FLOOR", [sixteenth], f"{name}.high", shape)
        shifted = self._op("MUL", [high, self._floats(16.0)], f"{name}.shifted", shape)
        low = self._op("SUB", [packed, shifted], f"{name}.low", shape)
        both = self._op("CONCATENATION", [low, high], f"{name}.both", (self._seq, 2 * stored), (Option(0, "i", 1),))
        return both if columns == 2 * stored else self._slice(both, f"{name}.columns", (self._seq, columns), 1, columns)

    def _weight(self, linear: Linear) -> str:
        name, shape = f"{linear.name}.weight", (linear.out_features, linear.in_features)
        found = kernel_format(linear, self.config)
        if found is MatrixFormat.FLOATS:
            return self._constant(name, shape, FLOAT32, lambda: self._taken().matrix(linear).numpy())
        if found is MatrixFormat.BLOCKS:
            return self._blocks(linear, name, shape)

        def codes() -> np.ndarray:
            return kernel_matrix(self._taken(), linear)[0].numpy()

        def scales() -> np.ndarray:
            return kernel_matrix(self._taken(), linear)[1][:, 0].numpy()

        return self._constant(name, shape, INT8, codes, scales)

    def _blocks(self, linear: Linear, name: str, shape: Shape) -> str:
        def codes() -> np.ndarray:
            return packed_int4(kernel_matrix(self._taken(), linear)[0].numpy())

        def scales() -> np.ndarray:
            return kernel_matrix(self._taken(), linear)[1].half().numpy()

        if name not in self._numbers:
            groups = scales_per_channel(linear, MatrixFormat.BLOCKS)
            stored = self._constant(f"{linear.name}.scales", (shape[0], groups), FLOAT16, scales)
            block = (self._numbers[stored], KERNEL_BLOCK)
            self._numbers[name] = self.graph.add(Tensor(name, shape, INT4, codes, block=block))
        return name

    # the student's numbers

    def _taken(self) -> Weights:
        assert self._weights is not None, "this graph was built to be measured"
        return self._weights

    def _parameter(self, path: str) -> np.ndarray:
        return self._taken().parameter(path).numpy()

    def _rows(self, table: Table) -> RowTable:
        return self._taken().rows(table.path, table.width)

    # tensors and operators

    def _value(self, name: str, shape: Shape, type_: int = FLOAT32, dynamic: Shape | None = None) -> int:
        self._numbers[name] = self.graph.add(Tensor(name, shape, type_, dynamic=dynamic))
        return self._numbers[name]

    def _constant(
        self,
        name: str,
        shape: Shape,
        type_: int,
        data: Callable[[], np.ndarray],
        scales: Callable[[], np.ndarray] | None = None,
    ) -> str:
        """A constant, stored once however often it is asked for."""
        if name not in self._numbers:
            self._numbers[name] = self.graph.add(Tensor(name, shape, type_, data, scales))
        return name

    def _integers(self, *values: int) -> str:
        return self._constant(f"i{values}", (len(values),), INT32, lambda: np.asarray(values, INTEGER))

    def _floats(self, value: float) -> str:
        return self._constant(f"f{value!r}", (), FLOAT32, lambda: np.asarray(value, FLOAT))

    def _shape(self, name: str) -> Shape:
        return self.graph.tensors[self._numbers[name]].shape

    def _op(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str,
        shape: Shape,
        options: tuple[Option, ...] = (),
        type_: int = FLOAT32,
    ) -> str:
        return self._node(operator, [self._numbers[name] for name in inputs], output, shape, options, type_)

    def _node(
        self,
        operator: str,
        inputs: Sequence[int],
        output: str,
        shape: Shape,
        options: tuple[Option, ...] = (),
        type_: int = FLOAT32,
    ) -> str:
        assert output not in self._numbers, f"{output} is made twice"
        number = self._value(output, shape, type_)
        self.graph.nodes.append(Node(operator, tuple(inputs), (number,), options))
        return output

    def _gather(self, table: str, index: str, output: str, columns: int, type_: int) -> str:
        return self._op("GATHER", [table, index], output, (self._seq, columns), type_=type_)

    def _split(self, x: str, outputs: Sequence[str], axis: int, shape: Shape) -> None:
        inputs = (self._numbers[self._integers(axis)], self._numbers[x])
        numbers = tuple(self._value(name, shape) for name in outputs)
        self.graph.nodes.append(Node("SPLIT", inputs, numbers, (Option(0, "i", len(outputs)),)))

    def _slice(self, x: str, output: str, shape: Shape, axis: int, stop: int) -> str:
        """`x` from 0 to `stop` on one axis, whole on the others."""
        rank, others = len(shape), sum(1 << i for i in range(len(shape)) if i != axis)
        limits = [self._integers(*[0] * rank), self._integers(*[stop if i == axis else 0 for i in range(rank)])]
        options = (Option(0, "i", others), Option(1, "i", others))
        return self._op("STRIDED_SLICE", [x, *limits, self._integers(*[1] * rank)], output, shape, options)


def packed_int4(codes: np.ndarray) -> np.ndarray:
    """−8…7 two to a byte, the even one in the low half."""
    halves = (codes.astype(np.int16) & 15).astype(np.uint8).ravel()
    halves = np.pad(halves, (0, len(halves) % 2))
    return halves[::2] | halves[1::2] << 4


def packed_codes(table: RowTable) -> np.ndarray:
    """Codes of rows in bytes; at 4 bits the first half of the columns low, the second half high."""
    codes = table.q.numpy()
    if table.width == INT8_WIDTH:
        return codes
    stored = table.width.packed_bytes(codes.shape[1])
    padded = np.pad(codes, ((0, 0), (0, 2 * stored - codes.shape[1])))
    return padded[:, :stored] | padded[:, stored:] << 4
