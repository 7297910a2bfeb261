"""What a task is: labels, decision, metric, and how far a metric can be trusted.

A metric is a function of summed per-example integer statistics: accuracy of (correct, 1), entity F1 of
(true positives, predicted, gold). So a resampled metric is a resampled sum, and confidence intervals cost
matrix products instead of evaluations.

Intervals are percentile bootstraps (Efron and Tibshirani 1993, ch. 13); retention is resampled in pairs, the
same examples for student and teacher (Koehn 2004, "Statistical Significance Tests for Machine Translation
Evaluation"). Examples with equal statistics are interchangeable, so drawing how often each *distinct* row
occurs from one multinomial is the same distribution as drawing examples, at a fraction of the cost.

Entities are read from BIO tags as seqeval's default mode does: an `I-` after `O` or after another type starts
an entity. Words that truncation or the tokenizer removed are not scored, for any model alike. Other tagging
schemes (BIOES), regression and multi-label tasks are not supported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.schemes import scheme_of_labels

TaskName = Literal["text-classification", "token-classification"]
TASK_NAMES: tuple[TaskName, ...] = ("text-classification", "token-classification")
BIO_TAG = re.compile(r"O|[BI](-.+)?")
CHUNK = 1_000  # resamples drawn at once; with some hundred distinct rows this is a few MB


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Task:
    """A classification task; `labels` in the order of the teacher's class ids."""

    name: TaskName
    labels: tuple[str, ...]
    pair: bool = False

    def __post_init__(self) -> None:
        if self.name not in TASK_NAMES:
            raise InputError(f"task is {self.name!r}; allowed: {', '.join(TASK_NAMES)}")
        if self.name == "token-classification":
            bad = [label for label in self.labels if not BIO_TAG.fullmatch(label)]
            if bad:
                scheme = scheme_of_labels(self.labels) or "unknown"
                raise InputError(
                    f"label {shown(bad[0])} is not a BIO tag (scheme of the labels: {scheme}); "
                    "token classification needs O, B-type or I-type"
                )
            if self.pair:
                raise InputError("token classification takes one text, not a pair; leave the pair column out")

    @property
    def metric_name(self) -> str:
        """`accuracy` or `entity_f1`."""
        return "accuracy" if self.name == "text-classification" else "entity_f1"

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids of the largest logits, `(…, C) → (…)` int64."""
        return np.asarray(logits.argmax(axis=-1), dtype=np.int64)

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """Per-example counts `(n, k)` int64 that `metric` is a function of; logits in the flat layout."""
        if len(logits) != len(encoded.labels):
            raise ValueError(f"{len(logits)} rows of logits for {len(encoded.labels)} labels")
        decided = self.decide(logits)
        if self.name == "text-classification":
            return np.stack([decided == encoded.labels, np.ones(len(decided))], axis=1).astype(np.int64)
        scored = encoded.labels != IGNORED
        example = encoded.label_examples[scored]
        gold = self._spans(encoded.labels[scored], example)
        predicted = self._spans(decided[scored], example)
        found = (gold == predicted).all(axis=1) & (gold[:, 0] > 0)
        hits = (found, predicted[:, 0] > 0, gold[:, 0] > 0)
        counts = [np.bincount(example[hit], minlength=len(encoded)) for hit in hits]
        return np.stack(counts, axis=1).astype(np.int64)

    def metric(self, sums: np.ndarray) -> np.ndarray:
        """The metric of summed statistics, `(…, k) → (…)` float64; 0 where it is undefined."""
        return _ratio(*self.metric_parts(sums))

    def metric_parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the metric is the ratio of, `(…, k) → (…)` float64 each; both are sums over examples."""
        statistics = np.asarray(statistics, dtype=np.float64)
        if self.name == "text-classification":
            return statistics[..., 0], statistics[..., 1]
        return 2 * statistics[..., 0], statistics[..., 1] + statistics[..., 2]

    def nothing_right(self, statistics: np.ndarray) -> np.ndarray:
        """The statistics of a model whose answers are as many and all wrong."""
        changed = statistics.copy()
        changed[..., 0] = 0
        return changed

    def score(self, logits: np.ndarray, encoded: Encoded) -> float:
        """The metric of a whole data set; logits in the flat layout."""
        return float(self.metric(self.statistics(logits, encoded).sum(axis=0)))

    @cached_property
    def _tag_table(self) -> tuple[np.ndarray, np.ndarray]:
        """For each class id: its entity type (0 is outside), and whether it begins an entity by itself."""
        types: dict[str, int] = {}
        type_ids = [0 if t == "O" else types.setdefault(t[2:], len(types) + 1) for t in self.labels]
        return np.array(type_ids), np.array([t.startswith("B") for t in self.labels])

    def _spans(self, tags: np.ndarray, example: np.ndarray) -> np.ndarray:
        """`(words, 2)`: at each word that starts an entity its type (from 1) and its end, elsewhere zeros."""
        types, begins = self._tag_table
        kind = types[tags]
        same = np.zeros(len(tags), dtype=bool)
        same[1:] = (kind[1:] == kind[:-1]) & (example[1:] == example[:-1])
        continues = same & (kind > 0) & ~begins[tags]
        starts = np.flatnonzero((kind > 0) & ~continues)
        breaks = np.append(np.flatnonzero(~continues), len(tags))
        spans = np.zeros((len(tags), 2), dtype=np.int64)
        spans[starts, 0] = kind[starts]
        spans[starts, 1] = breaks[np.searchsorted(breaks, starts, side="right")]
        return spans


def metric_interval(stats: np.ndarray, task: Task, resamples: int = 10_000, seed: int = 0) -> Interval:
    """The metric of per-example statistics `(n, k)` with its 95 % bootstrap interval."""
    return _bootstrap(stats, task.metric, resamples, seed)


def retention(
    student_stats: np.ndarray, teacher_stats: np.ndarray, task: Task, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Student metric / teacher metric on the same examples, with its 95 % paired bootstrap interval.

    0 where the teacher's metric is 0.
    """
    if student_stats.shape != teacher_stats.shape:
        raise ValueError(f"statistics of different examples: {student_stats.shape} and {teacher_stats.shape}")
    k = student_stats.shape[1]

    def ratio(sums: np.ndarray) -> np.ndarray:
        return _ratio(task.metric(sums[..., :k]), task.metric(sums[..., k:]))

    return _bootstrap(np.concatenate([student_stats, teacher_stats], axis=1), ratio, resamples, seed)


def _bootstrap(stats: np.ndarray, figure: Callable[[np.ndarray], np.ndarray], resamples: int, seed: int) -> Interval:
    if len(stats) == 0:
        raise ValueError("no examples to take an interval of")
    distinct, counts = np.unique(stats, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = [
        figure(generator.multinomial(len(stats), counts / len(stats), size=min(CHUNK, resamples - done)) @ distinct)
        for done in range(0, resamples, CHUNK)
    ]
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5])
    return Interval(float(figure(stats.sum(axis=0))), float(low), float(high))


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    quotient = np.zeros(np.shape(bottom))
    np.divide(top, bottom, out=quotient, where=np.asarray(bottom) > 0)
    return quotient
