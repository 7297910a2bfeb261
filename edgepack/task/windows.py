"""Windows: how a model reads a text with more tokens than it takes, and what it answers then.

All windows of a text have the special tokens of the whole, and `room` tokens of it, as many as are left of `length`.
The first begins where the text begins; each other one begins `overlap` tokens before the one before ends; the last
ends where the text ends, so it may overlap more, and none is short. Of a pair the longer text (of equals the second)
is cut into windows. The shorter one is in each of them; its first `room // 2` tokens are, if it has more than half.

One answer is made of those of the windows by `combine`:

- `inner`, of labelled words: a token's logits are those of the window whose middle is nearest, of two the first one's.
  So a token between two windows has half of the overlap around it at least (as in Devlin et al. 2019,
  arXiv:1810.04805, whose released code scores a word where it has the most context on both sides).
- `mean`, of texts with one label: the mean of the windows' logits.
- `max`, of label sets: each label's largest logit, so a label is answered if one window shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from edgepack.errors import InputError

Combine = Literal["inner", "max", "mean"]
COMBINED: dict[Combine, str] = {  # for a person
    "inner": "each word by the window that it stands farthest inside",
    "max": "each label by the largest of its logits",
    "mean": "by the mean of their logits",
}
OVERLAP = 4  # a window overlaps by a quarter of the longest input
Span = tuple[int, int]  # tokens `[start, end)`


@dataclass(frozen=True)
class Windows:
    """Windows of at most `length` tokens, special ones included, that overlap by `overlap`; `combine` joins them."""

    length: int
    overlap: int
    combine: Combine

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= self.length // 2:
            raise InputError(
                f"windows of {self.length} tokens overlap by {self.overlap}; allowed: 0 to {self.length // 2}"
            )

    def describe(self) -> str:
        """What they are, for a person."""
        return f"windows of {self.length} tokens that overlap by {self.overlap}, combined {COMBINED[self.combine]}"

    def spans(self, count: int, part: Span) -> list[Span]:
        """Of a text of `count` tokens, special ones included, where the windows are in its part that is cut.

        `InputError` where the tokens that are in every window leave no room.
        """
        start, end = part
        if count <= self.length:
            return [part]
        room = self.length - (count - (end - start))
        if room < 1:
            raise InputError(f"windows of {self.length} tokens have no room for a text beside the special tokens")
        step = room - min(self.overlap, room // 2)
        return [*((at, at + room) for at in range(start, end - room, step)), (end - room, end)]


Longest = int | Windows  # how far a model reads: a number of tokens, where texts are cut, or windows over all of a text


def part_of(sequences: Sequence[int | None]) -> Span:
    """The tokens of the text that is cut into windows; `sequences`: 0, 1, None for special tokens."""
    tokens = [[at for at, sequence in enumerate(sequences) if sequence == text] for text in (0, 1)]
    longer = tokens[1] if len(tokens[1]) and len(tokens[1]) >= len(tokens[0]) else tokens[0]
    return (longer[0], longer[-1] + 1) if longer else (0, 0)


def places(count: int, part: Span, window: Span) -> np.ndarray:
    """The tokens of one window, int64: all but those of the part that are outside of it."""
    pieces = ((0, part[0]), window, (part[1], count))
    return np.concatenate([np.arange(*piece, dtype=np.int64) for piece in pieces])


def nearest(count: int, spans: Sequence[Span]) -> np.ndarray:
    """Of each of a text's tokens, the number of the window whose middle is nearest `(count,)` int64."""
    begins = [(after[0] + before[1] + 1) // 2 for before, after in pairwise(spans)]
    return np.searchsorted(np.array(begins, np.int64), np.arange(count), side="right")
