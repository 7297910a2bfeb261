"""BERT's tokenizer over an asset: the reference that the apps' tokenizers are written after.

Steps for what stands between added tokens: remove, pad, fold and sort code points, split at spaces and punctuation,
then match the longest token first (Wu et al. 2016, arXiv:1609.08144).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgepack.tokenizer.asset_tokenizer import AssetTokenizer, SpacedToken, Token
from edgepack.tokenizer.hangul import HANGUL, decompose_hangul
from edgepack.tokenizer.letters import Letter
from edgepack.tokenizer.word_pieces import WordPieceData

SPACE = 0x20
Sourced = tuple[int, int]  # a folded code point and the index of the one it came from


class WordPiece(AssetTokenizer):
    """BERT's tokenizer."""

    data: WordPieceData

    def __init__(self, data: WordPieceData) -> None:
        super().__init__(data)
        self.ids = {token: index for index, token in enumerate(data.vocabulary) if token}

    def normalize(self, text: str, start: int, end: int) -> list[Letter]:
        """The letters of a stretch between added tokens."""
        return [(point, source, source + 1) for point, source in self.sorted_marks(text, start, end)]

    def plain_tokens(self, letters: Sequence[Letter]) -> Iterator[SpacedToken]:
        """Tokens of a stretch without added ones."""
        for word in self.words(letters):
            for index, start, end in self.pieces(word):
                yield index, start, end, 0, 0

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

    def sorted_marks(self, text: str, start: int, end: int) -> list[Sourced]:
        """Folded code points, each run of marks stably sorted by rank.

        Marks change places and the reference's offsets do not follow them: the first mark after sorting
        has the first mark's offset. Marks inside one code point's folding sort too, without an offset of
        their own.
        """
        letters: list[Sourced] = []
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

    def words(self, letters: Sequence[Letter]) -> Iterator[list[Letter]]:
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
        unknown = [(self.data.unknown_id, word[0][1], word[-1][2])]
        if len(word) > self.data.max_word_length:
            return unknown
        text = "".join(chr(point) for point, _, _ in word)
        out: list[Token] = []
        at = 0
        while at < len(text):
            prefix = self.data.prefix if at else ""
            end = next((e for e in range(len(text), at, -1) if prefix + text[at:e] in self.ids), None)
            if end is None:
                return unknown
            out.append((self.ids[prefix + text[at:end]], word[at][1], word[end - 1][2]))
            at = end
        return out
