"""GPT-2's and RoBERTa's tokenizer over an asset: the reference that the apps' tokenizers are written after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from heapq import heappop, heappush

from edgepack.tokenizer.asset_tokenizer import SpacedToken, SteppedTokenizer, ends
from edgepack.tokenizer.byte_pairs import BYTES, BytePairData
from edgepack.tokenizer.letters import Letter

SPACE, APOSTROPHE = 0x20, 0x27
OTHER, GAP, LETTER, NUMBER = range(4)  # classes of GPT-2's pattern
CONTRACTIONS = tuple(tuple(map(ord, text)) for text in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"))


class BytePair(SteppedTokenizer):
    """GPT-2's and RoBERTa's tokenizer."""

    data: BytePairData

    def __init__(self, data: BytePairData) -> None:
        super().__init__(data)
        pairs = zip(data.merges, data.results, strict=True)
        self.ranks = {merge: (rank, result) for rank, (merge, result) in enumerate(pairs)}

    def plain_tokens(self, letters: Sequence[Letter]) -> Iterator[SpacedToken]:
        """Tokens of a stretch without added ones; a byte has the offsets of its character."""
        prefixed = self._prefixed(letters)
        for first, last in self.pieces([point for point, _, _ in prefixed]):
            sources = [(byte, letter) for letter in prefixed[first:last] for byte in chr(letter[0]).encode()]
            at = 0
            for symbol, length in self.merged([byte for byte, _ in sources]):
                start, end = sources[at][1][1], sources[at + length - 1][1][2]
                yield self.data.ids[symbol], start, end, *ends([byte != SPACE for byte in self.spellings[symbol]])
                at += length

    def _prefixed(self, letters: Sequence[Letter]) -> list[Letter]:
        """With a space put first, which has the first letter's offsets."""
        if self.data.prefix_space and letters[0][0] != SPACE:
            return [(SPACE, *letters[0][1:]), *letters]
        return list(letters)

    @cached_property
    def spellings(self) -> list[bytes]:
        """The bytes of every symbol."""
        found = [bytes([byte]) for byte in range(BYTES)]
        for (left, right), result in zip(self.data.merges, self.data.results, strict=True):
            if result == len(found):
                found.append(found[left] + found[right])
        return found

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
