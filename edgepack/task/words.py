"""The words of a text, from its tokens and where they stand: one rule for every kind of tokenizer, which the apps have.

A teacher of token classification saw words one by one, an app sees a text. A word is what stands between spaces,
without the punctuation at its ends, and an ideograph by itself. Tokens are never cut: what a token holds together, or
tokens that overlap, is one word, since a word's tag is that of its first token. Offsets may hold the spaces around a
token or leave them out. The rule step by step: docs/bundle.md, "Words and entities".
"""

from __future__ import annotations

import string
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from edgepack.tokenizer.byte_pairs import PatternClasses
from edgepack.tokenizer.unicode_tables import UnicodeTables
from edgepack.tokenizer.unigram import WordClasses

Test = Callable[[str], bool]  # of one character
Offsets = Sequence[tuple[int, int] | None]  # of each token its code points; None for one that is not of the text
IDEOGRAPHS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x2CEB0), (0x2F800, 0x2FA20))
OWN_SPACE = " "  # that a vocabulary spells with the word behind it, or as a token of its own before the word


@dataclass(frozen=True)
class CharacterClasses:
    """What of a text separates words."""

    is_space: Test
    is_punctuation: Test
    is_ideograph: Test


@dataclass(frozen=True)
class Word:
    """A word: the index of its first token, which carries its tag, and its code points `[start, end)`."""

    first: int
    start: int
    end: int


def classes_of_tables(tables: UnicodeTables | PatternClasses | WordClasses) -> CharacterClasses:
    """The classes that a `tokenizer.bin` holds."""
    return CharacterClasses(
        lambda char: ord(char) in tables.spaces,
        lambda char: ord(char) in tables.punctuation,
        lambda char: ord(char) in tables.padded,
    )


def classes_of_unicode() -> CharacterClasses:
    """Unicode's own classes as BERT reads them, for a tokenizer that has none: ASCII's symbols are punctuation."""
    return CharacterClasses(
        str.isspace,
        lambda char: unicodedata.category(char)[0] == "P" or char in string.punctuation,
        lambda char: any(start <= ord(char) < end for start, end in IDEOGRAPHS),
    )


def find_words(text: str, offsets: Offsets, classes: CharacterClasses) -> list[Word]:
    """The words of a text whose tokens lie at `offsets`."""
    groups: list[list[Word]] = []
    for before, unit in pairwise([None, *find_units(text, offsets, classes.is_space)]):
        if unit is None:
            continue
        if before is None or _apart(text, before, unit, classes):
            groups.append([])
        groups[-1].append(unit)
    return [word for group in groups for word in _joined(text, group, classes.is_punctuation)]


def find_units(text: str, offsets: Offsets, is_space: Test) -> list[Word]:
    """Tokens without the spaces at their ends, those that overlap as one; the least that can be a word.

    A token of spaces is none, but the first token of what it stands before, where it is that one's own space.
    """
    units: list[Word] = []
    blank: int | None = None  # where the token before ends, if that is one of spaces
    for index, span in enumerate(offsets):
        if span is None:
            continue
        start, end = span
        while start < end and is_space(text[start]):
            start += 1
        while start < end and is_space(text[end - 1]):
            end -= 1
        if start >= end:
            blank = span[1]
            continue
        if units and start < units[-1].end:
            units[-1] = replace(units[-1], end=max(units[-1].end, end))
        else:
            units.append(Word(index - _is_own_space(text, blank, start), start, end))
        blank = None
    return units


def _is_own_space(text: str, blank: int | None, start: int) -> bool:
    """Whether a token of spaces that ends at `blank` is spelled with the word at `start`.

    One that ends behind the start, or at the start of the text, is not in it: the tokenizer has put it first.
    """
    if blank is None or blank < start:
        return False
    return blank > start or start == 0 or text[start - 1] == OWN_SPACE


def _apart(text: str, before: Word, unit: Word, classes: CharacterClasses) -> bool:
    """Whether a word ends between two units."""
    alone = classes.is_ideograph(text[before.end - 1]) or classes.is_ideograph(text[unit.start])
    return alone or any(classes.is_space(char) for char in text[before.end : unit.start])


def _joined(text: str, group: Sequence[Word], is_punctuation: Test) -> list[Word]:
    """Units without a space between them as one word, with the punctuation at its ends as words of their own."""
    marks = [all(is_punctuation(char) for char in text[unit.start : unit.end]) for unit in group]
    start, end = 0, len(group)
    while start < end and marks[start]:
        start += 1
    while end > start and marks[end - 1]:
        end -= 1
    inner = group[start:end]
    middle = [Word(inner[0].first, inner[0].start, inner[-1].end)] if inner else []
    return [*group[:start], *middle, *group[end:]]


def first_tokens(words: Sequence[str], offsets: Offsets, is_space: Test) -> Iterator[tuple[int, int]]:
    """Of a data set's words that have tokens: the word's number, and its first token, which carries its label.

    The tokens are those of the words with a space between them.
    """
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))
    before = -1
    for unit in find_units(" ".join(words), offsets, is_space):
        word = bisect_right(starts, unit.start) - 1
        if word != before:
            yield word, unit.first
        before = word
