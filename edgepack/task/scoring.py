"""What every metric gives: decisions, per-example statistics, and the metric as a ratio of their sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np

from edgepack.task.encoded import Encoded

Problem = Literal["single_label_classification", "multi_label_classification"]  # transformers' own words
PROBLEMS: tuple[Problem, ...] = get_args(Problem)
SINGLE_LABEL: Literal["single_label_classification"] = "single_label_classification"
MULTI_LABEL: Literal["multi_label_classification"] = "multi_label_classification"


class Metric(Protocol):
    """How one kind of task is decided and scored.

    Statistics are integers `(n, k)`, a row for each example. The metric is a ratio of two sums over examples that are
    linear in the statistics, which is what the bootstrap and the gate's score test rely on. Column 0 counts what is
    right.
    """

    @property
    def name(self) -> str:
        """As reports and manifests have it."""

    @property
    def columns(self) -> int:
        """How many statistics an example has."""

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids, `(…, C) → (…)` int64; of label sets 1 for each label that is in it, `(…, C)`."""

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """Counts `(n, k)` int64; logits in the flat layout."""

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the metric is the ratio of, `(…, k) → (…)` float64 each."""

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Whether two models' statistics `(m, k)` can be of the same examples."""

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Of each label, `(…, C)` float64."""

    def divergences(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """KL(before ‖ after) of rows of logits `(rows, C)`, in nats `(rows,)`."""

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """Logits `(C,)` of the best constant answer to the labels of examples or words."""

    def label_rows(self, labels: Sequence[Any]) -> np.ndarray:
        """Labels of whole texts, as `Example` has them, as `Encoded` has them."""


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
