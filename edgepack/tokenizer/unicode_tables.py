"""The Unicode data that a device tokenizer needs, learnt by asking the reference tokenizer.

Unicode tables differ between JDKs, Android versions, browsers and Python releases, and the `tokenizers`
crate mixes two editions of its own. So nothing here reads `unicodedata`: every code point of every plane is put
to the normalizer and the pre-tokenizer themselves, once for each combination of options (0.2 to 0.7 seconds,
kept in memory), and the answers are the tables. Most blocks of code points come back as they were, which one comparison
shows; only in the others is each code point asked about alone.

`BertNormalizer` cleans, pads CJK, decomposes (NFD), drops nonspacing marks and lower-cases, in that order.
Each step works on single code points except NFD's reordering of marks, so the whole is one map from a
code point to a short sequence (`folds`) and a `rank` for each combining mark, by which runs of marks are
stably sorted. Hangul syllables decompose by arithmetic and are left out of the map.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from tokenizers import PreTokenizedString
from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, PreTokenizer

from edgepack.tokenizer.hangul import HANGUL, decompose_hangul

CODE_POINTS = 0x110000
UTF_32 = f"utf-32-{sys.byteorder[0]}e"  # numbers of an array as they lie in memory
SURROGATES = range(0xD800, 0xE000)
LOWEST_MARK, HIGHEST_MARK = "\u0334", "\u0345"  # canonical combining classes 1 and 240, the extremes
BATCH = 4096
BLOCK = 256  # code points that are compared together
SEPARATOR = "0"  # a starter that nothing else folds to or combines with
OTHER_SEPARATOR = "\x01"  # the same where digits come out of compatibility forms


@dataclass(frozen=True)
class UnicodeTables:
    """What the reference does with each code point; sets of code points, and maps of them."""

    removed: frozenset[int]  # vanish before anything else is done (clean_text)
    spaces: frozenset[int]  # separate words
    punctuation: frozenset[int]  # are words of their own
    padded: frozenset[int]  # are set between spaces (CJK)
    folds: dict[int, tuple[int, ...]]  # become these; not listed: themselves
    ranks: dict[int, int]  # combining marks, in NFD's order; not listed: 0, a starter
    decomposes_hangul: bool


@cache
def unicode_tables(clean_text: bool, handle_chinese_chars: bool, strip_accents: bool, lowercase: bool) -> UnicodeTables:
    """Ask the reference about every code point, with these options of `BertNormalizer`."""
    points = [*range(SURROGATES.start), *range(SURROGATES.stop, CODE_POINTS)]
    removed = vanishing(BertNormalizer(clean_text, False, False, False).normalize_str, points)
    folding = BertNormalizer(False, False, strip_accents, lowercase).normalize_str
    folded = ask(folding, [p for p in unsettled(folding, points) if p not in removed])
    folds = {p: tuple(map(ord, text)) for p, text in folded.items()}
    padded = ideographs(points) if handle_chinese_chars else frozenset[int]()
    spaces, punctuation = split_classes(points)
    decomposes_hangul = strip_accents and all(folds.pop(p) == decompose_hangul(p) for p in HANGUL)
    ranks = mark_ranks(points) if strip_accents else {}
    return UnicodeTables(removed, spaces, punctuation, padded, folds, ranks, decomposes_hangul)


def blocks(points: Sequence[int]) -> Iterator[str]:
    """The code points as characters, block by block."""
    text = array("I", points).tobytes().decode(UTF_32)
    return (text[start : start + BLOCK] for start in range(0, len(text), BLOCK))


def unsettled(normalize: Callable[[str], str], points: Sequence[int], before: str = "", after: str = "") -> list[int]:
    """The code points that `ask` may find changed: those of the blocks that do not come back as they were.

    For a `normalize` that works on single code points and sorts marks: what it leaves in a row it leaves alone too.
    """
    rows = ((block, before + (after + before).join(block) + after) for block in blocks(points))
    return [ord(char) for block, row in rows if normalize(row) != row for char in block]


def ask(
    normalize: Callable[[str], str],
    points: Sequence[int],
    before: str = "",
    after: str = "",
    separator: str = SEPARATOR,
) -> dict[int, str]:
    """What `normalize` makes of `before + point + after`, many at a call, where it makes anything of it."""
    changed: dict[int, str] = {}
    others = [p for p in points if p != ord(separator)]  # the separator itself never changes
    for start in range(0, len(others), BATCH):
        texts = [before + chr(p) + after for p in others[start : start + BATCH]]
        joined = separator.join(texts)
        if (answer := normalize(joined)) != joined:
            pairs = zip(others[start:], texts, answer.split(separator), strict=False)
            changed.update((point, now) for point, text, now in pairs if now != text)
    return changed


def vanishing(normalize: Callable[[str], str], points: Sequence[int]) -> frozenset[int]:
    """The code points of which `normalize` leaves nothing; whole blocks of private ones among them."""
    found: set[int] = set()
    for block in blocks(points):
        if not (left := normalize(block)):
            found.update(map(ord, block))
        elif left != block:
            found.update(point for point, text in ask(normalize, list(map(ord, block))).items() if not text)
    return frozenset(found)


def ideographs(points: Sequence[int]) -> frozenset[int]:
    """The code points that BERT's normalizer sets between spaces; whole blocks of them, most of the time."""
    pad = BertNormalizer(False, True, False, False).normalize_str
    found: set[int] = set()
    for block in blocks(points):
        if (padded := pad(block)) == f" {'  '.join(block)} ":
            found.update(map(ord, block))
        elif padded != block:
            found.update(point for point, text in ask(pad, list(map(ord, block))).items() if len(text) == 3)
    return frozenset(found)


def split_classes(points: Sequence[int]) -> tuple[frozenset[int], frozenset[int]]:
    """The code points that `BertPreTokenizer` splits at, and those it makes words of."""
    splitter = BertPreTokenizer()
    spaces: set[int] = set()
    punctuation: set[int] = set()
    for block in blocks(points):
        if is_one_piece(splitter, SEPARATOR + block):
            continue
        text = SEPARATOR + SEPARATOR.join(block) + SEPARATOR
        covered = [0] * len(text)
        for _, (first, end) in splitter.pre_tokenize_str(text):
            covered[first:end] = [end - first] * (end - first)
        for i, char in enumerate(block):
            width = covered[2 * i + 1]
            if width == 0:
                spaces.add(ord(char))
            elif width == 1:
                punctuation.add(ord(char))
    return frozenset(spaces), frozenset(punctuation)


def is_one_piece(splitter: PreTokenizer, text: str) -> bool:
    """Whether nothing in the text is split; in a third of the time that offsets in characters take."""
    whole = PreTokenizedString(text)
    splitter.pre_tokenize(whole)
    return len(whole.get_splits(offset_type="byte")) == 1


def mark_ranks(points: Sequence[int]) -> dict[int, int]:
    """Order of the canonical combining classes, found by letting NFD sort pairs of marks."""
    nfd = NFD().normalize_str
    points = unsettled(nfd, points, before=HIGHEST_MARK, after=LOWEST_MARK)  # no mark stays between these two
    after_highest = ask(nfd, points, before=HIGHEST_MARK)
    before_lowest = ask(nfd, points, after=LOWEST_MARK)
    marks = [
        p
        for p in points
        if after_highest.get(p) == chr(p) + HIGHEST_MARK or before_lowest.get(p) == LOWEST_MARK + chr(p)
    ]
    classes: list[list[int]] = []  # ascending
    for mark in marks:
        low, high = 0, len(classes)
        while low < high:
            middle = (low + high) // 2
            known = chr(classes[middle][0])
            if nfd(known + chr(mark)) == chr(mark) + known:
                high = middle
            elif nfd(chr(mark) + known) == known + chr(mark):
                low = middle + 1
            else:
                classes[middle].append(mark)
                break
        else:
            classes.insert(low, [mark])
    ranks = {mark: rank for rank, members in enumerate(classes, start=1) for mark in members}
    decomposed = ask(nfd, points)  # a mark that decomposes sorts as the first mark that it becomes
    return ranks | {p: ranks[ord(text[0])] for p, text in decomposed.items() if ord(text[0]) in ranks}
