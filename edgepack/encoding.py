"""A data set as flat token arrays, and padded batches out of it.

`n` examples with `T` tokens in all are a few numpy arrays without padding: example `i` is
`offsets[i]:offsets[i + 1]`, special tokens included. Model outputs use the same layout, so a teacher's logits
for the whole set are one array that `rows` indexes. Padding exists only inside a batch, on the right.

A word's label stands at its first subword; its other subwords and special tokens carry -100. The tokenizer's
own truncation and padding settings are overridden and cleared: a `tokenizer.json` often still holds those of its
training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from edgepack.data import Dataset, Example
from edgepack.task import IGNORED, Task

TOKENIZER_BATCH = 1_000
POOL_BATCHES = 50  # batches sorted together: little padding, while batches still differ between epochs
COVERED = 0.999  # share of the training examples that must fit without truncation
MIN_LENGTH, LENGTH_STEP = 16, 8


@dataclass(frozen=True, eq=False)
class Encoded:
    """`input_ids (T,)` int32, `token_type_ids (T,)` int8, `offsets (n + 1,)` int64, `labels (n,)` or `(T,)` int64."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, special tokens included."""
        return np.diff(self.offsets)

    @property
    def per_token(self) -> bool:
        """Whether labels belong to tokens. Every example has its special tokens, so `T` is never `n`."""
        return len(self.labels) != len(self)

    @property
    def label_examples(self) -> np.ndarray:
        """The example that each entry of `labels` belongs to, int64, ascending."""
        examples = np.arange(len(self))
        return np.repeat(examples, self.lengths) if self.per_token else examples

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Flat positions of these examples' tokens, one example after another."""
        chosen = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[chosen]
        before = np.cumsum(lengths) - lengths
        return np.repeat(self.offsets[chosen] - before, lengths) + np.arange(lengths.sum())

    def sha256(self) -> str:
        """Of tokens, types, lengths and labels."""
        digest = hashlib.sha256()
        for array in (self.input_ids, self.token_type_ids, self.offsets, self.labels):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def select(self, indices: Sequence[int] | np.ndarray) -> Encoded:
        """These examples, in this order, as a data set of their own."""
        chosen = np.asarray(indices, dtype=np.int64)
        rows = self.rows(chosen)
        offsets = np.concatenate([[0], np.cumsum(self.lengths[chosen])]).astype(np.int64)
        labels = self.labels[rows] if self.per_token else self.labels[chosen]
        return Encoded(self.input_ids[rows], self.token_type_ids[rows], offsets, labels)

    def batch(self, indices: Sequence[int] | np.ndarray, pad_id: int = 0) -> dict[str, Tensor]:
        """int64 `input_ids`, `attention_mask`, `token_type_ids` (batch, seq), and `labels` (batch,) or (batch, seq)."""
        chosen = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[chosen]
        mask = np.arange(lengths.max()) < lengths[:, None]
        rows = self.rows(chosen)

        def padded(flat: np.ndarray, fill: int) -> Tensor:
            table = np.full(mask.shape, fill, dtype=np.int64)
            table[mask] = flat[rows]
            return torch.from_numpy(table)

        labels = padded(self.labels, IGNORED) if self.per_token else torch.from_numpy(self.labels[chosen])
        return {
            "input_ids": padded(self.input_ids, pad_id),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "token_type_ids": padded(self.token_type_ids, 0),
            "labels": labels,
        }


def encode(dataset: Dataset, task: Task, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Encoded:
    """Tokenize every example, truncated to `max_length` tokens (the longer text of a pair first)."""
    ids: list[np.ndarray] = []
    types: list[np.ndarray] = []
    words: list[np.ndarray] = []
    for encodings in _tokenize(dataset.examples, tokenizer, max_length):
        for encoding in encodings:
            ids.append(np.asarray(encoding.ids, dtype=np.int32))
            types.append(np.asarray(encoding.type_ids, dtype=np.int8))
            if task.name == "token-classification":
                words.append(np.asarray([-1 if w is None else w for w in encoding.word_ids], dtype=np.int64))
    offsets = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
    labels = [example.label for example in dataset.examples]
    flat = _word_labels(words, labels) if words else np.asarray(labels, dtype=np.int64)
    return Encoded(np.concatenate(ids), np.concatenate(types), offsets, flat)


def suggest_max_length(
    train: Dataset, evaluation: Dataset, tokenizer: PreTrainedTokenizerFast, limit: int = 512
) -> int:
    """The shortest multiple of 8 that holds 99.9 % of `train` and all of `evaluation`; 16 at least, `limit` at most."""
    needed = [
        float(np.quantile(_token_counts(train, tokenizer, limit), COVERED, method="inverted_cdf")),
        float(_token_counts(evaluation, tokenizer, limit).max()),
    ]
    rounded = LENGTH_STEP * -(-int(max(needed)) // LENGTH_STEP)
    return min(limit, max(MIN_LENGTH, rounded))


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


def _tokenize(examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, max_length: int) -> Iterator[list[Any]]:
    for start in range(0, len(examples), TOKENIZER_BATCH):
        chunk = examples[start : start + TOKENIZER_BATCH]
        split = chunk[0].words is not None
        first = [list(e.words or ()) if split else e.text for e in chunk]
        second = None if chunk[0].pair is None else [e.pair for e in chunk]
        encoded = tokenizer(
            first,
            second,
            is_split_into_words=split,
            truncation="longest_first",
            max_length=max_length,
            padding=False,
            return_token_type_ids=False,
            return_attention_mask=False,
        )
        yield encoded.encodings
    tokenizer.backend_tokenizer.no_truncation()  # the call above set it; whoever saves the tokenizer must not keep it


def _token_counts(dataset: Dataset, tokenizer: PreTrainedTokenizerFast, limit: int) -> np.ndarray:
    return np.array([len(e.ids) for chunk in _tokenize(dataset.examples, tokenizer, limit) for e in chunk])


def _word_labels(words: list[np.ndarray], labels: list[Any]) -> np.ndarray:
    """Flat labels: `labels[example][word]` at each word's first subword, -100 elsewhere."""
    word = np.concatenate(words)
    first_word = np.repeat(np.cumsum([0, *map(len, labels[:-1])]), [len(w) for w in words])
    previous = np.concatenate([[-1], word[:-1]])
    heads = (word >= 0) & (word != previous)
    flat = np.full(len(word), IGNORED, dtype=np.int64)
    flat[heads] = np.concatenate([np.asarray(tags, dtype=np.int64) for tags in labels])[(first_word + word)[heads]]
    return flat
