"""How far a metric can be trusted: bootstrap intervals of a metric, and of two models' ratio.

A metric is a function of summed per-example statistics (`task.scoring`), so a resampled metric is a resampled sum, and
confidence intervals cost matrix products instead of evaluations.

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


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % confidence interval."""

    value: float
    low: float
    high: float


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

    def quotient(sums: np.ndarray) -> np.ndarray:
        return ratio(task.metric(sums[..., :k]), task.metric(sums[..., k:]))

    return _bootstrap(np.concatenate([student_stats, teacher_stats], axis=1), quotient, resamples, seed)


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
