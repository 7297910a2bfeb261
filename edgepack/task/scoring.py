"""What every metric gives: decisions, statistics of each example, and the metric as a function of these.

A metric is a function of rows of statistics and of how often each row is there. That is all that a bootstrap needs: it
draws how often. The gate's paired test needs each row's linear term besides (the infinitesimal jackknife, Efron 1982),
which says how far one more row like it would move the metric. `RatioMetric` gives both for every ratio of two sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.reading.problem import MULTI_LABEL, PROBLEMS, REGRESSION, SINGLE_LABEL, Problem

__all__ = [
    "MULTI_LABEL",
    "PROBLEMS",
    "REGRESSION",
    "SINGLE_LABEL",
    "Metric",
    "Problem",
    "RatioMetric",
    "commonest",
    "f1_parts",
    "f1_possible",
    "ratio",
    "recorded_problem",
]


def recorded_problem(problem: str | None) -> Literal["multi_label_classification", "regression"] | None:
    """The problem as configs and manifests have it: None where a text, or a word, has one label."""
    return MULTI_LABEL if problem == MULTI_LABEL else REGRESSION if problem == REGRESSION else None


class Metric(Protocol):
    """How one kind of task is decided and scored.

    Statistics are finite numbers `(n, k)`, a row for each example; `counts (m,)` say how often each row is there.
    """

    @property
    def name(self) -> str:
        """As reports and manifests have it."""

    @property
    def columns(self) -> int:
        """How many statistics an example has."""

    @property
    def counted(self) -> bool:
        """Whether statistics are counts, and not any finite numbers."""

    @property
    def correlates(self) -> bool:
        """Whether it is a correlation, whose errors are even on Fisher's scale and not on its own."""

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids, `(…, C) → (…)` int64; of label sets 1 for each label that is in it, `(…, C)`; or the score."""

    def differ(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Where two models decide otherwise, of their decisions in one order: bool, in their shape."""

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """Numbers `(n, k)`, int64 where they count something; logits in the flat layout."""

    def value(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The metric of rows `(m, k)` with counts `(…, m)`: `(…)` float64, from 0 to 1; 0 where it is undefined."""

    def terms(self, statistics: np.ndarray, counts: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
        """Each row's linear term `(m,)` in the metric of `statistics (m, k)`; its weighted mean is the metric.

        With `at`, the terms of these rows instead, in the metric of `statistics`.
        """

    def lost(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The statistics `(m, k)` of a model whose answers are as many, and none of them tells anything."""

    def could_lose(self, statistics: np.ndarray) -> np.ndarray:
        """On which rows a model has something that it could lose, bool `(m,)`."""

    def worse(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """On which rows the first model could be called worse than the second, bool `(m,)`."""

    def step(self, statistics: np.ndarray, counts: np.ndarray) -> float:
        """How far a single row moves the metric, at most, times their number; 0 where it may move it by anything."""

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Whether two models' statistics `(m, k)` can be of the same examples."""

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """What is shown of each label, `(…, C)` float64: its probability, or the score."""

    def divergences(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """KL(before ‖ after) of rows of logits `(rows, C)`, in nats `(rows,)`."""

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """Logits `(C,)` of the best constant answer to the labels of examples or words."""

    def label_rows(self, labels: Sequence[Any]) -> np.ndarray:
        """Labels of whole texts, as `Example` has them, as `Encoded` has them."""


class RatioMetric:
    """A metric that is a ratio of two sums over examples. Column 0 of its statistics counts what is right."""

    counted: ClassVar[bool] = True
    correlates: ClassVar[bool] = False

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the metric is the ratio of, `(…, k) → (…)` each."""
        raise NotImplementedError

    def differ(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Where decisions are not the same ones."""
        return np.asarray(after != before)

    def value(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The ratio of the sums."""
        return ratio(*self.parts(np.asarray(counts @ statistics, dtype=np.float64)))

    def terms(self, statistics: np.ndarray, counts: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
        """The ratio, and what a row adds to the numerator above its share in the denominator."""
        weights = counts / counts.sum()
        top, bottom = self.parts(np.asarray(statistics, dtype=np.float64))
        size = weights @ bottom
        if not size > 0:  # undefined, and no row moves it
            return np.zeros(len(top))
        metric = weights @ top / size
        if at is not None:
            top, bottom = self.parts(np.asarray(at, dtype=np.float64))
        return np.asarray(metric + (top - metric * bottom) / size)

    def lost(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """As many answers, all wrong."""
        changed = statistics.copy()
        changed[..., 0] = 0
        return changed

    def could_lose(self, statistics: np.ndarray) -> np.ndarray:
        """Where something is right."""
        return np.asarray(self.parts(statistics)[0] > 0)

    def worse(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Where less is right, or as much of more answers."""
        (top, bottom), (other_top, other_bottom) = self.parts(first), self.parts(second)
        return np.asarray((top < other_top) | ((top == other_top) & (bottom > other_bottom)))

    def step(self, statistics: np.ndarray, counts: np.ndarray) -> float:
        """1 for accuracy, more for sentences of uneven size: the mean over sentences drawn by their size.

        A larger sentence is the likelier to differ.
        """
        sizes, weights = self.parts(np.asarray(statistics, dtype=np.float64))[1], counts / counts.sum()
        size = float(weights @ sizes)
        return float(weights @ sizes**2) / size**2 if size else 0.0


class CorrelationMetric:
    """A correlation of scores with the data's. Column 0 of its statistics is the model's score, column 1 the data's."""

    counted: ClassVar[bool] = False
    correlates: ClassVar[bool] = True

    def lost(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Every answer is the mean of the model's answers."""
        changed = statistics.copy()
        changed[:, 0] = counts @ statistics[:, 0] / counts.sum()
        return changed

    def could_lose(self, statistics: np.ndarray) -> np.ndarray:
        """Everywhere."""
        return np.ones(len(statistics), bool)

    def worse(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Everywhere: of scores and ranks there is no exact count of what was lost."""
        return np.ones(len(first), bool)

    def step(self, statistics: np.ndarray, counts: np.ndarray) -> float:
        """A row moves it by anything."""
        return 0.0

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Both models have the same true scores."""
        return bool((first[:, 1] == second[:, 1]).all())


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Quotients; 0 where the denominator is 0."""
    quotient = np.zeros(np.shape(bottom))
    np.divide(top, bottom, out=quotient, where=np.asarray(bottom) > 0)
    return quotient


def commonest(labels: np.ndarray, count: int) -> np.ndarray:
    """Logits `(count,)` that decide for the commonest of the class ids."""
    logits = np.zeros(count, np.float32)
    logits[int(np.bincount(labels, minlength=count).argmax())] = 1
    return logits


def f1_parts(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (right, predicted, gold): twice what is right, and what is predicted with what there is."""
    return 2 * statistics[..., 0], statistics[..., 1] + statistics[..., 2]


def f1_possible(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether (right, predicted, gold) of two models can be of the same examples."""
    whole = all((each[:, :1] <= each[:, 1:]).all() for each in (first, second))
    return bool(whole and (first[:, -1] == second[:, -1]).all())
