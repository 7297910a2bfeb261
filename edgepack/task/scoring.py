"""What every metric gives: decisions, per-example statistics, and the metric as a ratio of their sums."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgepack.task.encoded import Encoded


class Metric(Protocol):
    """How one kind of task is decided and scored.

    Statistics are integers `(n, k)`, a row for each example. The metric is a ratio of two sums over examples that are
    linear in the statistics, which is what the bootstrap and the gate's score test rely on. Column 0 counts what is
    right.
    """

    @property
    def name(self) -> str:
        """As reports and manifests have it."""

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids, `(…, C) → (…)` int64."""

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """Counts `(n, k)` int64; logits in the flat layout."""

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the metric is the ratio of, `(…, k) → (…)` float64 each."""


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Quotients; 0 where the denominator is 0."""
    quotient = np.zeros(np.shape(bottom))
    np.divide(top, bottom, out=quotient, where=np.asarray(bottom) > 0)
    return quotient
