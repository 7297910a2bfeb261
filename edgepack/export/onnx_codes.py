"""Codes of less than 8 bits in an ONNX file: how they share bytes, and the nodes that give them back.

Two ways, each made for where it is used:

- *Rows* (tables, multipliers): neighbouring codes share a byte, k of them, and a lookup of k numbers a byte gives them
  back. 3 bits are stored as 2 and 1, each with its like; ternary codes are digits in base 3, five to a byte. The
  lookup's numbers are what is needed, floats too, so a text's rows cost few nodes.
- *Pairs* (weights, unpacked once at load): a byte with two neighbouring codes, whose products with any multiplier are
  looked up together. At 4 bits a pair is a byte of the file; at 3 and 2 bits both codes of a pair are cut alike, and
  the parts packed in planes, byte `j` holding those of pairs `j`, `j + n/k`, …, so that one broadcast shift and one
  mask give them back.

Lookup tables are made by nodes as well, from ranges: as numbers in the file they would take more bytes.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from edgepack.export.onnx_graph import Graph
from edgepack.quantization import INT4, BitWidth

FLOAT, UINT8, INT8, INT32 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32
PAIR = 256  # values of a byte with two codes


def pack_rows(codes: np.ndarray, width: BitWidth) -> np.ndarray:
    """uint8 codes 0 … levels − 1 `(…, n)` → bytes `(…, width.packed_bytes(n))`, one part of the codes after another."""
    if width.digits_per_byte:
        each, weights = width.digits_per_byte, width.levels ** np.arange(width.digits_per_byte)
        return (_grouped(codes, each).astype(np.int64) @ weights).astype(np.uint8)
    parts, places = [], 0
    for bits in width.planes:
        part = _grouped((codes >> places) & (2**bits - 1), 8 // bits)
        parts.append(np.bitwise_or.reduce(part << _places(bits), axis=-1))
        places += bits
    return np.concatenate(parts, axis=-1)


def pack_pairs(pairs: np.ndarray, width: BitWidth) -> np.ndarray:
    """Bytes with two codes of `width` each `(n,)` → bytes `(pair_bytes(n, width),)`."""
    if width == INT4:
        return pairs
    parts, places = [], 0
    for bits in width.planes:
        count = 4 // bits
        part = (pairs >> places) & _both(bits)
        padded = np.zeros(count * -(-len(part) // count), np.uint8)
        padded[: len(part)] = part
        parts.append(np.bitwise_or.reduce(padded.reshape(count, -1) << _places(bits)[:count, None], axis=0))
        places += bits
    return np.concatenate(parts)


def pair_bytes(count: int, width: BitWidth) -> int:
    """Bytes of so many pairs."""
    return count if width == INT4 else sum(-(-count * bits // 4) for bits in width.planes)


def products(width: BitWidth) -> np.ndarray:
    """int8 `(256,)`: at `16 · m + c` the number of code c, 0 … levels − 1, times m; zero where no code is."""
    code, levels = np.arange(16), width.levels
    number = 2 * code - (levels - 1) if width.code_step == 2 else code - levels // 2
    return (np.arange(16)[:, None] * np.where(code < levels, number, 0)).astype(np.int8).ravel()


def _grouped(codes: np.ndarray, each: int) -> np.ndarray:
    """`(…, n)` → `(…, ⌈n / each⌉, each)`, padded with zeros."""
    padded = np.zeros((*codes.shape[:-1], each * -(-codes.shape[-1] // each)), np.uint8)
    padded[..., : codes.shape[-1]] = codes
    return padded.reshape(*codes.shape[:-1], -1, each)


def _places(bits: int) -> np.ndarray:
    """Where parts of so many bits lie in a byte."""
    return np.arange(0, 8, bits, dtype=np.uint8)


def _both(bits: int) -> int:
    """The mask of the lowest bits of both halves of a byte."""
    return 17 * (2**bits - 1)


class Codes:
    """Unpacking in one graph. `ahead` are nodes that make lookup tables, to be put before all others."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.ahead: list[onnx.NodeProto] = []
        self._made: set[str] = set()

    def rows(
        self, tag: str, packed: str, width: BitWidth, rank: int, count: int, to: int = UINT8, places: int = 0
    ) -> str:
        """Codes 0 … levels − 1 times 2^places, `(…, count)`, of packed bytes with `rank` dimensions before their last.

        `to` is the type: `UINT8` or `FLOAT`.
        """
        graph = self._graph
        index = graph.node("Cast", [packed], f"{tag}.index", to=INT32)
        if width.digits_per_byte:
            return self._looked_up(tag, index, self._digits(width, to, places), width.digits_per_byte, rank, count)
        found, start, place = [], 0, places
        for number, bits in enumerate(width.planes):
            size = -(-count * bits // 8)
            part = index
            if len(width.planes) > 1:
                part = graph.node("Slice", [index, *self._limits(start, start + size, rank)], f"{tag}.{number}p")
            found.append(self._looked_up(f"{tag}.{number}", part, self._bits(bits, to, place), 8 // bits, rank, count))
            start, place = start + size, place + bits
        if len(found) == 1:
            return found[0]
        return graph.node("Add" if to == FLOAT else "BitwiseOr", found, f"{tag}.sum")

    def pairs(self, tag: str, packed: str, width: BitWidth, count: int) -> str:
        """Bytes with two codes each, uint8 `(count,)`, of packed ones."""
        if width == INT4:
            return packed
        graph, found, start, place = self._graph, [], 0, 0
        for number, bits in enumerate(width.planes):
            name, size, part = f"{tag}.{number}", -(-count * bits // 4), packed
            if len(width.planes) > 1:
                part = graph.node("Slice", [packed, *self._limits(start, start + size, 0)], f"{name}p")
            shifts = graph.bytes(f"shifts{bits}", _places(bits)[: 4 // bits, None])
            x = graph.node("BitShift", [part, shifts], f"{name}s", direction="RIGHT")
            x = graph.node("BitwiseAnd", [x, self._mask(_both(bits))], f"{name}m")
            x = self._cut(name, graph.node("Reshape", [x, graph.integers(-1)], f"{name}r"), 0, 4 // bits * size, count)
            found.append(self.shifted(x, place, f"{name}x") if place else x)
            start, place = start + size, place + bits
        return found[0] if len(found) == 1 else graph.node("BitwiseOr", found, f"{tag}.sum")

    def pair_products(self, tag: str, width: BitWidth) -> str:
        """int8 `(4096, 2)`: at `256 · m + pair` the numbers of both codes of the pair, times m."""
        graph = self._graph
        table = graph.initializer(f"{tag}.products", INT8, (256,), lambda _: products(width))
        if self._is_new("pair.places"):
            with graph.writing_to(self.ahead):
                halves = graph.bytes("pair.halves", np.array([0, 4], np.uint8))
                codes = graph.node("BitShift", [self._bytes(), halves], "pair.shifted", direction="RIGHT")
                codes = graph.node("BitwiseAnd", [codes, self._mask(15)], "pair.codes")
                high = graph.bytes("pair.high", (16 * np.arange(16, dtype=np.uint8))[:, None, None])
                graph.node("Cast", [graph.node("BitwiseOr", [codes, high], "pair.at")], "pair.places", to=INT32)
        both = graph.node("Gather", [table, "pair.places"], f"{tag}.both")
        return graph.node("Reshape", [both, graph.integers(16 * PAIR, 2)], f"{tag}.table")

    def shifted(self, x: str, places: int, output: str) -> str:
        """uint8 times 2^places."""
        shift = self._graph.bytes(f"left{places}", np.array(places, np.uint8))
        return self._graph.node("BitShift", [x, shift], output, direction="LEFT")

    def _looked_up(self, tag: str, index: str, table: str, each: int, rank: int, count: int) -> str:
        x = self._graph.node("Gather", [table, index], f"{tag}.found")
        x = self._graph.node("Reshape", [x, self._graph.integers(*[0] * rank, -1)], f"{tag}.codes")
        return self._cut(tag, x, rank, each * -(-count // each), count)

    def _bits(self, bits: int, to: int, places: int) -> str:
        """A lookup of the parts of a byte, so many bits each, times 2^places: `(256, 8 / bits)`."""
        graph, name = self._graph, f"bits{bits}.{places}"
        if self._is_new(name):
            with graph.writing_to(self.ahead):
                shifts = graph.bytes(f"parts{bits}", _places(bits))
                x = graph.node("BitShift", [self._bytes(), shifts], f"{name}.s", direction="RIGHT")
                x = graph.node("BitwiseAnd", [x, self._mask(2**bits - 1)], f"{name}.m" if places else name)
                if places:
                    self.shifted(x, places, name)
        return self._typed(name, to)

    def _digits(self, width: BitWidth, to: int, places: int) -> str:
        """A lookup of the digits of a byte: `(243, 5)`. ⌊(v + ½) / 3^i⌋ − 3 · ⌊(v + ½) / 3^(i+1)⌋, in fp32."""
        assert not places, f"nobody asks for {width.name} codes times {2**places}"
        if self._is_new("t.digits"):
            with self._graph.writing_to(self.ahead):
                self._write_digits(width.levels, width.digits_per_byte)
        return self._typed("t.digits", to)

    def _write_digits(self, base: int, count: int) -> None:
        graph = self._graph
        powers = (1 / float(base) ** np.arange(count + 1)).astype(np.float32)
        inverse = graph.initializer("thirds", FLOAT, powers.shape, lambda _: powers)
        x = graph.node("Range", [graph.scalar(0), graph.scalar(base**count), graph.scalar(1)], "t.values")
        x = graph.node("Unsqueeze", [graph.node("Cast", [x], "t.float", to=FLOAT), graph.integers(1)], "t.column")
        x = graph.node("Mul", [graph.node("Add", [x, graph.number(0.5)], "t.half"), inverse], "t.quotients")
        x = graph.node("Floor", [x], "t.whole")
        high = graph.node("Slice", [x, *self._limits(1, count + 1, 1)], "t.high")
        low = graph.node("Slice", [x, *self._limits(0, count, 1)], "t.low")
        x = graph.node("Sub", [low, graph.node("Mul", [high, graph.number(base)], "t.carried")], "t.rest")
        graph.node("Cast", [x], "t.digits", to=UINT8)

    def _typed(self, table: str, to: int) -> str:
        if to == UINT8:
            return table
        name = f"{table}.float"
        if self._is_new(name):
            with self._graph.writing_to(self.ahead):
                self._graph.node("Cast", [table], name, to=to)
        return name

    def _bytes(self) -> str:
        """All values of a byte, uint8 `(256, 1)`."""
        graph = self._graph
        if self._is_new("bytes"):
            x = graph.node("Range", [graph.scalar(0), graph.scalar(256), graph.scalar(1)], "bytes.int64")
            graph.node("Unsqueeze", [graph.node("Cast", [x], "bytes.flat", to=UINT8), graph.integers(1)], "bytes")
        return "bytes"

    def _mask(self, mask: int) -> str:
        return self._graph.bytes(f"mask{mask}", np.array(mask, np.uint8))

    def _limits(self, start: int, end: int, axis: int) -> list[str]:
        return [self._graph.integers(at) for at in (start, end, axis)]

    def _cut(self, tag: str, x: str, rank: int, found: int, count: int) -> str:
        """`x` without what is only padding."""
        return x if found == count else self._graph.node("Slice", [x, *self._limits(0, count, rank)], f"{tag}.cut")

    def _is_new(self, name: str) -> bool:
        is_new = name not in self._made
        self._made.add(name)
        return is_new
