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
All of it runs at opset 18 on ONNX Runtime 1.16; ONNX's own INT4 (opset 21) and INT2 ask for newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from edgepack.export.onnx_graph import GraphBuilder
from edgepack.export.onnx_weights import Linear, Weights
from edgepack.quantization import LEVELS, TERNARY

FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16
UINT8, INT8, INT32 = TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32
TRITS = 5  # ternary digits in a byte: 3^5 = 243
PLANE_BITS = {8: (8,), 4: (4,), 3: (2, 1), 2: (2,)}  # widths of the plane sets that make up a code, low bits first


def packed_bytes(bits: int, count: int) -> int:
    """Bytes of `count` codes; each plane set is padded to whole bytes."""
    if bits == TERNARY:
        return -(-count // TRITS)
    return sum(-(-count // (8 // width)) for width in PLANE_BITS[bits])


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """uint8 codes 0 … levels − 1 `(…, n)` → bytes `(…, packed_bytes(n))`, the plane sets one after another."""
    if bits == TERNARY:
        digits = np.zeros((*codes.shape[:-1], TRITS * packed_bytes(bits, codes.shape[-1])), np.int64)
        digits[..., : codes.shape[-1]] = codes
        return (digits.reshape(*codes.shape[:-1], -1, TRITS) @ 3 ** np.arange(TRITS)).astype(np.uint8)
    sets, shift = [], 0
    for width in PLANE_BITS[bits]:
        part = (codes >> shift) & (2**width - 1)
        sets.append(np.bitwise_or.reduce(_planes(part, 8 // width) << plane_shifts(width), axis=-2))
        shift += width
    return np.concatenate(sets, axis=-1)


def products(bits: int) -> np.ndarray:
    """int8 `(256,)`: at `16 · m + c` the number of code c, 0 … levels − 1, times m; zero where no code is."""
    code, levels = np.arange(16), LEVELS[bits]
    number = 2 * code - (levels - 1) if bits in (2, 3) else code - levels // 2
    return (np.arange(16)[:, None] * np.where(code < levels, number, 0)).astype(np.int8).ravel()


def plane_shifts(width: int) -> np.ndarray:
    """How far each plane of this width lies from the low end of its byte: uint8 `(planes, 1)`."""
    return (np.arange(8 // width) * width).astype(np.uint8)[:, None]


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
    block_size: int

    @property
    def blocks(self) -> int:
        """Blocks of each output channel."""
        return -(-self.linear.in_features // self.block_size)


class PackingGraph(GraphBuilder):
    """A graph builder with constants that are stored packed."""

    def __init__(self) -> None:
        super().__init__()
        self._vectors: dict[str, tuple[int, Callable[[Weights], np.ndarray]]] = {}
        self._packed: dict[int, dict[str, Packed]] = {}
        self._lookups: list[onnx.NodeProto] = []  # ahead of all others

    def vector(self, name: str, size: int, values: Callable[[Weights], np.ndarray]) -> str:
        """A vector that is stored as fp16 and seen as fp32, once for each name."""
        self._vectors.setdefault(name, (size, values))
        return name

    def packed_operand(self, linear: Linear, bits: int, block_size: int) -> str:
        """The int8 operand `(in, out)` of a product whose weights are stored at 4, 3 or 2 bits or ternary."""
        entry = Packed(f"{linear.name}.int8", linear, block_size)
        return self._packed.setdefault(bits, {}).setdefault(linear.name, entry).output

    def finish(self) -> None:
        """Emit the unpacking of everything that was asked for, ahead of the nodes that use it."""
        uses, self.nodes = self.nodes, []
        if self._vectors:
            self._unpack_vectors()
        for bits, entries in sorted(self._packed.items()):
            self._unpack_body(bits, list(entries.values()))
        self.nodes = [*self._lookups, *self.nodes, *uses]

    def _unpack_vectors(self) -> None:
        sizes = [size for size, _ in self._vectors.values()]
        functions = [values for _, values in self._vectors.values()]

        def values(weights: Weights) -> np.ndarray:
            return np.concatenate([function(weights) for function in functions]).astype(np.float16)

        stored = self.initializer("vectors", FLOAT16, (sum(sizes),), values)
        both = self.node("Cast", [stored], "v.float", to=FLOAT)
        if len(sizes) == 1:
            self.node("Identity", [both], next(iter(self._vectors)))
        else:
            lengths = self.initializer("v.sizes", TensorProto.INT64, (len(sizes),), lambda _: np.array(sizes, np.int64))
            self.split_node("Split", [both, lengths], list(self._vectors), axis=0)

    def _unpack_body(self, bits: int, entries: Sequence[Packed]) -> None:
        """Codes × multipliers of all matrices of one width, then each matrix out of it."""
        tag, block = f"b{bits}", entries[0].block_size
        counts = [entry.linear.out_features * entry.blocks for entry in entries]
        total = sum(counts)

        def codes(weights: Weights) -> np.ndarray:
            parts = [weights.blocks(entry.linear, bits)["codes"] for entry in entries]
            return pack(np.concatenate([part.reshape(-1) for part in parts]), bits)

        def multipliers(weights: Weights) -> np.ndarray:
            return pack(np.concatenate([weights.blocks(e.linear, bits)["multiplier"].reshape(-1) for e in entries]), 4)

        flat = self._unpacked(f"{tag}.codes", codes, bits, (), total * block)
        steps = self._unpacked(f"{tag}.multipliers", multipliers, 4, (), total)
        blocks = self.node("Reshape", [flat, self.integers(total, block)], f"{tag}.blocks")
        high = self.node("Reshape", [self._shifted(steps, 4, f"{tag}.high"), self.integers(total, 1)], f"{tag}.steps")
        place = self.node("Cast", [self.node("BitwiseOr", [blocks, high], f"{tag}.pairs")], f"{tag}.places", to=INT32)
        table = self.initializer(f"{tag}.products", INT8, (256,), lambda _: products(bits))
        whole = self.node("Gather", [table, place], f"{tag}.int8")
        parts: Sequence[str] = [whole]
        if len(entries) > 1:
            lengths = self.initializer(
                f"{tag}.counts", TensorProto.INT64, (len(counts),), lambda _: np.array(counts, np.int64)
            )
            parts = self.split_node("Split", [whole, lengths], [f"{tag}.{i}" for i in range(len(entries))], axis=0)
        for part, entry in zip(parts, entries, strict=True):
            rows = self.node("Reshape", [part, self.integers(entry.linear.out_features, -1)], f"{part}r")
            if entry.blocks * block != entry.linear.in_features:
                limits = [self.integers(0), self.integers(entry.linear.in_features), self.integers(1)]
                rows = self.node("Slice", [rows, *limits], f"{part}c")
            self.node("Transpose", [rows], entry.output, perm=[1, 0])

    def packed_rows(self, name: str, values: Callable[[Weights], np.ndarray], bits: int, shape: tuple[int, int]) -> str:
        """Codes 0 … levels − 1 of a table, below 8 bits, stored packed and unpacked at load: uint8 `shape`."""
        return self._unpacked(name, lambda weights: pack(values(weights), bits), bits, shape[:1], shape[1])

    def _shifted(self, x: str, places: int, output: str) -> str:
        """uint8 times 2^places."""
        shift = self.bytes(f"left{places}", np.array(places, np.uint8))
        return self.node("BitShift", [x, shift], output, direction="LEFT")

    def bytes(self, name: str, values: np.ndarray) -> str:
        """A small uint8 constant."""
        return self.initializer(name, UINT8, values.shape, lambda _: values)

    def number(self, value: float) -> str:
        """An fp32 scalar."""
        return self.initializer(f"f{value:g}", FLOAT, (), lambda _: np.array(value, np.float32))

    def _unpacked(
        self, name: str, values: Callable[[Weights], np.ndarray], bits: int, lead: tuple[int, ...], count: int
    ) -> str:
        """Codes `(*lead, count)`, uint8, out of a packed initializer: a byte each, since all that is unpacked at load
        is held at once."""
        stored = packed_bytes(bits, count)
        axis = len(lead)
        if bits == TERNARY:
            table = self.initializer(name, UINT8, (*lead, stored), values)
            x = self.node("Cast", [table], f"{name}.i", to=INT32)
            x = self.node("Gather", [self._digits(), x], f"{name}.d")
            return self._cut(f"{name}.t", x, (*lead, TRITS * stored), count)
        widths, sets, start = PLANE_BITS[bits], [], 0
        table = self.initializer(name, UINT8, (*lead, stored), values)
        for number, width in enumerate(widths):
            each = -(-count // (8 // width))
            tag = f"{name}.{number}"
            part = table
            if len(widths) > 1:
                limits = [self.integers(start), self.integers(start + each), self.integers(axis)]
                part = self.node("Slice", [table, *limits], f"{tag}p")
            start += each
            x = self.node("Unsqueeze", [part, self.integers(axis)], f"{tag}u")
            shifts = self.bytes(f"shifts{width}", plane_shifts(width))
            x = self.node("BitShift", [x, shifts], f"{tag}s", direction="RIGHT")
            x = self.node("BitwiseAnd", [x, self.bytes(f"mask{width}", np.array(2**width - 1, np.uint8))], f"{tag}m")
            x = self._cut(tag, x, (*lead, 8 // width * each), count)
            sets.append(x if not number else self._shifted(x, sum(widths[:number]), f"{tag}x"))
        return sets[0] if len(sets) == 1 else self.node("BitwiseOr", sets, f"{name}.sum")

    def _digits(self) -> str:
        """Base-3 digits of every byte value, uint8 `(243, 5)`: ⌊(v + ½) / 3^i⌋ − 3 · ⌊(v + ½) / 3^(i+1)⌋, in fp32."""
        if self._lookups:
            return "t.digits"
        before, self.nodes = self.nodes, self._lookups
        powers = (1 / 3.0 ** np.arange(TRITS + 1)).astype(np.float32)
        inverse = self.initializer("thirds", FLOAT, powers.shape, lambda _: powers)
        x = self.node("Range", [self.scalar(0), self.scalar(3**TRITS), self.scalar(1)], "t.values")
        x = self.node("Unsqueeze", [self.node("Cast", [x], "t.float", to=FLOAT), self.integers(1)], "t.column")
        x = self.node("Mul", [self.node("Add", [x, self.number(0.5)], "t.half"), inverse], "t.quotients")
        x = self.node("Floor", [x], "t.whole")
        at = self.integers(1)
        high = self.node("Slice", [x, self.integers(1), self.integers(TRITS + 1), at], "t.high")
        low = self.node("Slice", [x, self.integers(0), self.integers(TRITS), at], "t.low")
        x = self.node("Sub", [low, self.node("Mul", [high, self.number(3)], "t.carried")], "t.rest")
        self.node("Cast", [x], "t.digits", to=UINT8)
        self.nodes = before
        return "t.digits"

    def _cut(self, tag: str, x: str, shape: tuple[int, ...], count: int) -> str:
        """`(…, planes, n)` → `(…, count)`: the planes end to end, without their padding."""
        x = self.node("Reshape", [x, self.integers(*shape)], f"{tag}r")
        if shape[-1] == count:
            return x
        limits = [self.integers(0), self.integers(count), self.integers(len(shape) - 1)]
        return self.node("Slice", [x, *limits], f"{tag}c")
