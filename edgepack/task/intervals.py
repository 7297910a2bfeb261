"""How far a metric can be trusted: bootstrap intervals of a metric, and of two models' ratio.

A metric is a function of per-example statistics and of how often each is there (`task.scoring`), so a resample is a
vector of counts, and confidence intervals cost matrix products instead of evaluations.

Intervals are percentile bootstraps (Efron and Tibshirani 1993, ch. 13); retention is resampled in pairs, the
same examples for student and teacher (Koehn 2004, "Statistical Significance Tests for Machine Translation
Evaluation"). Examples with equal statistics are interchangeable, so drawing how often each *distinct* row
occurs from one multinomial is the same distribution as drawing examples, at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgepack.task.scoring import ratio
from edgepack.task.task import Task

CHUNK = 1_000  # resamples drawn at once; with some hundred distinct rows this is a few MB
MOST_COUNTS = 5_000_000  # of rows and resamples that are drawn at once: 40 MB
MOST_DRAWN, FEWEST = 20_000_000, 1_000  # of scores every row is distinct: fewer resamples, which take seconds
Figure = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows (m, k) and counts (…, m) → (…)


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % confidence interval."""

    value: float
    low: float
    high: float


def metric_interval(stats: np.ndarray, task: Task, resamples: int = 10_000, seed: int = 0) -> Interval:
    """The metric of per-example statistics `(n, k)` with its 95 % bootstrap interval."""
    return bootstrap(stats, task.scoring.value, resamples, seed)


def retention(
    student_stats: np.ndarray, teacher_stats: np.ndarray, task: Task, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Student metric / teacher metric on the same examples, with its 95 % paired bootstrap interval.

    0 where the teacher's metric is 0.
    """
    if student_stats.shape != teacher_stats.shape:
        raise ValueError(f"statistics of different examples: {student_stats.shape} and {teacher_stats.shape}")
    k = student_stats.shape[1]

    def quotient(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return ratio(task.scoring.value(rows[:, :k], counts), task.scoring.value(rows[:, k:], counts))

    return bootstrap(np.concatenate([student_stats, teacher_stats], axis=1), quotient, resamples, seed)


def bootstrap(stats: np.ndarray, figure: Figure, resamples: int, seed: int) -> Interval:
    """A figure of per-example statistics `(n, k)`, by distinct rows and counts, with its 95 % interval."""
    if len(stats) == 0:
        raise ValueError("no examples to take an interval of")
    distinct, counts = np.unique(stats, axis=0, return_counts=True)
    generator, chunk = np.random.default_rng(seed), max(1, min(CHUNK, MOST_COUNTS // len(distinct)))
    resamples = min(resamples, max(FEWEST, MOST_DRAWN // len(distinct)))
    drawn = [
        figure(distinct, generator.multinomial(len(stats), counts / len(stats), size=min(chunk, resamples - done)))
        for done in range(0, resamples, chunk)
    ]
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5])
    return Interval(float(figure(distinct, counts)), float(low), float(high))
