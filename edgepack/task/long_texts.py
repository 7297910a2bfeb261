"""A data set's long texts as windows, each an example of its own, and one row of logits out of theirs.

Whoever runs a model over an `Encoded` splits it first and joins the logits, so that all others see one text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.windows import Span, Windows, nearest, places


@dataclass(frozen=True, eq=False)
class Split:
    """Windows as examples, and the examples that they are of.

    `pieces` are the windows, a short text being one; `owners (w,)` says whose, ascending. `sources` are the flat
    positions of the pieces' tokens in the data set. `rows (T,)`: the piece's token that each token's logits come from.
    """

    whole: Encoded
    pieces: Encoded
    owners: np.ndarray
    sources: np.ndarray
    rows: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        """Whether a piece is the last one of its text, bool `(w,)`."""
        return np.diff(self.owners, append=-1) != 0

    @property
    def starts(self) -> np.ndarray:
        """The first piece of each text `(n,)`."""
        return np.flatnonzero(np.diff(self.owners, prepend=-1))

    def joined(self, logits: np.ndarray) -> np.ndarray:
        """The whole texts' flat logits from those of the pieces."""
        if self.pieces is self.whole:
            return logits
        if len(logits) == len(self.sources):
            return np.asarray(logits[self.rows])
        assert self.whole.windows is not None
        if self.whole.windows.combine == "max":
            return np.maximum.reduceat(logits, self.starts, axis=0)
        sums = np.add.reduceat(logits.astype(np.float64), self.starts, axis=0)
        return np.asarray(sums / np.bincount(self.owners)[:, None], logits.dtype)

    def training(self) -> Encoded:
        """What to train on: of labelled words all pieces; of labelled texts the first, since the label is of the whole.

        A label of words that stands in two pieces counts in both.
        """
        if self.pieces is self.whole or self.whole.per_token:
            return self.pieces
        return self.pieces.select(self.starts)


def split(encoded: Encoded) -> Split:
    """The windows of a data set; itself where no text is long."""
    if encoded.windows is None:
        return Split(encoded, encoded, np.arange(len(encoded)), np.zeros(0, np.int64), np.zeros(0, np.int64))
    sources: list[np.ndarray] = []
    owners: list[int] = []
    rows = np.zeros(len(encoded.input_ids), np.int64)
    done = 0
    for example, (begin, count) in enumerate(zip(encoded.offsets, encoded.lengths, strict=False)):
        part, spans = _spans(encoded, example)
        chosen = nearest(int(count), spans)
        for number, window in enumerate(spans):
            at = places(int(count), part, window)
            own = chosen[at] == number
            rows[begin + at[own]] = done + np.flatnonzero(own)
            sources.append(begin + at)
            owners.append(example)
            done += len(at)
    flat, whose = np.concatenate(sources), np.array(owners, np.int64)
    offsets = np.cumsum([0, *map(len, sources)]).astype(np.int64)
    labels = encoded.labels[flat if encoded.per_token else whose]
    groups = None if encoded.groups is None else encoded.groups[whose]
    pieces = Encoded(encoded.input_ids[flat], encoded.token_type_ids[flat], offsets, labels, groups)
    return Split(encoded, pieces, whose, flat, rows)


def one_text(ids: Sequence[int], types: Sequence[int], windows: Windows | None, part: Span) -> Encoded:
    """A text by itself, without a label, as a data set; `part`: the tokens that are cut into windows."""
    flat, offsets = (np.array(ids, np.int32), np.array(types, np.int8)), np.array([0, len(ids)], np.int64)
    if windows is None or len(ids) <= windows.length:
        return Encoded(*flat, offsets, np.zeros(1, np.int64))
    return Encoded(*flat, offsets, np.zeros(1, np.int64), windows=windows, parts=np.array([part], np.int64))


def _spans(encoded: Encoded, example: int) -> tuple[Span, list[Span]]:
    """The part of an example that is cut, and its windows there."""
    assert encoded.windows is not None
    assert encoded.parts is not None
    part = (int(encoded.parts[example, 0]), int(encoded.parts[example, 1]))
    return part, encoded.windows.spans(int(encoded.lengths[example]), part)
