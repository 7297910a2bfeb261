"""The linear model and its file, whose length is what it takes in an app.

    "EPLM", u32 buckets, u16 columns, u16 seen, u16 labels, u8 flags (1: characters, 2: pairs)
    seen × u16       the labels that training had an example of
    columns × f32    scales
    columns × f32    intercepts
    zlib             int8 weights, column after column

A label's score is intercept + scale × Σ weights of its column, over the row of `features.py`. Two labels that exclude
each other share one column: the second's score, the first's being 0. A label that training never had is never answered.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.evidence.linear.features import Features
from edgepack.task.dataset import Example

MAGIC, HEADER = b"EPLM", struct.Struct("<4sIHHHB")
CHARACTERS, PAIR = 1, 2


@dataclass(frozen=True, eq=False)
class LinearModel:
    """`weights (columns, buckets)` int8, `scales` and `intercepts (columns,)` float32, `seen (s,)` class ids."""

    features: Features
    weights: np.ndarray
    scales: np.ndarray
    intercepts: np.ndarray
    seen: np.ndarray
    labels: int

    def logits(self, examples: Sequence[Example]) -> np.ndarray:
        """`(n, labels)` float32; a label that training never had has −∞."""
        scores = self.features.rows(examples) @ (self.weights.T * self.scales).astype(np.float32) + self.intercepts
        if scores.shape[1] < len(self.seen):
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        logits = np.full((len(examples), self.labels), -np.inf, np.float32)
        logits[:, self.seen] = scores
        return logits

    def to_bytes(self) -> bytes:
        """The file."""
        columns, buckets = self.weights.shape
        flags = CHARACTERS * self.features.characters | PAIR * self.features.pair
        parts = [HEADER.pack(MAGIC, buckets, columns, len(self.seen), self.labels, flags)]
        parts += [self.seen.astype("<u2").tobytes(), self.scales.astype("<f4").tobytes()]
        return b"".join([*parts, self.intercepts.astype("<f4").tobytes(), packed(self.weights.tobytes())])


def packed(weights: bytes) -> bytes:
    """zlib's stream; only zeros repeat, and to look for nothing else takes a hundredth of the time."""
    packer = zlib.compressobj(9, strategy=zlib.Z_RLE)
    return packer.compress(weights) + packer.flush()


def read_linear(data: bytes) -> LinearModel:
    """The model in a file that `to_bytes` wrote."""
    magic, buckets, columns, seen, labels, flags = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"no linear model: it begins with {magic!r}")
    place, arrays = HEADER.size, []
    for kind, count in (("<u2", seen), ("<f4", columns), ("<f4", columns)):
        arrays.append(np.frombuffer(data, kind, count, place))
        place += arrays[-1].nbytes
    weights = np.frombuffer(zlib.decompress(data[place:]), np.int8).reshape(columns, buckets)
    features = Features(buckets, bool(flags & CHARACTERS), bool(flags & PAIR))
    return LinearModel(features, weights, arrays[1], arrays[2], arrays[0].astype(np.int64), labels)
