"""SentencePiece's Unigram tokenizer over an asset: the reference that the apps' tokenizers are written after.

The most likely split is found as Viterbi did (1967): the best way to each place, its score a sum in 64 bits from the
left. Of equal sums the one found first stays, which begins earlier, so that every platform splits alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from edgepack.tokenizer.asset_tokenizer import SpacedToken, SteppedTokenizer
from edgepack.tokenizer.letters import Letter
from edgepack.tokenizer.unigram import METASPACE, PENALTY, SCHEMES, SPLIT_SPACES, Splitting, UnigramData

SPACE = 0x20
NEVER, FIRST, ALWAYS = range(len(SCHEMES))
Stretch = Sequence[Letter]


class Unigram(SteppedTokenizer):
    """The tokenizer of XLM-RoBERTa, ALBERT, T5, CamemBERT and DeBERTa-v2."""

    data: UnigramData

    def __init__(self, data: UnigramData) -> None:
        super().__init__(data)
        self.ids = {piece: index for index, piece in enumerate(data.vocabulary) if piece}
        self.longest = max(map(len, self.ids), default=1)

    def plain_tokens(self, letters: Stretch) -> Iterator[SpacedToken]:
        """Tokens of a stretch without added ones."""
        stretches: list[Stretch] = [letters]
        for step in self.data.splitting:
            stretches = [part for stretch in stretches for part in self._parts(stretch, step)]
        for stretch in stretches:
            yield from self._pieces(stretch)

    def _parts(self, letters: Stretch, step: Splitting) -> Iterator[Stretch]:
        """What a step of the pre-tokenizer makes of a stretch."""
        if step.kind == METASPACE:
            yield from self._at_spaces(letters, step)
            return
        classes = self.data.tables
        at = 0
        for place, letter in enumerate(letters):
            if step.kind == SPLIT_SPACES and letter[0] in classes.spaces:
                if place > at:
                    yield letters[at:place]
                at = place + 1
            elif step.kind != SPLIT_SPACES and letter[0] in classes.punctuation:
                if place > at:
                    yield letters[at:place]
                yield letters[place : place + 1]
                at = place + 1
        if at < len(letters):
            yield letters[at:]

    @staticmethod
    def _at_spaces(letters: Stretch, step: Splitting) -> Iterator[Stretch]:
        """Spaces written as the letter, one put first where the scheme says so, and a part begun at each."""
        shown = [(step.letter if point == SPACE else point, start, end) for point, start, end in letters]
        if not shown:
            return
        if shown[0][0] != step.letter and (step.scheme == ALWAYS or (step.scheme == FIRST and shown[0][1] == 0)):
            shown.insert(0, (step.letter, *shown[0][1:]))
        at = 0
        for place, letter in enumerate(shown):
            if step.splits and place > at and letter[0] == step.letter:
                yield shown[at:place]
                at = place
        yield shown[at:]

    def _pieces(self, letters: Stretch) -> Iterator[SpacedToken]:
        """The most likely pieces; unknown characters side by side are one token, or their known bytes."""
        text = "".join(chr(point) for point, _, _ in letters)
        for first, end in self._fused(text):
            string = text[first:end]
            span = letters[first][1], letters[end - 1][2]
            for index in self._ids(string):
                yield index, *span, *self._ends([ord(char) for char in string])

    def _ids(self, string: str) -> list[int]:
        if string in self.ids:
            return [self.ids[string]]
        found = [self.ids.get(f"<0x{byte:02X}>") for byte in string.encode()] if self.data.byte_fallback else [None]
        known = [index for index in found if index is not None]
        return known if len(known) == len(found) else [self.data.unknown_id]

    def _fused(self, text: str) -> Iterator[tuple[int, int]]:
        """The split's pieces, unknown neighbours joined."""
        joined: list[tuple[int, int, bool]] = []
        for first, end, index in self._best(text):
            unknown = index == self.data.unknown_id
            if unknown and joined and joined[-1][2]:
                first = joined.pop()[0]
            joined.append((first, end, unknown))
        return ((first, end) for first, end, _ in joined)

    def _best(self, text: str) -> list[tuple[int, int, int]]:
        """The split of the highest score: start, end, id."""
        scores: list[float] = [0.0] * (len(text) + 1)
        ways: list[tuple[int, int] | None] = [None] * (len(text) + 1)  # where the last piece begins, and its id

        def offer(start: int, end: int, score: float, index: int) -> None:
            if ways[end] is None or score > scores[end]:
                scores[end], ways[end] = score, (start, index)

        for start in range(len(text)):
            for end in range(start + 1, min(start + self.longest, len(text)) + 1):
                index = self.ids.get(text[start:end])
                if index is not None:
                    offer(start, end, self.data.scores[index] + scores[start], index)
            if text[start] not in self.ids:
                offer(start, start + 1, self.unknown_score + scores[start], self.data.unknown_id)
        found, at = [], len(text)
        while at > 0:
            way = ways[at]
            assert way is not None  # each character alone is a way
            found.append((way[0], at, way[1]))
            at = way[0]
        return found[::-1]

    @cached_property
    def unknown_score(self) -> float:
        """Of a character that is no piece."""
        return min(self.data.scores) - PENALTY
