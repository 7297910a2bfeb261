"""Micro F1 of label sets: several labels for each text, or none, each by a threshold of its own.

A label is in the answer where its sigmoid probability is at or above its threshold. Thresholds are found on examples
that no figure is measured on: `find_thresholds` looks for the largest micro F1 there. Micro F1 is a ratio of sums over
labels, so the best thresholds for a given F are each label's own question (Dinkelbach 1967, "On Nonlinear Fractional
Programming"): the one with the largest 2 · right − F · answered. F is then what these give, until it does not change.
A label with few examples takes the threshold that all labels would share, since its own would be chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.probabilities import label_divergences, sigmoid
from edgepack.task.scoring import RatioMetric, f1_parts, f1_possible, ratio

EVEN = 0.5  # the threshold of whoever has none
LEAST_OWN = 20  # examples of a label that its own threshold is found on
LOWEST, HIGHEST = 0.01, 0.99
DECIMALS = 4  # of a threshold: an app reads it from JSON
ROUNDS = 20  # of Dinkelbach's method, which ends after four or five


@dataclass(frozen=True)
class LabelF1(RatioMetric):
    """F1 of all labels of all texts together; statistics (right, predicted, gold). No `thresholds`: 0.5 for each."""

    count: int  # of labels
    thresholds: tuple[float, ...] = ()
    name: str = "micro_f1"
    columns: int = 3

    @property
    def limits(self) -> np.ndarray:
        """A threshold for each label, `(C,)`."""
        return np.array(self.thresholds) if self.thresholds else np.full(self.count, EVEN)

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """1 for each label that is answered, `(…, C)` int64."""
        return np.asarray(self.probabilities(logits) >= self.limits, dtype=np.int64)

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(n, 3)` int64; logits `(n, C)`."""
        return self.label_statistics(logits, encoded).sum(axis=1)

    def label_statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """(right, predicted, gold) of each label, `(n, C, 3)` int64."""
        predicted, gold = self.decide(logits), encoded.labels.astype(np.int64)
        return np.stack([predicted & gold, predicted, gold], axis=-1)

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Twice the labels that are right, and those predicted with those there are."""
        return f1_parts(statistics)

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Both models have as many labels to find."""
        return f1_possible(first, second)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Each label's own."""
        return sigmoid(logits)

    def divergences(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """KL of the distributions over sets of independent labels."""
        return label_divergences(after, before)

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """The commonest labels, so many of them as give the largest F1."""
        gold = labels.sum(axis=0, dtype=np.int64)
        order = np.argsort(-gold, kind="stable")
        answered = len(labels) * np.arange(1, len(order) + 1)
        best = int(ratio(2 * gold[order].cumsum(), answered + gold.sum()).argmax())
        logits = np.full(self.count, -100, np.float32)
        logits[order[: best + 1]] = 100
        return logits

    def label_rows(self, labels: Sequence[Sequence[int]]) -> np.ndarray:
        """Sets as `(n, C)` int8."""
        rows = np.zeros((len(labels), self.count), np.int8)
        examples = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
        rows[examples, np.array([i for each in labels for i in each], np.int64)] = 1
        return rows


def micro_f1(answered: np.ndarray, gold: np.ndarray) -> float:
    """F1 of sets `(n, C)`, of all labels of all texts together; 0 where no label is there or answered."""
    return float(ratio(2 * (answered & gold).sum(), answered.sum() + gold.sum()))


def find_thresholds(logits: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    """A threshold for each label, by logits and label sets `(n, C)` of examples that nothing is measured on."""
    probabilities, gold = sigmoid(logits), labels.astype(bool)
    own = gold.sum(axis=0) >= LEAST_OWN
    found = np.full(logits.shape[1], EVEN)
    if gold.sum() < LEAST_OWN:
        return tuple(found.tolist())
    f1 = 0.0
    for _ in range(ROUNDS):
        shared = _best_threshold(probabilities.ravel(), gold.ravel(), f1)
        thresholds = np.full(len(found), shared)
        for label in np.flatnonzero(own):
            thresholds[label] = _best_threshold(probabilities[:, label], gold[:, label], f1)
        answered = probabilities >= thresholds
        after = micro_f1(answered, gold)
        if after <= f1:
            break
        f1, found = after, thresholds
    return tuple(found.tolist())


def _best_threshold(probabilities: np.ndarray, gold: np.ndarray, f1: float) -> float:
    """The threshold with the largest 2 · right − F · answered: midway between two probabilities, within the bounds."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    gains = np.concatenate([[0.0], np.cumsum(2.0 * gold[order] - f1)])
    ends = np.append(np.insert(ranked, 0, 1.0)[1:] < np.insert(ranked, 0, 1.0)[:-1], True)  # equal ones stay together
    gains[~ends] = -np.inf
    place = int(gains.argmax())  # so many are answered
    above = 1.0 if place == 0 else float(ranked[place - 1])
    below = 0.0 if place == len(ranked) else float(ranked[place])
    return round(min(max((above + below) / 2, LOWEST), HIGHEST), DECIMALS)
