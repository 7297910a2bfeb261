"""SentencePiece's character maps, written: a double-array trie as Darts-clone lays it out, over keys of our own."""

from __future__ import annotations

import struct
import unicodedata
from collections import deque

LEAF = 1 << 8  # a key ends here
MARKS = "\u0300\u0301\u0302\u0303\u0308\u030a\u0327\u0323\u3099\u309a"


def compatibility_map() -> bytes:
    """Much of what `nmt_nfkc` replaces: compatibility forms, letters with a mark behind, controls, spaces."""
    singles = [*range(0xA0, 0x250), *range(0x2000, 0x2200), *range(0x2460, 0x2500), *range(0xFB00, 0xFB50)]
    singles += [*range(0xFF00, 0xFFF0), *range(0x1D400, 0x1D440), 0xFDFA, 0x3000, 0x3392, 0x958, 0x2F800]
    keys = {chr(point): unicodedata.normalize("NFKC", chr(point)) for point in singles}
    for letter in "aeioucnyAEIOUCN\u30ab\u30cf":
        keys |= {letter + mark: unicodedata.normalize("NFC", letter + mark) for mark in MARKS}
    keys |= {"\t": " ", "\n": " ", "\r": " ", "\u3000": " ", "\u200b": " ", "\x01": "", "\x7f": "", "\u00ad": ""}
    keys |= {"ab\u0301": "unreached", "\uac00\u11a8": "\uac01"}
    return write_map({key: value for key, value in keys.items() if key != value})


def write_map(keys: dict[str, str]) -> bytes:
    """The map: the trie's size in bytes, u32 units, then all values with a NUL behind each."""
    values, starts = bytearray(), dict[str, int]()
    for value in keys.values():
        if value not in starts:
            starts[value] = len(values)
            values += value.encode() + b"\0"
    tree: dict[int, dict] = {}  # type: ignore[type-arg]
    for key, value in keys.items():
        node = tree
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[0] = {"start": starts[value]}  # type: ignore[dict-item]
    units, used, bases = [0], {0}, set[int]()
    waiting, lowest = deque([(tree, 0)]), 1
    while waiting:
        node, place = waiting.popleft()
        while lowest in used:
            lowest += 1
        base = lowest
        while base in bases or base ^ place >= 1 << 21 or any(base ^ byte in used for byte in node):
            base += 1
        bases.add(base)  # a label is looked for at its base, so no other node may have it
        units += [0] * max(0, (base | 0xFF) + 1 - len(units))
        units[place] |= (base ^ place) << 10 | LEAF * (0 in node)
        for byte, inner in node.items():
            used.add(base ^ byte)
            if byte:
                units[base ^ byte] = byte
                waiting.append((inner, base ^ byte))
            else:
                units[base] = 1 << 31 | inner["start"]
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + bytes(values)
