"""SentencePiece's character map (`Precompiled`): which strings it replaces, out of its double-array trie.

The map of `nmt_nfkc` and its kin has some 60,000 keys. The library looks up the shortest key that a cluster begins with
and replaces the cluster by its value, so a key behind a shorter one is never reached, nor one of more bytes than a
looked-up cluster has; only the others are read. The trie is Darts-clone's: u32 units, of which bit 8 says
that a key ends, bits 0 to 7 and 31 hold the label, bits 10 up the offset to the children.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from functools import cache

from edgepack.tokenizer.clusters import SMALL, ClusterClasses, cluster_classes

MOST_NODES = 1_000_000
LABEL, LEAF, WIDE = 1 << 31 | 0xFF, 1 << 8, 1 << 9


@dataclass(frozen=True)
class CharacterMap:
    """`single`: what one code point becomes; `several`: what a cluster that begins with these becomes."""

    single: dict[int, tuple[int, ...]]
    several: dict[tuple[int, ...], tuple[int, ...]]
    classes: ClusterClasses


def describe_charsmap(encoded: str) -> CharacterMap:
    """The map with the cluster rules that go with it."""
    keys = read_keys(encoded)
    single = {ord(key): tuple(map(ord, value)) for key, value in keys.items() if len(key) == 1}
    several = {tuple(map(ord, key)): tuple(map(ord, value)) for key, value in keys.items() if len(key) > 1}
    return CharacterMap(single, several, cluster_classes())


@cache
def read_keys(encoded: str) -> dict[str, str]:
    """The keys that can be reached, with their values; `ValueError` where the map is damaged, or has a broken text."""
    try:
        data = base64.b64decode(encoded, validate=True)
        (size,) = struct.unpack_from("<I", data)
        units = struct.unpack_from(f"<{size // 4}I", data, 4)
    except (binascii.Error, struct.error) as e:
        raise ValueError(f"is no character map ({e})") from e
    texts = data[4 + size :]
    found: dict[str, str] = {}
    waiting = [(b"", _children(units[0]))]
    visited = 0
    while waiting:
        visited += 1
        if visited > MOST_NODES:
            raise ValueError(f"has more than {MOST_NODES:,} nodes")
        key, place = waiting.pop()
        for byte in range(1, 256):
            at = place ^ byte
            if at >= len(units) or units[at] & LABEL != byte:
                continue
            inner = at ^ _children(units[at])
            if units[at] & LEAF:
                start = units[inner] & 0x7FFFFFFF
                found[(key + bytes([byte])).decode()] = texts[start : texts.index(b"\0", start)].decode()
            elif len(key) + 1 < SMALL - 1:
                waiting.append((key + bytes([byte]), inner))
    return found


def _children(unit: int) -> int:
    return unit >> 10 << ((unit & WIDE) >> 6)
