"""Grapheme clusters as the library sees them: what a SentencePiece character map replaces as a whole.

`Precompiled` looks up a whole cluster (Unicode's UAX #29) where it has less than six bytes, else each character. So an
app needs the cluster rules of the library's edition of Unicode. They are asked for with a map of our own, in which
every byte alone is a key: a cluster of less than six bytes comes out as one letter, all others as one for each
character.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from tokenizers.normalizers import Precompiled

from edgepack.tokenizer.hangul import HANGUL, is_open
from edgepack.tokenizer.unicode_tables import BATCH, CODE_POINTS, SURROGATES

SMALL = 6  # bytes that a cluster must be below to be looked up whole
CR, LF, JOINER = 0x0D, 0x0A, 0x200D
JOINER_TEXT = chr(JOINER)
LETTER, MARK, PICTURE, CONSONANT, VIRAMA = "a", "\u0301", "\u2764", "\u0915", "\u094d"
LEAD, SYLLABLE, TRAIL = "\u1100", "\uac00", "\u11a8"
FIRST_LEAF = 512  # in the map of all bytes: where the one answer stands


@dataclass(frozen=True)
class ClusterClasses:
    """Code points by what they do at a border; one that has no effect on a cluster below six bytes may be missing."""

    control: frozenset[int]  # nothing joins them
    extending: frozenset[int]  # join what is before
    spacing: frozenset[int]  # join too, but end a picture's sequence
    prepended: frozenset[int]  # what follows joins them
    pictures: frozenset[int]  # join a picture before, over a zero-width joiner
    consonants: frozenset[int]  # join a consonant before, over a linker
    linkers: frozenset[int]
    bridging: frozenset[int]  # may stand between consonant and linker
    leads: frozenset[int]  # of Hangul
    vowels: frozenset[int]
    trails: frozenset[int]


def cluster_ends(points: Sequence[int], classes: ClusterClasses) -> list[int]:
    """Where each cluster ends."""
    ends: list[int] = []
    start = 0
    for at in range(1, len(points) + 1):
        if at == len(points) or not _joins(points, start, at, classes):
            ends.append(at)
            start = at
    return ends


def _joins(points: Sequence[int], start: int, at: int, classes: ClusterClasses) -> bool:
    """Whether `points[at]` belongs to the cluster that begins at `start` and reaches up to it."""
    before, point = points[at - 1], points[at]
    if before == CR and point == LF:
        return True
    if before in classes.control or point in classes.control:
        return False
    if point in classes.extending or point in classes.spacing or before in classes.prepended:
        return True
    if _joins_hangul(before, point, classes):
        return True
    if before == JOINER and point in classes.pictures:
        at -= 2
        while at > start and points[at] in classes.extending:
            at -= 1
        return at >= start and points[at] in classes.pictures
    if point not in classes.consonants:
        return False
    at, linked = at - 1, False
    while at > start and (points[at] in classes.bridging or points[at] in classes.linkers):
        linked |= points[at] in classes.linkers
        at -= 1
    return linked and points[at] in classes.consonants


def _joins_hangul(before: int, point: int, classes: ClusterClasses) -> bool:
    if before in classes.leads:
        return point in classes.leads or point in classes.vowels or point in HANGUL
    if before in classes.vowels or is_open(before):
        return point in classes.vowels or point in classes.trails
    return (before in classes.trails or before in HANGUL) and point in classes.trails


@cache
def cluster_classes() -> ClusterClasses:
    """The classes of all code points, asked of the library."""
    points = [point for point in range(1, CODE_POINTS) if point not in SURROGATES]
    three = [point for point in points if 0x800 <= point < 0x10000]  # bytes; with a mark they are five

    def counts(before: str, after: str, asked: Sequence[int]) -> Callable[[int], frozenset[int]]:
        answers = _clusters([before + chr(point) + after for point in asked])
        return lambda count: frozenset(p for p, answer in zip(asked, answers, strict=True) if answer == count)

    joining = counts(LETTER, "", points)(1)
    extending = counts(PICTURE, JOINER_TEXT + PICTURE + MARK, sorted(joining))(5) | {JOINER}
    prepended = counts("", LETTER, points)(1)
    leads = counts("", SYLLABLE + MARK, three)(3) - prepended
    linkers = counts(CONSONANT, CONSONANT + MARK, sorted(joining))(4)
    return ClusterClasses(
        control=counts("", MARK, [point for point in points if point < 0x10000])(2) | {0},  # NUL cannot be asked
        extending=extending,
        spacing=joining - extending,
        prepended=prepended,
        pictures=counts("", JOINER_TEXT + PICTURE + MARK, points)(4),
        consonants=counts(CONSONANT + VIRAMA, MARK, three)(4) - joining,
        linkers=linkers,
        bridging=counts(CONSONANT, VIRAMA + CONSONANT + MARK, sorted(joining))(5) - linkers,
        leads=leads,
        vowels=counts(LEAD, MARK, three)(3) - leads - set(HANGUL) - joining,
        trails=counts(TRAIL, MARK, three)(3) - joining,
    )


def _clusters(texts: Sequence[str]) -> list[int]:
    """How many letters the map of all bytes makes of each text; NUL, which it leaves alone, stands between them."""
    normalize, found = _all_bytes().normalize_str, list[int]()
    for start in range(0, len(texts), BATCH):
        found += map(len, normalize("\0".join(texts[start : start + BATCH])).split("\0"))
    return found


@cache
def _all_bytes() -> Precompiled:
    """A map with every byte but NUL as a key, to the letter x: a double array (Aoe 1989) of one level."""
    units = [0] * (2 * FIRST_LEAF)
    units[0] = 256 << 10  # children stand at 256 ^ byte
    for byte in range(1, 256):
        place = 256 ^ byte
        units[place] = byte | 1 << 8 | (place ^ FIRST_LEAF) << 10  # ends a key, whose answer is at FIRST_LEAF
    trie = struct.pack(f"<{len(units)}I", *units)
    return Precompiled(struct.pack("<I", len(trie)) + trie + b"x\0")
