"""Constants that a file stores packed and the session unpacks once, when it loads.

Every node here has only constants for inputs, so ONNX Runtime folds it at load, and an inference sees plain tensors.

- Vectors (biases, norms, scales) lie end to end in one fp16 tensor; one Cast and one Split give them back.
- Weights below 8 bits lie end to end, one tensor for each width: each output channel's inputs in blocks, so that codes
  `(blocks, block)` and multipliers `(blocks, 1)` meet in one operator for all matrices; a Split, a Reshape and a
  Transpose for each matrix make the `(in, out)` operand. Two dozen small tensors, each with its own unpacking, cost
  15 kB of structure and three times the load time.
- Tables of rows are unpacked to one byte a number.

Codes are packed in *planes*: byte `j` holds codes `j`, `j + n/k`, … of `n`, k to a byte, so unpacking is one
broadcast shift and one mask. 3 bits are a plane set of 2 and one of 1; ternary codes go five to a byte, in base 3, one
after another, and are looked up. A session holds every step of this at once while it loads: so each step is one byte a
code, but for the places at which a code's product with its multiplier is looked up (a `Mul` takes no bytes, and ONNX
Runtime does not fold Microsoft's `QLinearMul`); in fp32 a file of 4.7 MB took 194 MB to load.
All of it runs at opset 18 on ONNX Runtime 1.16; ONNX's own INT4 (opset 21) and INT2 need newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from edgepack.export.linear import Linear
from edgepack.export.onnx_graph import Graph
from edgepack.export.onnx_weights import padded_codes
from edgepack.export.weights import Weights
from edgepack.quantization import INT4, TERNARY, BitWidth

FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16
UINT8, INT8, INT32 = TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32


def pack(codes: np.ndarray, width: BitWidth) -> np.ndarray:
    """uint8 codes 0 … levels − 1 `(…, n)` → bytes `(…, width.packed_bytes(n))`, the plane sets one after another."""
    lead, count, each = codes.shape[:-1], codes.shape[-1], width.digits_per_byte
    if each:
        digits = np.zeros((*lead, each * width.packed_bytes(count)), np.int64)
        digits[..., :count] = codes
        return (digits.reshape(*lead, -1, each) @ width.levels ** np.arange(each)).astype(np.uint8)
    sets, shift = [], 0
    for plane in width.planes:
        part = (codes >> shift) & (2**plane - 1)
        sets.append(np.bitwise_or.reduce(_planes(part, 8 // plane) << plane_shifts(plane), axis=-2))
        shift += plane
    return np.concatenate(sets, axis=-1)


def products(width: BitWidth) -> np.ndarray:
    """int8 `(256,)`: at `16 · m + c` the number of code c, 0 … levels − 1, times m; zero where no code is."""
    code, levels = np.arange(16), width.levels
    number = 2 * code - (levels - 1) if width.code_step == 2 else code - levels // 2
    return (np.arange(16)[:, None] * np.where(code < levels, number, 0)).astype(np.int8).ravel()


def plane_shifts(plane: int) -> np.ndarray:
    """How far each plane of so many bits lies from the low end of its byte: uint8 `(planes, 1)`."""
    return (np.arange(8 // plane) * plane).astype(np.uint8)[:, None]


def _planes(codes: np.ndarray, count: int) -> np.ndarray:
    """`(…, n)` → `(…, count, ⌈n / count⌉)`, padded with zeros."""
    each = -(-codes.shape[-1] // count)
    padded = np.zeros((*codes.shape[:-1], count * each), np.uint8)
    padded[..., : codes.shape[-1]] = codes
    return padded.reshape(*codes.shape[:-1], count, each)


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
        return -(-self.linear.in_features // self.block_size)


class Packing:
    """Constants that are stored packed in one graph; `finish` writes their unpacking once all are known."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._vectors: dict[str, tuple[int, Callable[[Weights], np.ndarray]]] = {}
        self._packed: dict[int, dict[str, Packed]] = {}
        self._lookups: list[onnx.NodeProto] = []  # ahead of all others

    def vector(self, name: str, size: int, values: Callable[[Weights], np.ndarray]) -> str:
        """A vector that is stored as fp16 and seen as fp32, once for each name."""
        self._vectors.setdefault(name, (size, values))
        return name

    def operand(self, linear: Linear, width: BitWidth, block_size: int) -> str:
        """The int8 operand `(in, out)` of a product whose weights are stored below 8 bits."""
        entry = Packed(f"{linear.name}.int8", linear, width, block_size)
        return self._packed.setdefault(width.bits, {}).setdefault(linear.name, entry).output

    def codes(
        self, name: str, values: Callable[[Weights], np.ndarray], width: BitWidth, lead: tuple[int, ...], count: int
    ) -> str:
        """Codes 0 … levels − 1, uint8 `(*lead, count)`, out of a packed initializer: a byte each, since all that is
        unpacked at load is held at once."""
        shape = (*lead, width.packed_bytes(count))
        table = self._graph.initializer(name, UINT8, shape, lambda weights: pack(values(weights), width))
        if width.digits_per_byte:
            return self._digits_of(name, table, width, shape, count)
        sets, start = [], 0
        for number, plane in enumerate(width.planes):
            part, each = table, -(-count * plane // 8)
            if len(width.planes) > 1:
                limits = [self._graph.integers(at) for at in (start, start + each, len(lead))]
                part = self._graph.node("Slice", [table, *limits], f"{name}.{number}p")
            codes = self._plane(f"{name}.{number}", part, plane, (*lead, each), count)
            places = sum(width.planes[:number])
            sets.append(self.shifted(codes, places, f"{name}.{number}x") if number else codes)
            start += each
        return sets[0] if len(sets) == 1 else self._graph.node("BitwiseOr", sets, f"{name}.sum")

    def shifted(self, x: str, places: int, output: str) -> str:
        """uint8 times 2^places."""
        shift = self._graph.bytes(f"left{places}", np.array(places, np.uint8))
        return self._graph.node("BitShift", [x, shift], output, direction="LEFT")

    def finish(self) -> None:
        """Write the unpacking of everything that was asked for, ahead of the nodes that use it."""
        unpacking: list[onnx.NodeProto] = []
        with self._graph.writing_to(unpacking):
            if self._vectors:
                self._unpack_vectors()
            for _, entries in sorted(self._packed.items()):
                self._unpack_body(list(entries.values()))
        self._graph.nodes[:0] = [*self._lookups, *unpacking]

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
        graph, width, block = self._graph, entries[0].width, entries[0].block_size
        tag, counts = f"b{width.bits}", [entry.linear.out_features * entry.blocks for entry in entries]
        total = sum(counts)

        def codes(weights: Weights) -> np.ndarray:
            return np.concatenate([padded_codes(weights.blocks(e.linear, width)).reshape(-1) for e in entries])

        def multipliers(weights: Weights) -> np.ndarray:
            return np.concatenate([weights.blocks(e.linear, width).multiplier.numpy().reshape(-1) for e in entries])

        flat = self.codes(f"{tag}.codes", codes, width, (), total * block)
        steps = self.codes(f"{tag}.multipliers", multipliers, INT4, (), total)
        blocks = graph.node("Reshape", [flat, graph.integers(total, block)], f"{tag}.blocks")
        high = graph.node("Reshape", [self.shifted(steps, 4, f"{tag}.high"), graph.integers(total, 1)], f"{tag}.steps")
        place = graph.node("Cast", [graph.node("BitwiseOr", [blocks, high], f"{tag}.pairs")], f"{tag}.places", to=INT32)
        table = graph.initializer(f"{tag}.products", INT8, (256,), lambda _: products(width))
        parts: Sequence[str] = [graph.node("Gather", [table, place], f"{tag}.int8")]
        if len(entries) > 1:
            names = [f"{tag}.{i}" for i in range(len(entries))]
            parts = graph.split_node("Split", [parts[0], graph.lengths(f"{tag}.counts", counts)], names, axis=0)
        for part, entry in zip(parts, entries, strict=True):
            self._unpack_matrix(part, entry)

    def _unpack_matrix(self, part: str, entry: Packed) -> None:
        graph, linear = self._graph, entry.linear
        rows = graph.node("Reshape", [part, graph.integers(linear.out_features, -1)], f"{part}r")
        if entry.blocks * entry.block_size != linear.in_features:
            limits = [graph.integers(0), graph.integers(linear.in_features), graph.integers(1)]
            rows = graph.node("Slice", [rows, *limits], f"{part}c")
        graph.node("Transpose", [rows], entry.output, perm=[1, 0])

    def _plane(self, tag: str, part: str, plane: int, shape: tuple[int, ...], count: int) -> str:
        """The codes of one plane set, whose bytes are `part`, of this shape."""
        graph = self._graph
        x = graph.node("Unsqueeze", [part, graph.integers(len(shape) - 1)], f"{tag}u")
        shifts = graph.bytes(f"shifts{plane}", plane_shifts(plane))
        x = graph.node("BitShift", [x, shifts], f"{tag}s", direction="RIGHT")
        mask = graph.bytes(f"mask{plane}", np.array(2**plane - 1, np.uint8))
        x = graph.node("BitwiseAnd", [x, mask], f"{tag}m")
        return self._cut(tag, x, (*shape[:-1], 8 // plane * shape[-1]), count)

    def _digits_of(self, name: str, table: str, width: BitWidth, shape: tuple[int, ...], count: int) -> str:
        """The digits of each byte of `table`, of this shape."""
        x = self._graph.node("Cast", [table], f"{name}.i", to=INT32)
        x = self._graph.node("Gather", [self._digits(width), x], f"{name}.d")
        return self._cut(f"{name}.t", x, (*shape[:-1], width.digits_per_byte * shape[-1]), count)

    def _digits(self, width: BitWidth) -> str:
        """Base-3 digits of every byte value, uint8 `(243, 5)`: ⌊(v + ½) / 3^i⌋ − 3 · ⌊(v + ½) / 3^(i+1)⌋, in fp32."""
        assert width == TERNARY, f"{width} has no digits"
        if not self._lookups:
            with self._graph.writing_to(self._lookups):
                self._write_digits(width.levels, width.digits_per_byte)
        return "t.digits"

    def _write_digits(self, base: int, count: int) -> None:
        graph = self._graph
        powers = (1 / float(base) ** np.arange(count + 1)).astype(np.float32)
        inverse = graph.initializer("thirds", FLOAT, powers.shape, lambda _: powers)
        x = graph.node("Range", [graph.scalar(0), graph.scalar(base**count), graph.scalar(1)], "t.values")
        x = graph.node("Unsqueeze", [graph.node("Cast", [x], "t.float", to=FLOAT), graph.integers(1)], "t.column")
        x = graph.node("Mul", [graph.node("Add", [x, graph.number(0.5)], "t.half"), inverse], "t.quotients")
        x = graph.node("Floor", [x], "t.whole")
        at = graph.integers(1)
        high = graph.node("Slice", [x, graph.integers(1), graph.integers(count + 1), at], "t.high")
        low = graph.node("Slice", [x, graph.integers(0), graph.integers(count), at], "t.low")
        x = graph.node("Sub", [low, graph.node("Mul", [high, graph.number(base)], "t.carried")], "t.rest")
        graph.node("Cast", [x], "t.digits", to=UINT8)

    def _cut(self, tag: str, x: str, shape: tuple[int, ...], count: int) -> str:
        """`(…, planes, n)` → `(…, count)`: the planes end to end, without their padding."""
        graph = self._graph
        x = graph.node("Reshape", [x, graph.integers(*shape)], f"{tag}r")
        if shape[-1] == count:
            return x
        limits = [graph.integers(0), graph.integers(count), graph.integers(len(shape) - 1)]
        return graph.node("Slice", [x, *limits], f"{tag}c")
