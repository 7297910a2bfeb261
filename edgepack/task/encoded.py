"""A data set as flat token arrays, and padded batches out of it.

`n` examples with `T` tokens in all are a few numpy arrays without padding: example `i` is
`offsets[i]:offsets[i + 1]`, special tokens included. Model outputs use the same layout, so a teacher's logits
for the whole set are one array that `rows` indexes. Padding exists only inside a batch, on the right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.task.windows import Windows

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # in this order; the last where a model has types
IGNORED = -100  # label of positions that are not scored: special tokens and all but a word's first subword
POOL_BATCHES = 50  # batches sorted together: little padding, while batches still differ between epochs


@dataclass(frozen=True, eq=False)
class Encoded:
    """`input_ids (T,)` int32, `token_type_ids (T,)` int8, `offsets (n + 1,)` int64, `labels (n,)` or `(T,)` int64.

    Of label sets, `labels` are `(n, C)` int8: 1 for each label that is in the example's set. Of scores they are
    `(n,)` float64, and where these rank candidates, `groups (n,)` int64 has the number of each example's query. Where
    some examples are longer than a model takes, `windows` says how it reads them (`task/long_texts.py`), and
    `parts (n, 2)` which tokens of each are cut into windows.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None
    windows: Windows | None = None
    parts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def arrays(self) -> dict[str, Any]:
        """All that there is of it as arrays, by name, to be kept in a file."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, special tokens included."""
        return np.diff(self.offsets)

    @property
    def per_token(self) -> bool:
        """Whether labels belong to tokens. Every example has its special tokens, so `T` is never `n`."""
        return len(self.labels) != len(self)

    @property
    def scored(self) -> np.ndarray:
        """At which rows of `labels`, and of logits, a label stands, bool `(n,)` or `(T,)`."""
        if self.labels.dtype.kind == "f":
            return np.ones(len(self.labels), bool)  # a score may be any number
        rows = self.labels if self.labels.ndim == 1 else self.labels[:, 0]
        return np.asarray(rows != IGNORED)

    @property
    def token_examples(self) -> np.ndarray:
        """The example that each token belongs to, int64, ascending."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def label_examples(self) -> np.ndarray:
        """The example that each entry of `labels` belongs to, int64, ascending."""
        return self.token_examples if self.per_token else np.arange(len(self))

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Flat positions of these examples' tokens, one example after another."""
        chosen = np.asarray(indices, dtype=np.int64)
        return ranges(self.offsets[chosen], self.lengths[chosen])

    def sha256(self) -> str:
        """Of tokens, types, lengths, labels and queries."""
        digest = hashlib.sha256()
        groups = () if self.groups is None else (self.groups,)
        for array in (self.input_ids, self.token_type_ids, self.offsets, self.labels, *groups):
            digest.update(np.ascontiguousarray(array).data)
        if self.windows is not None:
            digest.update(repr(self.windows).encode())
        return digest.hexdigest()

    def select(self, indices: Sequence[int] | np.ndarray) -> Encoded:
        """These examples, in this order, as a data set of their own."""
        chosen = np.asarray(indices, dtype=np.int64)
        rows = self.rows(chosen)
        offsets = np.concatenate([[0], np.cumsum(self.lengths[chosen])]).astype(np.int64)
        labels = self.labels[rows] if self.per_token else self.labels[chosen]
        groups, parts = (None if each is None else each[chosen] for each in (self.groups, self.parts))
        return Encoded(self.input_ids[rows], self.token_type_ids[rows], offsets, labels, groups, self.windows, parts)

    def batch(self, indices: Sequence[int] | np.ndarray, pad_id: int = 0) -> dict[str, np.ndarray]:
        """int64 `input_ids`, `attention_mask`, `token_type_ids` (batch, seq); `labels` (batch, …) or (batch, seq)."""
        chosen = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[chosen]
        if self.windows is not None and lengths.max() > self.windows.length:
            raise ValueError("a text that is read in windows is no single input; use long_texts.split")
        mask = np.arange(lengths.max()) < lengths[:, None]
        rows = self.rows(chosen)

        def padded(flat: np.ndarray, fill: int) -> np.ndarray:
            table = np.full(mask.shape, fill, dtype=np.int64)
            table[mask] = flat[rows]
            return table

        labels = padded(self.labels, IGNORED) if self.per_token else self.labels[chosen]
        return {
            "input_ids": padded(self.input_ids, pad_id),
            "attention_mask": mask.astype(np.int64),
            "token_type_ids": padded(self.token_type_ids, 0),
            "labels": labels,
        }


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`counts[i]` numbers from `starts[i]` on, one range behind the other, int64."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def equal_lengths(lengths: np.ndarray) -> list[np.ndarray]:
    """Indices of examples of the same length together, in their order, the shortest first."""
    order = np.argsort(lengths, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)


def length_buckets(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """One epoch of shuffled batches of examples of similar length, the same for the same seed and epoch.

    Shuffle, sort within pools of 50 batches, cut, shuffle the batches. A smaller last batch is kept.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))
    pool_size = batch_size * POOL_BATCHES
    batches = []
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]
