"""Scores: one number for each text, or for each pair of texts; how well they follow the data's, or rank candidates.

Without queries the metric is Pearson's correlation: it asks whether scores rise and fall together, whatever their
scale. It is a smooth function of means, so a bootstrap of examples holds, and each example has a linear term in it: the
jackknife's (Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", chapter 2), or for an example that
is not there the influence function's (Devlin et al. 1975, Biometrika 62:531-545, equation 3.2). A correlation below 0,
and that of a constant, is 0 here: such a model tells nothing.

With queries (a reranker: pairs of a query and a candidate) it is nDCG@10 (`ranking.ndcg`), the mean over queries that
have a candidate worth anything. A query is one observation and one row of statistics, so that a bootstrap of rows draws
queries and the gate's test counts each of them once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.probabilities import sigmoid
from edgepack.task.ranking import ndcg
from edgepack.task.scoring import CorrelationMetric, RatioMetric

Activation = Literal["identity", "sigmoid"]  # what turns the one logit into the score
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
CONSTANT = 1e-9  # a spread below this share of the largest value is rounding
AGREED = 0.25  # standard deviations of the scores, by which two may differ and agree
RANKED = 10  # candidates that nDCG looks at


def score_divergences(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Half of the squared differences of scores `(rows, 1)`: KL of normal distributions of variance 1, in nats."""
    return np.asarray((after[:, 0].astype(np.float64) - before[:, 0]) ** 2 / 2)


@dataclass(frozen=True)
class Scores:
    """What all metrics of scores share; logits are `(…, 1)`."""

    counted: ClassVar[bool] = False
    activation: Activation = "identity"

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """The score, `(…, 1) → (…)` float64."""
        return self.probabilities(logits)[..., 0]

    def differ(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Where scores `(n,)` are further apart than a quarter of the standard deviation of the second ones."""
        return np.asarray(np.abs(after - before) > AGREED * np.std(before))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """The score, with the axis of the label."""
        return sigmoid(logits) if self.activation == "sigmoid" else logits.astype(np.float64)

    def divergences(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """KL of two normal distributions of variance 1 around the scores: half of the squared difference."""
        return score_divergences(self.probabilities(after), self.probabilities(before))

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """Any constant is as good as another."""
        return np.zeros(1, np.float32)

    def label_rows(self, labels: Sequence[float]) -> np.ndarray:
        """Scores `(n,)` float64."""
        return np.asarray(labels, dtype=np.float64)


@dataclass(frozen=True)
class Correlation(CorrelationMetric, Scores):
    """Pearson's correlation of scores; statistics (the model's score, the data's)."""

    name: str = "pearson"
    columns: int = 2

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(n, 2)` float64; logits `(n, 1)`."""
        return np.stack([self.decide(logits), encoded.labels.astype(np.float64)], axis=1)

    def value(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The correlation of rows `(m, 2)` with counts `(…, m)`, from 0 to 1; 0 where either side is constant."""
        moments = self._moments(statistics)
        total = np.maximum(counts.sum(axis=-1), 1e-300)
        x, y, xx, yy, xy = (np.asarray(counts @ moment, np.float64) / total for moment in moments)
        spread = [np.maximum(square - mean**2, 0) for square, mean in ((xx, x), (yy, y))]
        least = CONSTANT**2
        there = (spread[0] > least) & (spread[1] > least)
        found = np.zeros(np.shape(x))
        np.divide(xy - x * y, np.sqrt(spread[0] * spread[1]), out=found, where=there)
        return np.asarray(np.clip(found, 0, 1))

    def terms(self, statistics: np.ndarray, counts: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
        """The jackknife's pseudo-values, moved to the mean r: n r less (n − 1) times r without one such row.

        Below 0 too where the two oppose each other. With `at` r + z_x z_y − r (z_x² + z_y²) / 2 of standardized scores.
        """
        n = counts.sum()
        centred = statistics - counts @ statistics / n
        scale = np.abs(statistics).max(axis=0)
        known = np.sqrt(counts @ centred**2 / n) > CONSTANT * scale
        if not known.all():
            return np.zeros(len(statistics if at is None else at))
        xx, yy = counts @ centred**2
        xy = float(counts @ centred.prod(axis=1))
        r = xy / math.sqrt(xx * yy)
        if at is not None:
            z = (at - counts @ statistics / n) / np.sqrt(np.array([xx, yy]) / n)
            return np.asarray(r + z[:, 0] * z[:, 1] - r / 2 * (z**2).sum(axis=1))
        left = n / max(n - 1, 1) * centred
        rest = np.maximum((xx, yy) - left * centred, 0)  # sums of squares without one such row
        size = np.sqrt(rest[:, 0] * rest[:, 1])
        without = np.divide(xy - left[:, 0] * centred[:, 1], size, out=np.full(len(size), r), where=size > 0)
        terms = n * r - (n - 1) * without
        return np.asarray(terms - counts @ terms / n + r)

    def _moments(self, statistics: np.ndarray) -> tuple[np.ndarray, ...]:
        """x, y, x², y², xy of each row; x and y from their means on, as shares of their largest value."""
        values = np.asarray(statistics, dtype=np.float64)
        centred = (values - values.mean(axis=0)) / np.maximum(np.abs(values).max(axis=0), 1e-300)
        x, y = centred.T
        return x, y, x * x, y * y, x * y


@dataclass(frozen=True)
class Ranking(Scores, RatioMetric):
    """nDCG@10 of each query's candidates; statistics (nDCG, 1) of each query."""

    name: str = f"ndcg_at_{RANKED}"
    columns: int = 2

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(queries, 2)` float64; logits `(n, 1)`. One without a candidate that is worth anything counts nowhere."""
        if encoded.groups is None:
            raise ValueError("a ranking needs the query of each example")
        scores, gains = self.decide(logits), encoded.labels
        order = np.argsort(encoded.groups, kind="stable")
        starts = np.flatnonzero(np.diff(encoded.groups[order], prepend=-1))
        queries = [members for members in np.split(order, starts[1:]) if gains[members].max() > 0]
        found = [ndcg(scores[members], gains[members], RANKED) for members in queries]
        return np.stack([np.array(found, np.float64), np.ones(len(found))], axis=1)

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sum over queries, and their number."""
        return statistics[..., 0], statistics[..., 1]

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Both models have the same queries, and no figure is above 1."""
        shares = (bool(((each[:, 0] >= 0) & (each[:, 0] <= 1)).all()) for each in (first, second))
        return all(shares) and bool((first[:, 1] == 1).all() and (second[:, 1] == 1).all())
