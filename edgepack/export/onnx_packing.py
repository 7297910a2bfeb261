"""Constants that a file stores packed and the session unpacks once, when it loads; and packed rows that it never does.

What an inference sees are plain tensors, since ONNX Runtime folds nodes whose inputs are all constants, at load. It
holds the result of each such node until all are folded, so the sum of them is what a model costs to open.

- Vectors (biases, norms, scales) lie end to end in one fp16 tensor; one Cast and one Split give them back.
- Weights below 8 bits lie end to end, one tensor for each width, as pairs of codes (`onnx_codes.py`). One lookup, at
  `256 · multiplier + pair`, gives the products of two; a Split, and a Reshape and a Transpose for each matrix, make the
  `(in, out)` operand. Two dozen small tensors, each with its own unpacking, cost 15 kB of structure and three times the
  load time. (`Mul` takes no bytes, and ONNX Runtime does not fold Microsoft's `QLinearMul`.)
- A table of words stays packed: the rows of a text's tokens are taken from it, and those are unpacked.

All of it runs at opset 18 on ONNX Runtime 1.16; ONNX's own INT4 (opset 21) and INT2 need newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from edgepack.export.linear import Linear
from edgepack.export.onnx_codes import PAIR, Codes, pack_pairs, pack_rows, pair_bytes
from edgepack.export.onnx_graph import Graph
from edgepack.export.onnx_weights import code_halves
from edgepack.export.weights import Weights
from edgepack.quantization import INT4, BitWidth, number_of_blocks

FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16
UINT8, INT32 = TensorProto.UINT8, TensorProto.INT32


@dataclass(frozen=True)
class Packed:
    """One packed matrix: where its operand goes, and where its codes come from."""

    output: str
    linear: Linear
    width: BitWidth
    block_size: int

    @property
    def blocks(self) -> int:
        """Blocks of each output channel."""
        return number_of_blocks(self.linear.in_features, self.block_size)

    @property
    def pairs(self) -> int:
        """Pairs of codes of each block; the last has no second code where the block is odd."""
        return -(-self.block_size // 2)


class Packing:
    """Constants that are stored packed in one graph; `finish` writes their unpacking once all are known."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._codes = Codes(graph)
        self._vectors: dict[str, tuple[int, Callable[[Weights], np.ndarray]]] = {}
        self._packed: dict[int, dict[str, Packed]] = {}

    def vector(self, name: str, size: int, values: Callable[[Weights], np.ndarray]) -> str:
        """A vector that is stored as fp16 and seen as fp32, once for each name."""
        self._vectors.setdefault(name, (size, values))
        return name

    def operand(self, linear: Linear, width: BitWidth, block_size: int) -> str:
        """The int8 operand `(in, out)` of a product whose weights are stored below 8 bits."""
        entry = Packed(f"{linear.name}.int8", linear, width, block_size)
        return self._packed.setdefault(width.bits, {}).setdefault(linear.name, entry).output

    def table(
        self, name: str, values: Callable[[Weights], np.ndarray], width: BitWidth, rows: int, columns: int
    ) -> str:
        """All codes of a table, fp32 `(rows, columns)`, unpacked at load."""
        stored = self._stored(name, values, width, (rows,), columns)
        return self._codes.rows(name, stored, width, 1, columns, FLOAT)

    def token_rows(
        self,
        name: str,
        values: Callable[[Weights], np.ndarray],
        width: BitWidth,
        rows: int,
        columns: int,
        tag: str,
        to: int,
    ) -> str:
        """The rows of a packed table that `input_ids` asks for, `(batch, seq, columns)`: codes as fp32, or as uint8 the
        whole numbers that they stand for, `code_step` apart."""
        stored = self._stored(name, values, width, (rows,), columns)
        packed = self._graph.node("Gather", [stored, "input_ids"], f"{tag}.packed")
        return self._codes.rows(tag, packed, width, 2, columns, to, 0 if to == FLOAT else width.code_step - 1)

    def finish(self) -> None:
        """Write the unpacking of everything that was asked for, ahead of the nodes that use it."""
        unpacking: list[onnx.NodeProto] = []
        with self._graph.writing_to(unpacking):
            if self._vectors:
                self._unpack_vectors()
            for _, entries in sorted(self._packed.items()):
                self._unpack_body(list(entries.values()))
        self._graph.nodes[:0] = [*self._codes.ahead, *unpacking]

    def _stored(
        self, name: str, values: Callable[[Weights], np.ndarray], width: BitWidth, lead: tuple[int, ...], count: int
    ) -> str:
        shape = (*lead, width.packed_bytes(count))
        return self._graph.initializer(name, UINT8, shape, lambda weights: pack_rows(values(weights), width))

    def _unpack_vectors(self) -> None:
        graph, sizes = self._graph, [size for size, _ in self._vectors.values()]
        functions = [values for _, values in self._vectors.values()]

        def values(weights: Weights) -> np.ndarray:
            return np.concatenate([function(weights) for function in functions]).astype(np.float16)

        stored = graph.initializer("vectors", FLOAT16, (sum(sizes),), values)
        both = graph.node("Cast", [stored], "v.float", to=FLOAT)
        if len(sizes) == 1:
            graph.node("Identity", [both], next(iter(self._vectors)))
        else:
            graph.split_node("Split", [both, graph.lengths("v.sizes", sizes)], list(self._vectors), axis=0)

    def _unpack_body(self, entries: Sequence[Packed]) -> None:
        """Codes × multipliers of all matrices of one width, then each matrix out of it."""
        graph, width, block, half = self._graph, entries[0].width, entries[0].block_size, entries[0].pairs
        tag, counts = f"b{width.bits}", [entry.linear.out_features * entry.blocks for entry in entries]
        total = sum(counts)
        pairs = graph.node("Cast", [self._pairs(tag, entries, total, half)], f"{tag}.columns", to=INT32)
        place = graph.node("Add", [pairs, self._multipliers(tag, entries, total)], f"{tag}.places")
        found = graph.node("Gather", [self._codes.pair_products(tag, width), place], f"{tag}.int8")
        if block % 2:
            found = graph.node("Reshape", [found, graph.integers(total, 2 * half)], f"{tag}.whole")
            limits = [graph.integers(0), graph.integers(block), graph.integers(1)]
            found = graph.node("Slice", [found, *limits], f"{tag}.cut")
        parts: Sequence[str] = [found]
        if len(entries) > 1:
            names = [f"{tag}.{i}" for i in range(len(entries))]
            parts = graph.split_node("Split", [found, graph.lengths(f"{tag}.counts", counts)], names, axis=0)
        for part, entry in zip(parts, entries, strict=True):
            self._unpack_matrix(part, entry)

    def _multipliers(self, tag: str, entries: Sequence[Packed], total: int) -> str:
        """256 times each block's multiplier, int32 `(total, 1)`."""
        graph, width = self._graph, entries[0].width

        def values(weights: Weights) -> np.ndarray:
            return np.concatenate([weights.blocks(e.linear, width).multiplier.numpy().reshape(-1) for e in entries])

        stored = self._stored(f"{tag}.multipliers", values, INT4, (), total)
        x = graph.node("Cast", [self._codes.rows(f"{tag}.m", stored, INT4, 0, total)], f"{tag}.m.int32", to=INT32)
        x = graph.node("Unsqueeze", [x, graph.integers(1)], f"{tag}.m.column")
        step = graph.initializer("pair.count", INT32, (), lambda _: np.array(PAIR, np.int32))
        return graph.node("Mul", [x, step], f"{tag}.rows")

    def _pairs(self, tag: str, entries: Sequence[Packed], total: int, half: int) -> str:
        """Pairs of codes of all matrices of one width, uint8 `(total, half)`; a second code is in the upper half."""
        graph, width, count, name = self._graph, entries[0].width, total * half, f"{tag}.codes"

        def halves(weights: Weights) -> list[np.ndarray]:
            each = [code_halves(weights.blocks(entry.linear, width)) for entry in entries]
            return [np.concatenate(parts) for parts in zip(*each, strict=True)]

        if width.digits_per_byte:  # five codes share a byte: all first ones, then all second ones
            stored = self._stored(name, lambda weights: np.concatenate(halves(weights)), width, (), 2 * count)
            both = self._codes.rows(name, stored, width, 0, 2 * count)
            both = graph.node("Reshape", [both, graph.integers(2, total, half)], f"{tag}.halves")
            first, second = (graph.node("Gather", [both, graph.scalar(i)], f"{tag}.half{i}", axis=0) for i in (0, 1))
            return graph.node("BitwiseOr", [first, self._codes.shifted(second, 4, f"{tag}.high")], f"{tag}.pairs")

        def pairs(weights: Weights) -> np.ndarray:
            first, second = halves(weights)
            return pack_pairs(first | second << 4, width)

        size = pair_bytes(count, width)
        shape = (total, half) if size == count else (size,)
        packed = graph.initializer(name, UINT8, shape, lambda weights: pairs(weights).reshape(shape))
        found = self._codes.pairs(name, packed, width, count)
        return found if found == packed else graph.node("Reshape", [found, graph.integers(total, half)], f"{tag}.pairs")

    def _unpack_matrix(self, part: str, entry: Packed) -> None:
        graph, linear = self._graph, entry.linear
        rows = graph.node("Reshape", [part, graph.integers(linear.out_features, -1)], f"{part}r")
        if entry.blocks * entry.block_size != linear.in_features:
            limits = [graph.integers(0), graph.integers(linear.in_features), graph.integers(1)]
            rows = graph.node("Slice", [rows, *limits], f"{part}c")
        graph.node("Transpose", [rows], entry.output, perm=[1, 0])
