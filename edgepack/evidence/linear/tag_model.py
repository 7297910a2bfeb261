"""The linear tagger and its file, whose length is what it takes in an app.

    "EPLT", u32 buckets, u16 columns, u16 seen, u16 labels, f32 scale of the transitions
    seen × u16       the tags that training had a word of
    columns × f32    scales
    columns × f32    intercepts
    zlib             (seen + 1)² int8 transitions, then int8 weights, column after column

A word's score for a tag is intercept + scale × Σ weights of its column, over the row of `word_features.py`. A tag
behind another has the score of its transition; row `seen` is a sentence's begin, column `seen` its end, and −128 is a
tag that the scheme does not allow there. The tags of a sentence are those of the highest sum. Two tags share a column,
as labels do in `model.py`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.evidence.linear.model import packed
from edgepack.evidence.linear.word_features import WordFeatures
from edgepack.task.dataset import Example

MAGIC, HEADER = b"EPLT", struct.Struct("<4sIHHHf")
FORBIDDEN, LARGEST = -128, 127
NEVER = np.float32(-1e6)  # a chain of such tags is only answered where there is no other
TOGETHER = 256  # sentences whose tags are found at once


@dataclass(frozen=True, eq=False)
class Transitions:
    """`table (s + 1, s + 1)` int8 of scores in steps of `scale`: the tag before, the tag behind it."""

    table: np.ndarray
    scale: float

    @classmethod
    def rounded(cls, scores: np.ndarray, allowed: np.ndarray) -> Transitions:
        """Scores with 8 bits; what is not allowed is never answered."""
        scale = float(np.float32(max(float(np.abs(scores).max()), 1e-6) / LARGEST))
        return cls(np.where(allowed, np.round(scores / scale), FORBIDDEN).astype(np.int8), scale)

    @property
    def scores(self) -> np.ndarray:
        """float32 `(s + 1, s + 1)`."""
        found = self.table.astype(np.float32) * np.float32(self.scale)
        return np.where(self.table == FORBIDDEN, NEVER, found).astype(np.float32)

    def best(self, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The tag of each word, of the chains with the highest sums; `scores (T, s)`, `lengths` of the sentences."""
        starts, found = np.cumsum(lengths) - lengths, np.zeros(len(scores), np.int64)
        order = np.argsort(lengths, kind="stable")
        for first in range(0, len(order), TOGETHER):
            self._best(scores, starts[order[first : first + TOGETHER]], lengths[order[first : first + TOGETHER]], found)
        return found

    def _best(self, scores: np.ndarray, starts: np.ndarray, lengths: np.ndarray, found: np.ndarray) -> None:
        """Viterbi's algorithm over some sentences, a place at a time, into `found`."""
        table, rows = self.scores, np.arange(len(lengths))
        between, begin, end = table[:-1, :-1], table[-1, :-1], table[:-1, -1]
        longest, before = int(lengths.max(initial=0)), []
        total = np.zeros((len(lengths), len(between)), np.float32)
        for place in range(longest):
            there = rows[lengths > place]
            own = scores[starts[there] + place]
            if place == 0:
                total[there] = begin + own
                continue
            sums = total[there, :, None] + between
            pointers = np.zeros((len(lengths), len(between)), np.int64)
            pointers[there] = sums.argmax(axis=1)
            before.append(pointers)
            total[there] = sums.max(axis=1) + own
        tags = (total + end).argmax(axis=1)
        for place in range(longest - 1, -1, -1):
            there = rows[lengths > place]
            found[starts[there] + place] = tags[there]
            if place:
                tags[there] = before[place - 1][there, tags[there]]


@dataclass(frozen=True, eq=False)
class LinearTagger:
    """`weights (columns, buckets)` int8, `scales` and `intercepts (columns,)` float32, `seen (s,)` class ids."""

    features: WordFeatures
    weights: np.ndarray
    scales: np.ndarray
    intercepts: np.ndarray
    seen: np.ndarray
    labels: int
    transitions: Transitions

    def tags(self, examples: Sequence[Example]) -> np.ndarray:
        """The class ids of all words of the examples, int64."""
        rows = self.features.rows(examples)
        scores = two_columns(rows @ (self.weights.T * self.scales).astype(np.float32) + self.intercepts)
        return self.seen[self.transitions.best(scores, lengths_of(examples))]

    def to_bytes(self) -> bytes:
        """The file."""
        columns, buckets = self.weights.shape
        parts = [HEADER.pack(MAGIC, buckets, columns, len(self.seen), self.labels, self.transitions.scale)]
        parts += [self.seen.astype("<u2").tobytes(), self.scales.astype("<f4").tobytes()]
        inner = self.transitions.table.tobytes() + self.weights.tobytes()
        return b"".join([*parts, self.intercepts.astype("<f4").tobytes(), packed(inner)])


def read_tagger(data: bytes) -> LinearTagger:
    """The tagger in a file that `to_bytes` wrote."""
    magic, buckets, columns, seen, labels, scale = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"no linear tagger: it begins with {magic!r}")
    place, arrays = HEADER.size, []
    for kind, count in (("<u2", seen), ("<f4", columns), ("<f4", columns)):
        arrays.append(np.frombuffer(data, kind, count, place))
        place += arrays[-1].nbytes
    inner = np.frombuffer(zlib.decompress(data[place:]), np.int8)
    size = seen + 1
    table, weights = inner[: size * size].reshape(size, size), inner[size * size :].reshape(columns, buckets)
    transitions = Transitions(table, scale)
    return LinearTagger(
        WordFeatures(buckets), weights, arrays[1], arrays[2], arrays[0].astype(np.int64), labels, transitions
    )


def lengths_of(examples: Sequence[Example]) -> np.ndarray:
    """Words of each example, int64."""
    return np.array([len(example.words or ()) for example in examples], np.int64)


def two_columns(scores: np.ndarray) -> np.ndarray:
    """A column for each tag, where two share one: the first's score is 0."""
    return np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
