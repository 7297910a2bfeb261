"""What is to be said of rows whose texts are empty, or hold what a tokenizer made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from edgepack.task.reading.labels import GAPS
from edgepack.task.reading.table import Note, listed

FIRST_TOKENS = ("[CLS]", "<s>")
PIECES = ("##", "\u0120", "\u2581")  # how pieces of words begin: of WordPiece, and the first ones of other kinds
LEAST_PIECES = 10  # of a file, and a tenth of its tokens, from which on they are said
Pair = tuple[str, str | None]


def said_of_texts(source: str, texts: Sequence[Pair]) -> Iterator[Note]:
    """That texts, or second texts, are empty, or what a data frame writes for that."""
    paired = any(second is not None for _, second in texts)
    for number, what in enumerate(("texts", "second texts")[: 1 + paired]):
        found = [pair[number] or "" for pair in texts]
        blank, gaps = sum(not text.strip() for text in found), Counter(text for text in found if text in GAPS)
        if blank:
            yield Note(f"{source}: {blank} of {len(found)} {what} are empty", warning=True)
        if gaps:
            said = f"{gaps.total()} of {len(found)} {what} are {listed(gaps)}, as data frames write an empty cell"
            yield Note(f"{source}: {said}: leave rows without a text out", warning=True)


def said_of_tokens(source: str, texts: Sequence[str], words: Sequence[tuple[str, ...]]) -> Iterator[Note]:
    """That texts hold special tokens, or that tagged words are pieces of words: no app's text has any."""
    if all(text.startswith(FIRST_TOKENS) for text in texts):
        said = f"every text begins with {texts[0].split()[0]}, a tokenizer's special token"
        yield Note(f"{source}: {said}: give texts without such tokens, as an app has them", warning=True)
    pieces = [word for row in words for word in row if word.startswith(PIECES) and len(word) > 2]
    if len(pieces) >= max(LEAST_PIECES, sum(map(len, words)) / 10):
        said = f"{len(pieces):,} of its tokens are pieces of words, such as {listed(pieces[:1])}"
        yield Note(f"{source}: {said}: give whole words, with a tag each", warning=True)
