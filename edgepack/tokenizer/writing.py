"""How `tokenizer.bin` writes numbers, strings, sets of code points and maps of them; `streams.py` reads them back."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable


def packed(magic: bytes, version: int, streams: Iterable[bytes]) -> bytes:
    """The file: magic, u8 version, then each stream by zlib behind its packed length as u32 little-endian."""
    parts = [zlib.compress(stream, 9) for stream in streams]
    return magic + bytes([version]) + b"".join(struct.pack("<I", len(part)) + part for part in parts)


def range_list(points: frozenset[int]) -> bytes:
    """The count of ranges, then for each its distance from the end of the one before and its length."""
    numbers: list[int] = []
    end, start = 0, None
    for point in sorted(points):
        if start is None or point != end:
            numbers += [point - end, 1]
            start = point
        else:
            numbers[-1] += 1
        end = point + 1
    return varints((len(numbers) // 2, *numbers))


def fold_stream(folds: dict[int, tuple[int, ...]]) -> bytes:
    """Column by column: distances between sources, lengths, signed steps between targets."""
    ordered = sorted(folds.items())
    sources = [point for point, _ in ordered]
    targets = [target for _, fold in ordered for target in fold]
    return (
        varints((len(ordered), *steps(sources)))
        + varints(len(fold) for _, fold in ordered)
        + varints(zigzag(step) for step in steps(targets))
    )


def rank_stream(ranks: dict[int, int]) -> bytes:
    """Distances between marks, then the rank of each."""
    ordered = sorted(ranks)
    return varints((len(ordered), *steps(ordered), *(ranks[p] for p in ordered)))


def steps(values: list[int]) -> list[int]:
    """Differences between neighbours, the first from 0."""
    return [value - before for before, value in zip([0, *values], values, strict=False)]


def zigzag(value: int) -> int:
    """0, −1, 1, −2 … as 0, 1, 2, 3 …"""
    return value * 2 if value >= 0 else -value * 2 - 1


def varints(values: Iterable[int]) -> bytes:
    """LEB128: seven bits a byte, lowest first, the high bit set on all but the last."""
    out = bytearray()
    for value in values:
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def string(text: str) -> bytes:
    """Byte count and UTF-8."""
    data = text.encode()
    return varints((len(data),)) + data
