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

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgepack.export.encoder_walk import LEAST_LENGTH, Table
from edgepack.export.linear import Linear
from edgepack.export.litert_graph import NamedGraph
from edgepack.export.matrix_format import (
    KERNEL_BLOCK,
    MatrixFormat,
    kernel_format,
    kernel_matrix,
    scales_per_channel,
)
from edgepack.export.tflite_file import (
    BOOL,
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
    INT32,
    INT64,
    UINT8,
    Option,
    Shape,
    Tensor,
)
from edgepack.export.weighted_walk import WeightedWalk
from edgepack.quantization import INT8 as INT8_WIDTH
from edgepack.quantization import RowTable
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.student.relative_positions import bucket_by_distance
from edgepack.task.encoded import MODEL_INPUTS
from edgepack.task.similarity import EMBEDS

MASKED = -1e9  # added to the scores of padding
KEEP_DIMS = (Option(0, "b", 1),)


class LitertEncoder(WeightedWalk[str]):
    """A config's graph; with a student, also its weights."""

    def __init__(self, config: StudentConfig, student: Student | None = None) -> None:
        super().__init__(config, student)
        self.graph = NamedGraph()
        self._seq = config.max_position_embeddings
        self._build()

    # the file's frame

    def _build(self) -> None:
        graph = self.graph
        for name in MODEL_INPUTS[: 3 if self.config.type_vocab_size > 1 else 2]:
            graph.inputs.append(graph.value(name, (1, self._seq), INT64, (1, -1)))
        self._index("words", "input_ids")
        self._mask()
        last = self.logits()
        rows = graph.shape(last)[0]
        if self.config.per_token:
            shape = (1, rows, self.config.outputs)
            last = graph.op("RESHAPE", [last, graph.integers(1, -1, shape[2])], "batch_logits", shape)
        number = graph.numbers[last]
        if self.config.task == EMBEDS:  # whoever reads the file tells vectors from logits by it
            graph.tensors[number] = replace(graph.tensors[number], name=self.config.output_name)
        graph.outputs.append(number)

    def _index(self, name: str, source: str) -> None:
        self.graph.op("RESHAPE", [source, self.graph.integers(-1)], name, (self._seq,), type_=INT64)

    def _mask(self) -> None:
        """0 for a text's own tokens, a large negative number for padding: `(1, 1, seq)`."""
        graph = self.graph
        floats = graph.op("CAST", ["attention_mask"], "m.float", (1, self._seq))
        absent = graph.op("SUB", [floats, graph.number(1.0)], "m.absent", (1, self._seq))
        scaled = graph.op("MUL", [absent, graph.number(-MASKED)], "m.scaled", (1, self._seq))
        graph.op("RESHAPE", [scaled, graph.integers(1, 1, -1)], "mask", (1, 1, self._seq))

    # the steps of the walk

    def rows(self, table: Table) -> str:
        graph = self.graph
        if table.index not in graph.numbers:
            {"positions": self._positions, "types": self._type_index, "buckets": self._buckets}[table.index]()
        name, shape = table.name, (self._seq, table.columns)
        if not table.width.is_rounded:
            whole = (table.rows, table.columns)
            stored = graph.constant(name, whole, FLOAT32, lambda: self._parameter(table.path))
            return self._gather(stored, table.index, f"{name}.rows", table.columns, FLOAT32)
        bytes_ = table.width.packed_bytes(table.columns)
        codes = graph.constant(f"{name}.codes", (table.rows, bytes_), UINT8, lambda: packed_codes(self._rows(table)))
        tail = self._tail(table)
        packed = self._gather(codes, table.index, f"{name}.packed", bytes_, UINT8)
        found = graph.op("CAST", [packed], f"{name}.float", (self._seq, bytes_))
        if table.width != INT8_WIDTH:
            found = self._unpack(name, found, bytes_, table.columns)
        parts = [f"{name}.scale", f"{name}.minimum"]
        graph.split(self._gather(tail, table.index, f"{name}.tail", 2, FLOAT32), parts, 1, (self._seq, 1))
        scaled = graph.op("MUL", [found, parts[0]], f"{name}.scaled", shape)
        return graph.op("ADD", [scaled, parts[1]], f"{name}.rows", shape)

    def linear(self, tag: str, x: str, linear: Linear) -> str:
        graph = self.graph
        weight, bias = self._weight(linear), -1
        if linear.bias:
            name, size = f"{linear.name}.bias", (linear.out_features,)
            bias = graph.numbers[graph.constant(name, size, FLOAT32, lambda: self._taken().bias(linear).numpy())]
        inputs = (graph.numbers[x], graph.numbers[weight], bias)
        shape = (graph.shape(x)[0], linear.out_features)
        return graph.node("FULLY_CONNECTED", inputs, tag, shape, (Option(3, "b", 1),))

    def add(self, tag: str, x: str, y: str) -> str:
        return self.graph.op("ADD", [x, y], f"{tag}.sum", self.graph.shape(x))

    def norm(self, tag: str, x: str, path: str, size: int) -> str:
        graph = self.graph
        shape, narrow = graph.shape(x), (graph.shape(x)[0], 1)
        if self.config.norm == "layer_norm":
            mean = graph.op("MEAN", [x, graph.integers(1)], f"{tag}.mean", narrow, KEEP_DIMS)
            squares = graph.op("SQUARED_DIFFERENCE", [x, mean], f"{tag}.squares", shape)
            variance = graph.op("MEAN", [squares, graph.integers(1)], f"{tag}.variance", narrow, KEEP_DIMS)
            shifted = graph.op("ADD", [variance, graph.number(self.config.norm_eps)], f"{tag}.shifted", narrow)
            inverse = graph.op("RSQRT", [shifted], f"{tag}.inverse", narrow)
            x = graph.op("SUB", [x, mean], f"{tag}.centred", shape)
            x = graph.op("MUL", [x, inverse], f"{tag}.whitened", shape)
        gain = graph.constant(f"{path}.gain", (size,), FLOAT32, lambda: self._parameter(f"{path}.weight"))
        bias = graph.constant(f"{path}.bias", (size,), FLOAT32, lambda: self._parameter(f"{path}.bias"))
        x = graph.op("MUL", [x, gain], f"{tag}.gained", shape)
        return graph.op("ADD", [x, bias], f"{tag}.norm", shape)

    def activation(self, tag: str, x: str, act: str) -> str:
        graph = self.graph
        if act.startswith("gelu"):
            options = (Option(0, "b", 1),) if act == "gelu_tanh" else ()
            return graph.op("GELU", [x], f"{tag}.act", graph.shape(x), options)
        return graph.op(act.upper(), [x], f"{tag}.act", graph.shape(x))

    def first(self, tag: str, x: str) -> str:
        return self.graph.slice(x, f"{tag}.first", (1, self.graph.shape(x)[1]), 0, 1)

    def mean(self, tag: str, x: str, last: bool) -> str:
        graph, size, row = self.graph, self.graph.shape(x)[1], (1, 1, self._seq)
        weights = graph.op("RESHAPE", ["m.float", graph.integers(1, 1, -1)], f"{tag}.mask", row)
        count = graph.op("SUM", [weights, graph.integers(2)], f"{tag}.count", (1, 1, 1), KEEP_DIMS)
        if last:
            place = graph.op("CUMSUM", [weights, graph.integers(2)], f"{tag}.place", row)
            is_last = graph.op("EQUAL", [place, count], f"{tag}.is_last", row, type_=BOOL)
            one = graph.op("CAST", [is_last], f"{tag}.one", row)
            weights = graph.op("MUL", [weights, one], f"{tag}.weights", row)
        else:
            weights = graph.op("DIV", [weights, count], f"{tag}.weights", row)
        tokens = graph.op("RESHAPE", [x, graph.integers(1, -1, size)], f"{tag}.tokens", (1, self._seq, size))
        mean = graph.op("BATCH_MATMUL", [weights, tokens], f"{tag}.mean", (1, 1, size))
        return graph.op("RESHAPE", [mean, graph.integers(1, -1)], tag, (1, size))

    def unit(self, tag: str, x: str) -> str:
        graph, shape, narrow = self.graph, self.graph.shape(x), (self.graph.shape(x)[0], 1)
        squares = graph.op("MUL", [x, x], f"{tag}.squares", shape)
        total = graph.op("SUM", [squares, graph.integers(1)], f"{tag}.total", narrow, KEEP_DIMS)
        least = graph.op("ADD", [total, graph.number(LEAST_LENGTH**2)], f"{tag}.least", narrow)
        return graph.op("MUL", [x, graph.op("RSQRT", [least], f"{tag}.inverse", narrow)], tag, shape)

    def sum_neighbours(self, tag: str, x: str, places: Sequence[int]) -> str:
        graph, reach, seq, (_, columns) = self.graph, max(places), self._seq, self.graph.shape(x)
        shape = (seq, columns // len(places))
        real = graph.op("RESHAPE", ["m.float", graph.integers(-1, 1)], f"{tag}.real", (seq, 1))
        x = graph.op("MUL", [x, real], f"{tag}.present", (seq, columns))
        room = graph.constant(f"{tag}.room", (2, 2), INT32, lambda: np.array([[reach, reach], [0, 0]], np.int32))
        padded = graph.op("PAD", [x, room], f"{tag}.padded", (seq + 2 * reach, columns))
        parts = []
        for number, place in enumerate(places):
            begin, end = (reach + place, number * shape[1]), (place - reach, (number + 1) * shape[1])
            parts.append(graph.cut(padded, f"{tag}.part{number}", shape, begin, end))
        total = parts[0]
        for number, part in enumerate(parts[1:], 1):
            total = graph.op("ADD", [total, part], tag if part == parts[-1] else f"{tag}.total{number}", shape)
        return total

    def matches(self, tag: str, path: str, separator: int) -> str:
        graph, seq, size = self.graph, self._seq, self.config.hidden_size
        line, column, square = (seq,), (seq, 1), (seq, seq)
        present = graph.op("RESHAPE", ["attention_mask", graph.integers(-1)], f"{tag}.mask", line, type_=INT64)
        present = graph.op("CAST", [present], f"{tag}.real", line, type_=INT32)
        ids = graph.op("CAST", ["words"], f"{tag}.words", line, type_=INT32)
        ids = graph.op("ADD", [ids, graph.integers(1)], f"{tag}.following", line, type_=INT32)
        ids = graph.op("MUL", [ids, present], f"{tag}.ids", line, type_=INT32)
        between = graph.op("EQUAL", [ids, graph.integers(separator + 1)], f"{tag}.between", line, type_=BOOL)
        count = graph.op("CAST", [between], f"{tag}.one", line, type_=INT32)
        count = graph.op("CUMSUM", [count, graph.integers(0)], f"{tag}.count", line, type_=INT32)
        first = graph.op("EQUAL", [count, graph.integers(0)], f"{tag}.is_first", line, type_=BOOL)
        first = graph.op("CAST", [first], f"{tag}.first", line, type_=INT32)
        double = graph.op("ADD", [ids, ids], f"{tag}.double", line, type_=INT32)
        own = graph.op("ADD", [double, first], f"{tag}.own", line, type_=INT32)
        wanted = graph.op("ADD", [double, graph.integers(1)], f"{tag}.next", line, type_=INT32)
        wanted = graph.op("SUB", [wanted, first], f"{tag}.wanted", line, type_=INT32)
        down = graph.op("RESHAPE", [own, graph.integers(-1, 1)], f"{tag}.down", column, type_=INT32)
        across = graph.op("RESHAPE", [wanted, graph.integers(1, -1)], f"{tag}.across", (1, seq), type_=INT32)
        same = graph.op("EQUAL", [down, across], f"{tag}.same", square, type_=BOOL)
        pairs = graph.op("CAST", [same], f"{tag}.pairs", square)
        found = graph.op("SUM", [pairs, graph.integers(1)], f"{tag}.found", column, KEEP_DIMS)
        none = graph.op("EQUAL", [found, graph.number(0.0)], f"{tag}.none", column, type_=BOOL)
        absent = graph.op("CAST", [none], f"{tag}.absent", column)
        present = graph.op("SUB", [graph.number(1.0), absent], f"{tag}.present", column)
        vector = graph.constant(path, (size,), FLOAT32, lambda: self._parameter(path))
        return graph.op("MUL", [present, vector], tag, (seq, size))

    def first_rows(self, tag: str, x: str) -> str:
        heads, _, size = self.graph.shape(x)
        return self.graph.slice(x, f"{tag}.first", (heads, 1, size), 1, 1)

    def split_heads(self, tag: str, x: str, parts: int, heads: int, size: int) -> list[str]:
        graph = self.graph
        seq = graph.shape(x)[0]
        split = graph.op(
            "RESHAPE", [x, graph.integers(-1, parts * heads, size)], f"{tag}.heads", (seq, parts * heads, size)
        )
        turned = graph.op("TRANSPOSE", [split, graph.integers(1, 0, 2)], f"{tag}.turned", (parts * heads, seq, size))
        if parts == 1:
            return [turned]
        names = [f"{tag}.part{i}" for i in range(parts)]
        graph.split(turned, names, 0, (heads, seq, size))
        return names

    def attend(self, tag: str, query: str, key: str, value: str, size: int, bias: str | None) -> str:
        graph = self.graph
        heads, queries, _ = graph.shape(query)
        shape = (heads, queries, graph.shape(key)[1])
        query = graph.op("MUL", [query, graph.number(size**-0.5)], f"{tag}.scaled", graph.shape(query))
        scores = graph.op("BATCH_MATMUL", [query, key], f"{tag}.scores", shape, (Option(1, "b", 1),))
        scores = graph.op("ADD", [scores, "mask"], f"{tag}.masked", shape)
        if bias is not None:
            scores = graph.op("ADD", [scores, bias], f"{tag}.biased", shape)
        shares = graph.op("SOFTMAX", [scores], f"{tag}.shares", shape, (Option(0, "f", 1.0),))
        return graph.op("BATCH_MATMUL", [shares, value], f"{tag}.context", (heads, queries, size))

    def merge_heads(self, tag: str, x: str, inner: int) -> str:
        graph = self.graph
        heads, queries, size = graph.shape(x)
        turned = graph.op("TRANSPOSE", [x, graph.integers(1, 0, 2)], f"{tag}.back", (queries, heads, size))
        return graph.op("RESHAPE", [turned, graph.integers(-1, inner)], f"{tag}.merged", (queries, inner))

    def relative_bias(self, path: str, heads: int) -> str:
        graph = self.graph
        name, config, seq = f"{path}.relative", self.config, self._seq
        if name in graph.numbers:
            return name
        if "pairs" not in graph.numbers:
            self._pairs()
        table = graph.constant(
            f"{path}.relative_bias",
            (config.relative_attention_buckets, heads),
            FLOAT32,
            lambda: self._parameter(f"{path}.relative_bias"),
        )
        by_pair = graph.op("GATHER", [table, "pairs"], f"{path}.by_pair", (seq, seq, heads))
        return graph.op("TRANSPOSE", [by_pair, graph.integers(2, 0, 1)], name, (heads, seq, seq))

    # parts of steps

    def _positions(self) -> None:
        graph = self.graph
        same = graph.op("EQUAL", ["words", "words"], "p.same", (self._seq,), type_=BOOL)
        ones = graph.op("CAST", [same], "p.ones", (self._seq,), type_=INT32)
        graph.op("CUMSUM", [ones, graph.integers(0)], "positions", (self._seq,), (Option(0, "b", 1),), INT32)

    def _type_index(self) -> None:
        if self.config.type_vocab_size > 1:
            self._index("types", "token_type_ids")
            return
        if "positions" not in self.graph.numbers:
            self._positions()
        self.graph.op("SUB", ["positions", "positions"], "types", (self._seq,), type_=INT32)

    def _buckets(self) -> None:
        ids = self.graph.op("CAST", ["words"], "wide.ids", (self._seq,), type_=INT32)
        rows = self.graph.integers(self.config.wide_rows)
        self.graph.op("FLOOR_MOD", [ids, rows], "buckets", (self._seq,), type_=INT32)

    def _pairs(self) -> None:
        """Bucket of each (query, key), int32 `(seq, seq)`: looked up by their distance, query − key."""
        graph = self.graph
        most, seq = self.config.max_position_embeddings, self._seq

        def by_distance() -> np.ndarray:
            return bucket_by_distance(self.config).numpy().astype(np.int32)

        table = graph.constant("relative_buckets", (2 * most - 1,), INT32, by_distance)
        down = graph.op("RESHAPE", ["positions", graph.integers(-1, 1)], "r.down", (seq, 1), type_=INT32)
        across = graph.op("RESHAPE", ["positions", graph.integers(1, -1)], "r.across", (1, seq), type_=INT32)
        distance = graph.op("SUB", [down, across], "r.distance", (seq, seq), type_=INT32)
        place = graph.op("ADD", [distance, graph.integers(most - 1)], "r.place", (seq, seq), type_=INT32)
        graph.op("GATHER", [table, place], "pairs", (seq, seq), type_=INT32)

    def _tail(self, table: Table) -> str:
        """Scale and minimum of each row, fp32 `(rows, 2)`; stored as fp16 below 8 bits."""
        graph = self.graph

        def values() -> np.ndarray:
            rows = self._rows(table)
            return np.stack([rows.scale.numpy(), rows.minimum.numpy()], axis=1)

        name, shape = f"{table.name}.tails", (table.rows, 2)
        if table.width == INT8_WIDTH:
            return graph.constant(name, shape, FLOAT32, values)
        stored = graph.constant(name, shape, FLOAT16, values)
        return graph.op("DEQUANTIZE", [stored], f"{name}.float", shape)

    def _unpack(self, name: str, packed: str, stored: int, columns: int) -> str:
        """Both halves of each byte as floats: low ones are the first columns, high ones the rest."""
        graph = self.graph
        shape = (self._seq, stored)
        sixteenth = graph.op("MUL", [packed, graph.number(1 / 16)], f"{name}.sixteenth", shape)
        high = graph.op("FLOOR", [sixteenth], f"{name}.high", shape)
        shifted = graph.op("MUL", [high, graph.number(16.0)], f"{name}.shifted", shape)
        low = graph.op("SUB", [packed, shifted], f"{name}.low", shape)
        both = graph.op("CONCATENATION", [low, high], f"{name}.both", (self._seq, 2 * stored), (Option(0, "i", 1),))
        return both if columns == 2 * stored else graph.slice(both, f"{name}.columns", (self._seq, columns), 1, columns)

    def _weight(self, linear: Linear) -> str:
        name, shape = f"{linear.name}.weight", (linear.out_features, linear.in_features)
        found = kernel_format(linear, self.config)
        if found is MatrixFormat.FLOATS:
            return self.graph.constant(name, shape, FLOAT32, lambda: self._taken().matrix(linear).numpy())
        if found is MatrixFormat.BLOCKS:
            return self._blocks(linear, name, shape)

        def codes() -> np.ndarray:
            return kernel_matrix(self._taken(), linear)[0].numpy()

        def scales() -> np.ndarray:
            return kernel_matrix(self._taken(), linear)[1][:, 0].numpy()

        return self.graph.constant(name, shape, INT8, codes, scales)

    def _blocks(self, linear: Linear, name: str, shape: Shape) -> str:
        graph = self.graph

        def codes() -> np.ndarray:
            return packed_int4(kernel_matrix(self._taken(), linear)[0].numpy())

        def scales() -> np.ndarray:
            return kernel_matrix(self._taken(), linear)[1].half().numpy()

        if name not in graph.numbers:
            groups = scales_per_channel(linear, MatrixFormat.BLOCKS)
            stored = graph.constant(f"{linear.name}.scales", (shape[0], groups), FLOAT16, scales)
            block = (graph.numbers[stored], KERNEL_BLOCK)
            graph.numbers[name] = graph.add(Tensor(name, shape, INT4, codes, block=block))
        return name

    def _gather(self, table: str, index: str, output: str, columns: int, type_: int) -> str:
        return self.graph.op("GATHER", [table, index], output, (self._seq, columns), type_=type_)

    # the student's numbers

    def _rows(self, table: Table) -> RowTable:
        return self._taken().rows(table.path, table.width)


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
