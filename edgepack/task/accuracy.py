"""Accuracy: one label for each text, or one tag for each word, the one with the largest logit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.probabilities import divergences, softmax
from edgepack.task.scoring import RatioMetric, commonest


@dataclass(frozen=True)
class Accuracy(RatioMetric):
    """The share of texts whose label is right; statistics (right, 1)."""

    count: int = 0  # of labels
    name: str = "accuracy"
    columns: int = 2

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids of the largest logits, `(…, C) → (…)` int64."""
        return np.asarray(logits.argmax(axis=-1), dtype=np.int64)

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(n, 2)` int64; logits `(n, C)`."""
        right = self.decide(logits) == encoded.labels
        return np.stack([right, np.ones(len(right))], axis=1).astype(np.int64)

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right answers, and examples."""
        return statistics[..., 0], statistics[..., 1]

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Each row is of one example, right or wrong."""
        return all(bool((each[:, 1] == 1).all() and (each[:, 0] <= 1).all()) for each in (first, second))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Those of a row add up to 1."""
        return softmax(logits)

    def divergences(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """KL of the distributions over labels."""
        return divergences(after, before)

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """The commonest label."""
        return commonest(labels, self.count)

    def label_rows(self, labels: Sequence[int]) -> np.ndarray:
        """Class ids `(n,)` int64."""
        return np.asarray(labels, dtype=np.int64)


@dataclass(frozen=True)
class WordAccuracy(Accuracy):
    """The share of words whose tag is right; statistics (right words, words).

    Words that truncation or the tokenizer removed are not scored, for any model alike.
    """

    name: str = "word_accuracy"

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(n, 2)` int64; logits `(T, C)`."""
        scored = encoded.scored
        owners = encoded.label_examples[scored]
        right = owners[self.decide(logits)[scored] == encoded.labels[scored]]
        counts = [np.bincount(each, minlength=len(encoded)) for each in (right, owners)]
        return np.stack(counts, axis=1).astype(np.int64)

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Both models have the same words to tag."""
        counted = all(bool((each[:, 0] >= 0).all() and (each[:, 0] <= each[:, 1]).all()) for each in (first, second))
        return counted and bool((first[:, 1] == second[:, 1]).all())
