"""A reader of `tokenizer.bin` in plain Python: the reference that the apps' tokenizers are written after.

It uses nothing but the asset: no `unicodedata`, no `str.lower`, no `tokenizers`. That it equals the Hugging
Face fast tokenizer on every code point and on the goldens proves that the asset says enough. Steps for a text:
find added tokens; in what is between them remove, pad, fold and sort code points, split at spaces and
punctuation, then match the longest token first (Wu et al. 2016, arXiv:1609.08144). Slow; apps have their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from edgepack.tokenizer.asset import FIRST, LSTRIP, RSTRIP, SPECIAL, WordPieceData
from edgepack.tokenizer.streams import read_asset, running
from edgepack.tokenizer.unicode_tables import HANGUL, decompose_hangul

SPACE = 0x20
Letter = tuple[int, int]  # a folded code point and the index of the one it came from
Token = tuple[int, int, int]  # id, first code point, end


@dataclass(frozen=True)
class Encoding:
    """Ids of a text or a pair, with special tokens; offsets are into the token's own text, (0, 0) for special ones."""

    input_ids: list[int]
    token_type_ids: list[int]
    offsets_codepoint: list[tuple[int, int]]
    offsets_utf16: list[tuple[int, int]]


def read_tokenizer_asset(data: bytes) -> WordPiece:
    """The tokenizer in a `tokenizer.bin`; `InputError` where it is none or damaged."""
    return WordPiece(read_asset(data))


class WordPiece:
    """BERT's tokenizer over an asset."""

    def __init__(self, data: WordPieceData) -> None:
        self.data = data
        self.ids = {token: index for index, token in enumerate(data.vocabulary) if token}

    @cached_property
    def added_pattern(self) -> re.Pattern[str]:
        """Matches the longest added token at a place; never anything if there is none."""
        contents = sorted((t.content for t in self.data.added), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, contents)) or r"(?!)")

    def encode(self, text: str, pair: str | None = None, max_length: int | None = None) -> Encoding:
        """Ids with special tokens, the longer text cut first if they are more than `max_length`."""
        template = self.data.single if pair is None else self.data.pair
        first, second = list(self.tokens(text)), [] if pair is None else list(self.tokens(pair))
        if max_length is not None:
            room = max_length - sum(piece.kind == SPECIAL for piece in template)
            kept = longest_first(len(first), len(second), room) if pair is not None else (room, 0)
            first, second = first[: kept[0]], second[: kept[1]]
        out = Encoding([], [], [], [])
        utf16 = (utf16_index(text), utf16_index(pair or ""))
        for piece in template:
            tokens = [(piece.id, 0, 0)] if piece.kind == SPECIAL else first if piece.kind == FIRST else second
            index = utf16[piece.kind - FIRST] if piece.kind != SPECIAL else [0]
            for token, start, end in tokens:
                out.input_ids.append(token)
                out.token_type_ids.append(piece.type_id)
                out.offsets_codepoint.append((start, end))
                out.offsets_utf16.append((index[start], index[end]))
        return out

    def tokens(self, text: str) -> Iterator[Token]:
        """The text's own tokens."""
        at = 0
        for start, end, index in self.added_tokens(text):
            yield from self.plain_tokens(text, at, start)
            yield index, start, end
            at = end
        yield from self.plain_tokens(text, at, len(text))

    def added_tokens(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Where added tokens stand: start, end, id; with the spaces that they swallow."""
        by_content = {t.content: t for t in self.data.added}
        spaces, before = self.data.tables.spaces, 0
        for match in self.added_pattern.finditer(text):
            token = by_content[match.group()]
            start, end = match.span()
            while token.flags & LSTRIP and start > before and ord(text[start - 1]) in spaces:
                start -= 1
            while token.flags & RSTRIP and end < len(text) and ord(text[end]) in spaces:
                end += 1
            yield start, end, token.id
            before = end

    def plain_tokens(self, text: str, start: int, end: int) -> Iterator[Token]:
        """Tokens of a stretch without added ones."""
        for word in self.words(self.sorted_marks(text, start, end)):
            yield from self.pieces(word)

    def folded(self, text: str, start: int, end: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Code points that are not removed: index, rank, what they become."""
        tables = self.data.tables
        for index in range(start, end):
            point = ord(text[index])
            if point in tables.removed:
                continue
            if tables.decomposes_hangul and point in HANGUL:
                fold = decompose_hangul(point)
            else:
                fold = tables.folds.get(point, (point,))
            yield index, tables.ranks.get(point, 0), (SPACE, *fold, SPACE) if point in tables.padded else fold

    def sorted_marks(self, text: str, start: int, end: int) -> list[Letter]:
        """Folded code points, each run of marks stably sorted by rank.

        Marks change places and the reference's offsets do not follow them: the first mark after sorting
        has the first mark's offset. Marks inside one code point's folding sort too, without an offset of
        their own.
        """
        letters: list[Letter] = []
        run: list[tuple[int, int | None, bool]] = []  # rank, code point or none, has an offset of its own
        offsets: list[int] = []

        def flush() -> None:
            queue, source = iter(offsets), letters[-1][1] if letters else start
            for _, point, own in sorted(run, key=lambda item: item[0]):
                source = next(queue) if own else source
                if point is not None:
                    letters.append((point, source))
            run.clear()
            offsets.clear()

        for index, rank, fold in self.folded(text, start, end):
            if not fold and rank:
                run.append((rank, None, True))
                offsets.append(index)
            elif not fold:
                flush()
            for position, point in enumerate(fold):
                own = self.data.tables.ranks.get(point, 0)
                if not own:
                    flush()
                    letters.append((point, index))
                else:
                    run.append((own, point, position == 0))
                    offsets.extend([index] * (position == 0))
        flush()
        return letters

    def words(self, letters: list[Letter]) -> Iterator[list[Letter]]:
        """Split at spaces; a punctuation mark is a word."""
        word: list[Letter] = []
        for letter in letters:
            space, mark = letter[0] in self.data.tables.spaces, letter[0] in self.data.tables.punctuation
            if (space or mark) and word:
                yield word
                word = []
            if mark:
                yield [letter]
            elif not space:
                word.append(letter)
        if word:
            yield word

    def pieces(self, word: list[Letter]) -> list[Token]:
        """Longest match first; one unknown token where a piece has no match or the word is too long."""
        unknown = [(self.data.unknown_id, word[0][1], word[-1][1] + 1)]
        if len(word) > self.data.max_word_length:
            return unknown
        text = "".join(chr(point) for point, _ in word)
        out: list[Token] = []
        at = 0
        while at < len(text):
            prefix = self.data.prefix if at else ""
            end = next((e for e in range(len(text), at, -1) if prefix + text[at:e] in self.ids), None)
            if end is None:
                return unknown
            out.append((self.ids[prefix + text[at:end]], word[at][1], word[end - 1][1] + 1))
            at = end
        return out


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text fit into `room`, the longer one cut first."""
    if first + second <= room:
        return first, second
    short, long = min(first, second), max(first, second)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room // 2 + room % 2
    return (short, long) if first <= second else (long, short)


def utf16_index(text: str) -> list[int]:
    """UTF-16 units before each code point, and before the end."""
    return running([0, *(1 + (ord(char) > 0xFFFF) for char in text)])
