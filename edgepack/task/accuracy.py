"""Accuracy: one label for each text, the one with the largest logit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.task.encoded import Encoded


@dataclass(frozen=True)
class Accuracy:
    """The share of texts whose label is right; statistics (right, 1)."""

    name: str = "accuracy"

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
