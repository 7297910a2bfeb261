"""The words of a text and the entities in it, from tokens and their offsets: the rule that the apps have too.

A word is what stands between spaces, without the punctuation at its ends, and an ideograph by itself: so a teacher of
token classification saw words. A word's tag is that of its first token. Entities are read by CoNLL's rule: `B-` begins
one, `I-` continues one of the same type and begins one elsewhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgepack.predict.answer import Entity
from edgepack.tokenizer.byte_pairs import PatternClasses
from edgepack.tokenizer.unicode_tables import UnicodeTables
from edgepack.tokenizer.unigram import WordClasses

Test = Callable[[str], bool]  # of one character
IDEOGRAPHS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x2CEB0), (0x2F800, 0x2FA20))


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


@dataclass(frozen=True)
class Tag:
    """The decided tag of a word."""

    label: str
    probability: float


def classes_of_tables(tables: UnicodeTables | PatternClasses | WordClasses) -> CharacterClasses:
    """The classes that a `tokenizer.bin` holds."""
    return CharacterClasses(
        lambda char: ord(char) in tables.spaces,
        lambda char: ord(char) in tables.punctuation,
        lambda char: ord(char) in tables.padded,
    )


def classes_of_unicode() -> CharacterClasses:
    """Unicode's own classes, for a tokenizer that has none."""
    return CharacterClasses(
        str.isspace,
        lambda char: unicodedata.category(char)[0] == "P",
        lambda char: any(start <= ord(char) < end for start, end in IDEOGRAPHS),
    )


def find_words(text: str, offsets: Sequence[tuple[int, int]], classes: CharacterClasses) -> list[Word]:
    """The words of a text whose tokens lie at `offsets`, code points; empty ones are of special tokens."""
    tokens = [Word(index, start, end) for index, (start, end) in enumerate(offsets) if end > start]
    groups: list[list[Word]] = []
    for before, token in pairwise([None, *tokens]):
        if token is None:
            continue
        if before is None or _apart(text, before, token, classes):
            groups.append([])
        groups[-1].append(token)
    return [word for group in groups for word in _joined(text, group, classes)]


def _apart(text: str, before: Word, token: Word, classes: CharacterClasses) -> bool:
    """Whether a word ends between two tokens."""
    alone = any(classes.is_ideograph(text[t.start]) and t.end - t.start == 1 for t in (before, token))
    return alone or any(classes.is_space(char) for char in text[before.end : token.start])


def _joined(text: str, group: Sequence[Word], classes: CharacterClasses) -> list[Word]:
    """Tokens without a space between them as one word, with the punctuation at its ends as words of their own."""
    marks = [t.end - t.start == 1 and classes.is_punctuation(text[t.start]) for t in group]
    start, end = 0, len(group)
    while start < end and marks[start]:
        start += 1
    while end > start and marks[end - 1]:
        end -= 1
    inner = group[start:end]
    middle = [Word(inner[0].first, inner[0].start, max(t.end for t in inner))] if inner else []
    return [*group[:start], *middle, *group[end:]]


def find_entities(text: str, words: Sequence[Word], tags: Sequence[Tag]) -> tuple[Entity, ...]:
    """Entities of tagged words."""
    entities: list[Entity] = []
    open_ = False
    for word, tag in zip(words, tags, strict=True):
        if tag.label == "O":
            open_ = False
            continue
        kind, begins = tag.label[2:], tag.label.startswith("B")
        if open_ and not begins and entities[-1].label == kind:
            last = entities.pop()
            probability = min(last.probability, tag.probability)
            entities.append(Entity(kind, last.start, word.end, text[last.start : word.end], probability))
        else:
            entities.append(Entity(kind, word.start, word.end, text[word.start : word.end], tag.probability))
        open_ = True
    return tuple(entities)
