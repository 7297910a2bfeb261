"""What readers of every kind of `tokenizer.bin` share: added tokens, normalized letters, trimmed offsets, templates.

A reader uses nothing but the asset: no `unicodedata`, no `str.lower`, no `tokenizers`. That it equals the Hugging Face
fast tokenizer on every code point and on the goldens proves that the asset says enough. Slow; apps have their own.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from edgepack.tokenizer.asset import AssetData
from edgepack.tokenizer.asset_parts import FIRST, LSTRIP, NORMALIZED, RSTRIP, SPECIAL, AddedToken
from edgepack.tokenizer.byte_pairs import BytePairData
from edgepack.tokenizer.letters import Letter, letters_of, normalized
from edgepack.tokenizer.stream_reader import running
from edgepack.tokenizer.unigram import UnigramData

SHOWN_SPACE = 0x120  # a space as byte-level vocabularies write it
Token = tuple[int, int, int]  # id, first code point, end
SpacedToken = tuple[int, int, int, int, int]  # and how many spaces it begins and ends with


@dataclass(frozen=True)
class Encoding:
    """Ids of a text or a pair, with special tokens; offsets are into the token's own text, (0, 0) for special ones."""

    input_ids: list[int]
    token_type_ids: list[int]
    offsets_codepoint: list[tuple[int, int]]
    offsets_utf16: list[tuple[int, int]]
    sequences: list[int | None]  # the token's own text: 0, 1, or None for a special token

    @property
    def own_offsets(self) -> list[tuple[int, int] | None]:
        """Code points of the first text's tokens; None for all others."""
        spans = zip(self.offsets_codepoint, self.sequences, strict=True)
        return [span if sequence == 0 else None for span, sequence in spans]


@dataclass(frozen=True)
class Finder:
    """Added tokens that are looked for together: a pattern for the longest at a place, and them."""

    pattern: re.Pattern[str]
    by_content: dict[str, AddedToken]

    def find(self, text: str) -> Iterator[tuple[int, int, AddedToken]]:
        """Where they stand, from left to right."""
        return ((*match.span(), self.by_content[match.group()]) for match in self.pattern.finditer(text))


class AssetTokenizer(ABC):
    """A tokenizer over an asset."""

    trim_offsets = trim_prefixed = False

    def __init__(self, data: AssetData) -> None:
        self.data = data
        self.early, self.late = (
            _finder([token for token in data.added if bool(token.flags & NORMALIZED) == late]) for late in (False, True)
        )

    @abstractmethod
    def normalize(self, text: str, start: int, end: int) -> list[Letter]:
        """The letters of a stretch between added tokens."""

    @abstractmethod
    def plain_tokens(self, letters: Sequence[Letter]) -> Iterator[SpacedToken]:
        """Tokens of a stretch without added ones."""

    def encode(
        self, text: str, pair: str | None = None, max_length: int | None = None, whole: bool = False
    ) -> Encoding:
        """Ids with special tokens, the longer text cut first if they are more than `max_length`.

        `whole`: it is not cut, since windows of that length read it, but the shorter one of a pair to half of the room.
        """
        template = self.data.single if pair is None else self.data.pair
        first, second = list(self.tokens(text)), [] if pair is None else list(self.tokens(pair))
        if max_length is not None:
            room = max_length - sum(piece.kind == SPECIAL for piece in template)
            lengths = (len(first), len(second), room)
            if pair is not None:
                kept = kept_of_pair(*lengths) if whole else longest_first(*lengths)
            else:
                kept = (len(first) if whole else room, 0)
            first, second = first[: kept[0]], second[: kept[1]]
        out = Encoding([], [], [], [], [])
        utf16 = (utf16_index(text), utf16_index(pair or ""))
        for piece in template:
            tokens = [(piece.id, 0, 0)] if piece.kind == SPECIAL else first if piece.kind == FIRST else second
            index = utf16[piece.kind - FIRST] if piece.kind != SPECIAL else [0]
            for token, start, end in tokens:
                out.input_ids.append(token)
                out.token_type_ids.append(piece.type_id)
                out.offsets_codepoint.append((start, end))
                out.offsets_utf16.append((index[start], index[end]))
                out.sequences.append(None if piece.kind == SPECIAL else piece.kind - FIRST)
        return out

    def tokens(self, text: str) -> Iterator[Token]:
        """The text's own tokens, their offsets without the spaces at the ends where the tokenizer trims them."""
        for number, (index, start, end, before, behind) in enumerate(self._spaced(text)):
            if self.trim_offsets:
                # a single space before the first word may be the one that the tokenizer has put there
                own = self.trim_prefixed and before == 1 and (number == 0 or start == 0)
                start = min(start + before - own, end)
                end = max(end - behind, start) if end >= behind else end
            yield index, start, end

    def _spaced(self, text: str) -> Iterator[SpacedToken]:
        """Added tokens, those in normalized text after the others, and the tokens of what is left."""
        for start, end, token in self._split([ord(char) for char in text], self.early):
            if token is not None:
                yield token.id, start, end, *self._ends([ord(char) for char in text[start:end]])
                continue
            letters = self.normalize(text, start, end)
            points = [point for point, _, _ in letters]
            for first, last, late in self._split(points, self.late):
                if late is None:
                    yield from self.plain_tokens(letters[first:last])
                else:
                    yield late.id, letters[first][1], letters[last - 1][2], *self._ends(points[first:last])

    def _split(self, points: Sequence[int], finder: Finder | None) -> Iterator[tuple[int, int, AddedToken | None]]:
        """A stretch cut at the tokens in it, with the spaces that they swallow."""
        spaces, done, end = self.data.tables.spaces, 0, len(points)
        for first, last, token in () if finder is None else finder.find("".join(map(chr, points))):
            while token.flags & LSTRIP and first > done and points[first - 1] in spaces:
                first -= 1
            while token.flags & RSTRIP and last < end and points[last] in spaces:
                last += 1
            if first > done:
                yield done, first, None
            yield first, last, token
            done = last
        if done < end:
            yield done, end, None

    def _ends(self, points: Sequence[int]) -> tuple[int, int]:
        """How many spaces these begin and end with."""
        return ends([point not in self._spaces for point in points])

    @cached_property
    def _spaces(self) -> frozenset[int]:
        return self.data.tables.spaces | {SHOWN_SPACE}


class SteppedTokenizer(AssetTokenizer):
    """A tokenizer whose text goes through a normalizer's steps, and whose offsets may leave out spaces."""

    data: BytePairData | UnigramData

    def __init__(self, data: BytePairData | UnigramData) -> None:
        super().__init__(data)
        self.trim_offsets, self.trim_prefixed = data.trim_offsets, data.trim_prefixed

    def normalize(self, text: str, start: int, end: int) -> list[Letter]:
        """The letters of a stretch between added tokens."""
        return normalized(letters_of(text, start, end), self.data.normalizer, start)


def _finder(tokens: Sequence[AddedToken]) -> Finder | None:
    if not tokens:
        return None
    longest_first_ = sorted(tokens, key=lambda token: -len(token.content))
    pattern = "|".join(re.escape(token.content) for token in longest_first_)
    return Finder(re.compile(pattern), {token.content: token for token in tokens})


def ends(others: list[bool]) -> tuple[int, int]:
    """How many spaces there are at both ends; `others` says of each character whether it is none."""
    if not any(others):
        return len(others), len(others)
    return others.index(True), others[::-1].index(True)


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text fit into `room`, the longer one cut first."""
    if first + second <= room:
        return first, second
    short, long = min(first, second), max(first, second)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room // 2 + room % 2
    return (short, long) if first <= second else (long, short)


def kept_of_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of a pair's texts are read: all of the longer one, of the shorter at most half of the room."""
    if first + second <= room:
        return first, second
    short = min(first, second, room // 2)
    return (short, second) if first <= second else (first, short)


def utf16_index(text: str) -> list[int]:
    """UTF-16 units before each code point, and before the end."""
    return running([0, *(1 + (ord(char) > 0xFFFF) for char in text)])
