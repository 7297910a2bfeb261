"""A reader of `tokenizer.bin` in plain Python: the reference that the apps' tokenizers are written after.

It uses nothing but the asset: no `unicodedata`, no `str.lower`, no `tokenizers`. That it equals the Hugging
Face fast tokenizer on every code point and on the goldens proves that the asset says enough. Steps for a text:
find added tokens; in what is between them remove, pad, fold and sort code points, split at spaces and
punctuation, then match the longest token first (Wu et al. 2016, arXiv:1609.08144). Slow; apps have their own.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

from edgepack.tokenizer.asset import AssetData
from edgepack.tokenizer.asset_parts import FIRST, LSTRIP, NORMALIZED, RSTRIP, SPECIAL, AddedToken
from edgepack.tokenizer.byte_pairs import BYTES, BytePairData
from edgepack.tokenizer.streams import read_asset, running
from edgepack.tokenizer.unicode_tables import HANGUL, decompose_hangul
from edgepack.tokenizer.word_pieces import WordPieceData

SPACE, APOSTROPHE = 0x20, 0x27
SHOWN_SPACE = 0x120  # a space as byte-level vocabularies write it
OTHER, GAP, LETTER, NUMBER = range(4)  # classes of GPT-2's pattern
CONTRACTIONS = tuple(tuple(map(ord, text)) for text in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"))
Letter = tuple[int, int]  # a folded code point and the index of the one it came from
Token = tuple[int, int, int]  # id, first code point, end


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


def read_tokenizer_asset(data: bytes) -> AssetTokenizer:
    """The tokenizer in a `tokenizer.bin`; `InputError` where it is none or damaged."""
    content = read_asset(data)
    return WordPiece(content) if isinstance(content, WordPieceData) else BytePair(content)


class AssetTokenizer(ABC):
    """A tokenizer over an asset: added tokens, templates and cutting, which are the same for every kind."""

    def __init__(self, data: AssetData) -> None:
        self.data = data

    @abstractmethod
    def plain_tokens(self, text: str, start: int, end: int) -> Iterator[Token]:
        """Tokens of a stretch without added ones."""

    def encode(self, text: str, pair: str | None = None, max_length: int | None = None) -> Encoding:
        """Ids with special tokens, the longer text cut first if they are more than `max_length`."""
        template = self.data.single if pair is None else self.data.pair
        first, second = list(self.tokens(text)), [] if pair is None else list(self.tokens(pair))
        if max_length is not None:
            room = max_length - sum(piece.kind == SPECIAL for piece in template)
            kept = longest_first(len(first), len(second), room) if pair is not None else (room, 0)
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
        """The text's own tokens."""
        for start, end, index in self.stretches(text):
            if index is None:
                yield from self.plain_tokens(text, start, end)
            else:
                yield index, start, end

    def stretches(self, text: str) -> list[tuple[int, int, int | None]]:
        """Added tokens and what is between them: start, end, id or None.

        Tokens that are matched after normalization are looked for in what the others have left.
        """
        parts: list[tuple[int, int, int | None]] = [(0, len(text), None)] if text else []
        for finder in self.finders:
            parts = [
                each
                for start, end, index in parts
                for each in (self._split(text, start, end, finder) if index is None else [(start, end, index)])
            ]
        return parts

    @cached_property
    def finders(self) -> list[tuple[re.Pattern[str], dict[str, AddedToken]]]:
        """For the tokens matched before and after normalization: a pattern for the longest at a place, and them."""
        groups = [[t for t in self.data.added if bool(t.flags & NORMALIZED) == late] for late in (False, True)]
        return [
            (
                re.compile("|".join(re.escape(t.content) for t in sorted(group, key=lambda t: -len(t.content)))),
                {t.content: t for t in group},
            )
            for group in groups
            if group
        ]

    def _split(
        self, text: str, start: int, end: int, finder: tuple[re.Pattern[str], dict[str, AddedToken]]
    ) -> Iterator[tuple[int, int, int | None]]:
        """A stretch cut at the tokens in it, with the spaces that they swallow."""
        pattern, by_content = finder
        spaces, done = self.data.tables.spaces, start
        for match in pattern.finditer(text, start, end):
            token = by_content[match.group()]
            first, last = match.span()
            while token.flags & LSTRIP and first > done and ord(text[first - 1]) in spaces:
                first -= 1
            while token.flags & RSTRIP and last < end and ord(text[last]) in spaces:
                last += 1
            if first > done:
                yield done, first, None
            yield first, last, token.id
            done = last
        if done < end:
            yield done, end, None


class WordPiece(AssetTokenizer):
    """BERT's tokenizer."""

    data: WordPieceData

    def __init__(self, data: WordPieceData) -> None:
        super().__init__(data)
        self.ids = {token: index for index, token in enumerate(data.vocabulary) if token}

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


class BytePair(AssetTokenizer):
    """GPT-2's and RoBERTa's tokenizer."""

    data: BytePairData

    def __init__(self, data: BytePairData) -> None:
        super().__init__(data)
        pairs = zip(data.merges, data.results, strict=True)
        self.ranks = {merge: (rank, result) for rank, (merge, result) in enumerate(pairs)}

    def tokens(self, text: str) -> Iterator[Token]:
        """The text's own tokens, their offsets without the spaces at the ends where the tokenizer trims them."""
        for number, (index, start, end, before, behind) in enumerate(self._spaced(text)):
            if self.data.trim_offsets:
                # a single space before the first word may be the one that the tokenizer has put there
                own = self.data.trim_prefixed and before == 1 and (number == 0 or start == 0)
                start = min(start + before - own, end)
                end = max(end - behind, start) if end >= behind else end
            yield index, start, end

    def _spaced(self, text: str) -> Iterator[tuple[int, int, int, int, int]]:
        """Tokens with how many spaces each begins and ends with."""
        spaces = self.data.tables.spaces | {SHOWN_SPACE}
        for start, end, index in self.stretches(text):
            if index is not None:  # with what it has swallowed
                yield index, start, end, *ends([ord(char) not in spaces for char in text[start:end]])
                continue
            for symbol, first, last in self._symbols(text, start, end):
                yield self.data.ids[symbol], first, last, *ends([byte != SPACE for byte in self.spellings[symbol]])

    def plain_tokens(self, text: str, start: int, end: int) -> Iterator[Token]:
        """Tokens of a stretch without added ones."""
        for symbol, first, last in self._symbols(text, start, end):
            yield self.data.ids[symbol], first, last

    @cached_property
    def spellings(self) -> list[bytes]:
        """The bytes of every symbol."""
        found = [bytes([byte]) for byte in range(BYTES)]
        for (left, right), result in zip(self.data.merges, self.data.results, strict=True):
            if result == len(found):
                found.append(found[left] + found[right])
        return found

    def _symbols(self, text: str, start: int, end: int) -> Iterator[Token]:
        """Symbols of a stretch; a prefixed space has the first character's offset, a byte that of its character."""
        letters = [(ord(text[i]), i) for i in range(start, end)]
        if self.data.prefix_space and letters[0][0] != SPACE:
            letters.insert(0, (SPACE, start))
        for first, last in self.pieces([point for point, _ in letters]):
            sources = [(byte, source) for point, source in letters[first:last] for byte in chr(point).encode()]
            symbols = [byte for byte, _ in sources]
            at = 0
            for symbol, length in self.merged(symbols):
                yield symbol, sources[at][1], sources[at + length - 1][1] + 1
                at += length

    def pieces(self, points: list[int]) -> Iterator[tuple[int, int]]:
        """Where GPT-2's pattern splits: contractions, letters, numbers, others, each with a space before it, and gaps.

        `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`
        """
        at = 0
        while at < len(points):
            end = self._contraction(points, at) or self._run(points, at) or self._gap(points, at)
            yield at, end
            at = end

    def _contraction(self, points: list[int], at: int) -> int:
        """The end of a contraction that begins here, 0 if none does."""
        if points[at] != APOSTROPHE:
            return 0
        return next((at + len(c) for c in CONTRACTIONS if tuple(points[at : at + len(c)]) == c), 0)

    def _run(self, points: list[int], at: int) -> int:
        """The end of a run of one class, with the space before it; 0 if there is none."""
        first = at + (points[at] == SPACE)
        if first == len(points) or (kind := self._class(points[first])) == GAP:
            return 0
        end = first
        while end < len(points) and self._class(points[end]) == kind:
            end += 1
        return end

    def _gap(self, points: list[int], at: int) -> int:
        """The end of a run of spaces: all but the last, which belongs to what follows, where anything follows."""
        end = at
        while end < len(points) and self._class(points[end]) == GAP:
            end += 1
        return end if end == len(points) or end == at + 1 else end - 1

    def _class(self, point: int) -> int:
        tables = self.data.tables
        if point in tables.letters:
            return LETTER
        return NUMBER if point in tables.numbers else GAP * (point in tables.gaps)

    def merged(self, symbols: list[int]) -> Iterator[tuple[int, int]]:
        """Symbols after all merges, with the bytes of each: the earliest merge first, the leftmost of equal ones."""
        count = len(symbols)
        lengths, before, after = [1] * count, list(range(-1, count - 1)), list(range(1, count + 1))
        queue: list[tuple[int, int, int, int]] = []  # rank, place, and both symbols as they were

        def offer(place: int) -> None:
            if place >= 0 and after[place] < count:
                pair = (symbols[place], symbols[after[place]])
                if pair in self.ranks:
                    heappush(queue, (self.ranks[pair][0], place, *pair))

        for place in range(count):
            offer(place)
        while queue:
            _, place, left, right = heappop(queue)
            other = after[place]
            if not lengths[place] or other >= count or (symbols[place], symbols[other]) != (left, right):
                continue  # one of both was merged since
            symbols[place] = self.ranks[left, right][1]
            lengths[place] += lengths[other]
            lengths[other] = 0
            after[place] = after[other]
            if after[place] < count:
                before[after[place]] = place
            offer(before[place])
            offer(place)
        place = 0
        while place < count:
            yield symbols[place], lengths[place]
            place = after[place]


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


def utf16_index(text: str) -> list[int]:
    """UTF-16 units before each code point, and before the end."""
    return running([0, *(1 + (ord(char) > 0xFFFF) for char in text)])
