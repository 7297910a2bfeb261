"""The Unicode data that a device tokenizer needs, learnt by asking the reference tokenizer.

Unicode tables differ between JDKs, Android versions, browsers and Python releases, and the `tokenizers`
crate mixes two editions of its own. So nothing here reads `unicodedata`: every code point of every plane is put
to the normalizer and the pre-tokenizer themselves, once for each combination of options (about two seconds,
kept in memory), and the answers are the tables.

`BertNormalizer` cleans, pads CJK, decomposes (NFD), drops nonspacing marks and lower-cases, in that order.
Each step works on single code points except NFD's reordering of marks, so the whole is one map from a
code point to a short sequence (`folds`) and a `rank` for each combining mark, by which runs of marks are
stably sorted. Hangul syllables decompose by arithmetic and are left out of the map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

CODE_POINTS = 0x110000
SURROGATES = range(0xD800, 0xE000)
HANGUL = range(0xAC00, 0xD7A4)
LOWEST_MARK, HIGHEST_MARK = "\u0334", "\u0345"  # canonical combining classes 1 and 240, the extremes
BATCH = 4096
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
    points = [p for p in range(CODE_POINTS) if p not in SURROGATES]
    cleaned = ask(BertNormalizer(clean_text, False, False, False).normalize_str, points)
    removed = frozenset(p for p, text in cleaned.items() if not text)
    folding = BertNormalizer(False, False, strip_accents, lowercase).normalize_str
    folded = ask(folding, [p for p in points if p not in removed])
    folds = {p: tuple(map(ord, text)) for p, text in folded.items()}
    padded = ideographs(points) if handle_chinese_chars else frozenset[int]()
    spaces, punctuation = split_classes(points)
    decomposes_hangul = strip_accents and all(folds.pop(p) == decompose_hangul(p) for p in HANGUL)
    ranks = mark_ranks(points) if strip_accents else {}
    return UnicodeTables(removed, spaces, punctuation, padded, folds, ranks, decomposes_hangul)


def decompose_hangul(point: int) -> tuple[int, ...]:
    """Canonical decomposition of a Hangul syllable (Unicode Standard, §3.12)."""
    leading, rest = divmod(point - HANGUL.start, 588)
    vowel, trailing = divmod(rest, 28)
    jamo = (0x1100 + leading, 0x1161 + vowel)
    return (*jamo, 0x11A7 + trailing) if trailing else jamo


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


def ideographs(points: Sequence[int]) -> frozenset[int]:
    """The code points that BERT's normalizer sets between spaces."""
    padding = ask(BertNormalizer(False, True, False, False).normalize_str, points)
    return frozenset(point for point, text in padding.items() if len(text) == 3)


def split_classes(points: Sequence[int]) -> tuple[frozenset[int], frozenset[int]]:
    """The code points that `BertPreTokenizer` splits at, and those it makes words of."""
    split = BertPreTokenizer().pre_tokenize_str
    spaces: set[int] = set()
    punctuation: set[int] = set()
    for start in range(0, len(points), BATCH):
        batch = points[start : start + BATCH]
        text = SEPARATOR + SEPARATOR.join(map(chr, batch)) + SEPARATOR
        covered = [0] * len(text)
        for _, (first, end) in split(text):
            covered[first:end] = [end - first] * (end - first)
        for i, point in enumerate(batch):
            width = covered[2 * i + 1]
            if width == 0:
                spaces.add(point)
            elif width == 1:
                punctuation.add(point)
    return frozenset(spaces), frozenset(punctuation)


def mark_ranks(points: list[int]) -> dict[int, int]:
    """Order of the canonical combining classes, found by letting NFD sort pairs of marks."""
    nfd = NFD().normalize_str
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
