"""Constants that a file stores packed and the session unpacks once, when it loads.

Every node here has only constants for inputs, so ONNX Runtime folds it at load, and an inference sees plain tensors.

- Vectors (biases, norms, scales) lie end to end in one fp16 tensor; one Cast and one Split give them back.
- Weights below 8 bits lie end to end, one tensor for each width: each output channel's inputs in blocks, so that codes
  `(blocks, block)` times multipliers `(blocks, 1)` is one product for all matrices; a Split, a Reshape and a Transpose
  for each matrix make the `(in, out)` operand. Two dozen small tensors, each with its own unpacking, cost 15 kB of
  structure and three times the load time.
- Tables of rows are unpacked to one byte a number.

Codes are packed in *planes*: byte `j` holds codes `j`, `j + n/k`, … of `n`, k to a byte, so unpacking is one
broadcast shift and one mask. 3 bits are a plane set of 2 and one of 1; ternary codes go five to a byte, in base 3.
All of it runs at opset 18 on ONNX Runtime 1.16; ONNX's own INT4 (opset 21) and INT2 ask for newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from edgepack.compress.quantization import LEVELS, TERNARY
from edgepack.export.onnx_graph import GraphBuilder
from edgepack.export.onnx_weights import Linear, Weights

FLOAT, FLOAT16, UINT8, INT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.INT8
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
        digits = _planes(codes, TRITS).astype(np.int64)
        return np.sum(digits * 3 ** np.arange(TRITS)[:, None], axis=-2).astype(np.uint8)
    sets, shift = [], 0
    for width in PLANE_BITS[bits]:
        part = (codes >> shift) & (2**width - 1)
        sets.append(np.bitwise_or.reduce(_planes(part, 8 // width) << plane_shifts(width), axis=-2))
        shift += width
    return np.concatenate(sets, axis=-1)


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
        self.nodes += uses

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
        q = self._centred(tag, self.node("Reshape", [flat, self.integers(total, block)], f"{tag}.blocks"), bits)
        column = self.node("Reshape", [steps, self.integers(total, 1)], f"{tag}.steps")
        scaled = self.node("Mul", [q, column], f"{tag}.scaled")
        whole = self.node("Cast", [scaled], f"{tag}.int8", to=INT8)
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
        """Codes 0 … levels − 1 of a table, below 8 bits, stored packed and unpacked at load: fp32 `shape`."""
        return self._unpacked(name, lambda weights: pack(values(weights), bits), bits, shape[:1], shape[1])

    def _centred(self, tag: str, x: str, bits: int) -> str:
        """Codes 0 … levels − 1 as the format's numbers, in fp32: the inverse of `stored_codes`."""
        levels = LEVELS[bits]
        if bits in (2, 3):
            x = self.node("Add", [x, x], f"{tag}.twice")
            return self.node("Sub", [x, self.number(levels - 1)], f"{tag}.centred")
        return self.node("Sub", [x, self.number(levels // 2)], f"{tag}.centred")

    def bytes(self, name: str, values: np.ndarray) -> str:
        """A small uint8 constant."""
        return self.initializer(name, UINT8, values.shape, lambda _: values)

    def number(self, value: float) -> str:
        """An fp32 scalar."""
        return self.initializer(f"f{value:g}", FLOAT, (), lambda _: np.array(value, np.float32))

    def _unpacked(
        self, name: str, values: Callable[[Weights], np.ndarray], bits: int, lead: tuple[int, ...], count: int
    ) -> str:
        """Codes `(*lead, count)` as fp32 out of a packed initializer."""
        stored = packed_bytes(bits, count)
        axis = len(lead)
        if bits == TERNARY:
            table = self.initializer(name, UINT8, (*lead, stored), values)
            x = self.node("Cast", [table], f"{name}.f", to=FLOAT)
            x = self.node("Unsqueeze", [x, self.integers(axis)], f"{name}.u")
            return self._cut(f"{name}.t", self._digits(name, x, axis), (*lead, TRITS * stored), count)
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
            x = self._cut(tag, self.node("Cast", [x], f"{tag}f", to=FLOAT), (*lead, 8 // width * each), count)
            sets.append(x if not number else self.node("Mul", [x, self.number(2 ** sum(widths[:number]))], f"{tag}x"))
        return sets[0] if len(sets) == 1 else self.node("Add", sets, f"{name}.sum")

    def _digits(self, name: str, x: str, axis: int) -> str:
        """Base-3 digits `(…, 5, n)` of bytes `(…, 1, n)`: ⌊(v + ½) / 3^i⌋ − 3 · ⌊(v + ½) / 3^(i+1)⌋, exact in fp32."""
        powers = (1 / 3.0 ** np.arange(TRITS + 1)).astype(np.float32)[:, None]
        inverse = self.initializer("thirds", FLOAT, powers.shape, lambda _: powers)
        x = self.node("Mul", [self.node("Add", [x, self.number(0.5)], f"{name}.h"), inverse], f"{name}.q")
        x = self.node("Floor", [x], f"{name}.n")
        at = self.integers(axis)
        high = self.node("Slice", [x, self.integers(1), self.integers(TRITS + 1), at], f"{name}.n1")
        low = self.node("Slice", [x, self.integers(0), self.integers(TRITS), at], f"{name}.n0")
        return self.node("Sub", [low, self.node("Mul", [high, self.number(3)], f"{name}.n3")], f"{name}.d")

    def _cut(self, tag: str, x: str, shape: tuple[int, ...], count: int) -> str:
        """`(…, planes, n)` → `(…, count)`: the planes end to end, without their padding."""
        x = self.node("Reshape", [x, self.integers(*shape)], f"{tag}r")
        if shape[-1] == count:
            return x
        limits = [self.integers(0), self.integers(count), self.integers(len(shape) - 1)]
        return self.node("Slice", [x, *limits], f"{tag}c")
