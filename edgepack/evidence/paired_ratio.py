"""A score test for the ratio of two models' metrics on the same examples, and the interval that it gives.

The ratio is retention, θ = artifact's metric / teacher's. Each example has an artifact's value y and a teacher's
value x, whose means are the two metrics; under the hypothesis "the ratio is θ" the values g = y − θx have mean 0, and

    z(θ) = √n · mean(g) / √E[g²]

is standard normal. E[g²] is not taken from the sample but from its most likely distribution *among those of mean 0*
(empirical likelihood: Owen 2001). That distribution may hold outcomes which the sample does not have, "the artifact
loses what the teacher has right" and the reverse. Without them, two models that agree on all of 50 examples would
have an interval of no width; with them they have [50 / (50 + 1.96²), (50 + 1.96²) / 50].

For accuracy, y and x are 0 or 1 and this is the test of Nam and Blackwelder (2002, Statistics in Medicine 21:689-699,
"Analysis of the ratio of marginal probabilities in a matched-pair setting"): for two outcomes that is McNemar's
question, with a margin. For entity F1, a ratio of sums, y and x are the linear terms of the metric in the examples
(`Metric.terms`: the infinitesimal jackknife, Efron 1982), so that a sentence with five entities counts as one
observation and not as five. The outcome "loses what the teacher has right" is then a mixture: a sentence of the sample,
drawn at random, of which one model has every entity wrong. A correlation has such terms too (an answer that was lost is
the model's mean), and is tested on Fisher's scale besides (`differences`): of the two z the one nearer to 0 counts.
Scores may have tails so heavy that their error is underestimated; so of correlations z counts as Student's t, with as
many degrees of freedom as the kurtosis of g leaves (`t_distribution`).

Two additions hold the test to its level on few examples. The mean of g is taken half a step nearer to 0, a step being
what one example moves it by (Yates' correction). And where the artifact is worse on *no* example, an exact bound
replaces the normal one: of the `m` examples on which the teacher has something right a share 1 − θ would have been
lost, and none was, which has the probability θᵐ (Clopper and Pearson 1934). For two models without a fault on 50
examples the interval begins at 0.025^(1 / 50) = 0.929.

How often the test is wrong is measured by `python -m benchmarks gate-statistics` (docs/gate.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from edgepack.evidence.t_distribution import as_normal, as_student, degrees_of_freedom
from edgepack.task.task import Task

HALVINGS = 60  # of a bisection: an interval of 1 to a double's precision
NEARLY = 1e-10
HIGHEST = 1 - 1e-9  # of a correlation, above which Fisher's z has no number
WIDEST_RATIO = 1e4  # an interval's upper end where the teacher has next to nothing right


@dataclass(frozen=True, eq=False)
class PairedRows:
    """Distinct rows of statistics with their `counts (m,)`; `artifact` and `teacher (m, k)` as `Task.statistics`."""

    artifact: np.ndarray
    teacher: np.ndarray
    counts: np.ndarray

    @property
    def n(self) -> int:
        """Number of examples."""
        return int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class PairedValues:
    """Values of both models `(m,)` with weights that add up to 1, and of "one model answers nothing" `(m,)`."""

    artifact: np.ndarray
    teacher: np.ndarray
    weights: np.ndarray
    artifact_lost: np.ndarray
    teacher_lost: np.ndarray
    artifact_could_lose: np.ndarray  # weights of the rows on which the other model has something right
    teacher_could_lose: np.ndarray
    artifact_safe: int  # examples on which the artifact could have been worse, where it is worse on none; else 0
    teacher_safe: int
    artifact_step: float  # how far a single example moves the value
    teacher_step: float
    n: int
    correlations: bool = False


def paired_rows(artifact: np.ndarray, teacher: np.ndarray) -> PairedRows:
    """Equal rows of two models' statistics `(n, k)` put together."""
    if artifact.shape != teacher.shape:
        raise ValueError(f"statistics of different examples: {artifact.shape} and {teacher.shape}")
    if len(artifact) == 0:
        raise ValueError("no examples to compare two models on")
    both = np.concatenate([artifact, teacher], axis=1)
    sizes = tuple(both.max(axis=0) + 1) if both.dtype.kind == "i" else ()
    if sizes and math.prod(int(size) for size in sizes) < 2**62:  # a row as one number, which is sorted much faster
        keys, counts = np.unique(np.ravel_multi_index(tuple(both.T), sizes), return_counts=True)
        rows = np.stack(np.unravel_index(keys, sizes), axis=1)
    else:
        rows, counts = np.unique(both, axis=0, return_counts=True)
    k = artifact.shape[1]
    return PairedRows(rows[:, :k], rows[:, k:], counts)


def difference_interval(rows: PairedRows, task: Task, confidence: float) -> tuple[float, float]:
    """The artifact's metric less the other's as a two-sided interval, by the metrics' linear terms in each row."""
    weights, terms = rows.counts / rows.n, np.zeros(len(rows.counts))
    for sign, statistics in ((1, rows.artifact), (-1, rows.teacher)):
        terms += sign * task.scoring.terms(statistics, rows.counts)
    middle = task.metric(rows.artifact, rows.counts) - task.metric(rows.teacher, rows.counts)
    error = math.sqrt(max(0.0, float(weights @ (terms - weights @ terms) ** 2)) / rows.n)
    reach = normal_quantile(confidence)
    if task.scoring.correlates:
        reach = as_student(reach, degrees_of_freedom(terms, weights, rows.n))
    return middle - reach * error, middle + reach * error


def paired_values(rows: PairedRows, task: Task) -> PairedValues:
    """What the test is computed from."""
    weights, metric = rows.counts / rows.n, task.scoring
    safe = _safe_examples(rows, task)
    return PairedValues(
        artifact=metric.terms(rows.artifact, rows.counts),
        teacher=metric.terms(rows.teacher, rows.counts),
        weights=weights,
        artifact_lost=metric.terms(rows.artifact, rows.counts, metric.lost(rows.artifact, rows.counts)),
        teacher_lost=metric.terms(rows.teacher, rows.counts, metric.lost(rows.teacher, rows.counts)),
        artifact_could_lose=_shares_right(rows.teacher, weights, task),
        teacher_could_lose=_shares_right(rows.artifact, weights, task),
        artifact_safe=safe[0],
        teacher_safe=safe[1],
        artifact_step=metric.step(rows.artifact, rows.counts),
        teacher_step=metric.step(rows.teacher, rows.counts),
        n=rows.n,
        correlations=metric.correlates,
    )


def _shares_right(statistics: np.ndarray, weights: np.ndarray, task: Task) -> np.ndarray:
    """Weights of the rows on which a model has something to lose, adding up to 1."""
    shares = np.where(task.scoring.could_lose(statistics), weights, 0)
    return shares / shares.sum() if shares.any() else shares


def _safe_examples(rows: PairedRows, task: Task) -> tuple[int, int]:
    """Examples on which one model could have been worse than the other, where it is on none; else 0."""
    metric, sides = task.scoring, (rows.artifact, rows.teacher)
    own, other = (int(rows.counts[metric.could_lose(side)].sum()) for side in sides)
    lost, gained = metric.worse(*sides).any(), metric.worse(*reversed(sides)).any()
    return (0 if lost else other), (0 if gained else own)


def ratio_of(values: PairedValues) -> float:
    """Retention; the teacher's metric must not be 0. A correlation below 0 keeps nothing."""
    return max(0.0, float(values.weights @ values.artifact / (values.weights @ values.teacher)))


def differences(values: PairedValues, ratio: float) -> np.ndarray:
    """g of each row `(m,)`: the artifact's value less `ratio` times the teacher's.

    Of correlations it is the difference of Fisher's z, arctanh, of the two, in its linear terms (Fisher 1921, Metron
    1:3-32): a correlation near 1 has errors that reach further down than up, and on this scale they do not.
    """
    if not values.correlations:
        return values.artifact - ratio * values.teacher
    means = float(values.weights @ values.artifact), ratio * float(values.weights @ values.teacher)
    a, b = (min(max(mean, -HIGHEST), HIGHEST) for mean in means)
    # slopes of arctanh; of a ratio above the measured one that at the artifact's, or the error would grow without end
    slopes = 1 / (1 - a**2), 1 / (1 - min(a, b) ** 2)
    moved = slopes[0] * (values.artifact - means[0]) - slopes[1] * (ratio * values.teacher - means[1])
    return np.asarray(math.atanh(a) - math.atanh(b) + moved)


def score(values: PairedValues, ratio: float) -> float:
    """z at a ratio: above 0 where the artifact is better than `ratio` times the teacher.

    Of correlations the nearer to 0 of two: on Fisher's scale, and on their own one, which knows of answers that were
    lost and not seen.
    """
    if not values.correlations:
        return _score(values, ratio, null_variance(values, ratio))
    if ratio * float(values.weights @ values.teacher) >= HIGHEST:  # no correlation is so high
        return -math.inf
    scales = values, replace(values, correlations=False)
    return min((_t_score(each, ratio) for each in scales), key=abs)


def _t_score(values: PairedValues, ratio: float) -> float:
    """z of a correlation on one scale, whose error is estimated from values that may be far out."""
    freedom = degrees_of_freedom(differences(values, ratio), values.weights, values.n)
    return as_normal(_score(values, ratio, null_variance(values, ratio)), freedom)


def _score(values: PairedValues, ratio: float, variance: float) -> float:
    mean = float(values.weights @ differences(values, ratio))
    half_step = (values.artifact_step + ratio * values.teacher_step) / 4
    nearer = max(0.0, abs(mean) - half_step / values.n)
    return math.copysign(nearer * math.sqrt(values.n / variance), mean) if nearer and variance else 0.0


def null_variance(values: PairedValues, ratio: float) -> float:
    """E[g²] in the most likely distribution under which the ratio is `ratio`; on Fisher's scale of what was seen."""
    g = differences(values, ratio)
    below = values.weights @ g < 0  # the mirror image: the teacher has to lose
    g = -g if below else g
    if values.correlations:
        return _tilted_second_moment(g, values.weights, math.inf, 0.0)
    if below:
        lost, shares = ratio * values.teacher_lost - values.artifact, values.teacher_could_lose
    else:
        lost, shares = values.artifact_lost - ratio * values.teacher, values.artifact_could_lose
    return _tilted_second_moment(g, values.weights, float(shares @ lost), float(shares @ lost**2))


def _tilted_second_moment(g: np.ndarray, weights: np.ndarray, lost: float, lost_squared: float) -> float:
    """E[g²] of the distribution of mean 0 that makes a sample of mean above 0 most likely.

    The weights become w / (1 + λg), λ ≥ 0. The outcome `lost`, which has not been seen, gets a share where λ would pass
    −1 / `lost` without it.
    """
    lowest = min(float(g.min()), lost)
    if lowest >= 0:  # nothing could be lost: no distribution of mean 0 is near
        return float(weights @ g**2)
    end = -1 / lowest
    if lost < float(g.min()) * (1 + NEARLY) and weights @ (g / (1 + end * g)) >= 0:
        tilted = weights / (1 + end * g)
        return float(tilted @ g**2 + (1 - tilted.sum()) * lost_squared)
    tilted = weights / (1 + _tilt(g, weights, end) * g)
    return float(tilted @ g**2 / tilted.sum())


def _tilt(g: np.ndarray, weights: np.ndarray, end: float) -> float:
    """The λ from 0 to `end` at which Σ wg / (1 + λg), which falls with λ, is 0: Newton's steps, kept inside."""
    low, high, tilt = 0.0, end, 0.0
    for _ in range(HALVINGS):
        parts = g / (1 + tilt * g)
        mean, slope = float(weights @ parts), float(weights @ parts**2)
        low, high = (tilt, high) if mean > 0 else (low, tilt)
        step = tilt + mean / slope
        after = step if low < step < high else (low + high) / 2
        if abs(after - tilt) <= NEARLY * end:
            return after
        tilt = after
    return tilt


def refused(values: PairedValues, ratio: float, confidence: float) -> Literal["as too low", "as too high"] | None:
    """Whether a two-sided test at `confidence` refuses a ratio; None: the interval holds it."""
    z, tail = normal_quantile(confidence), (1 - confidence) / 2
    found = score(values, ratio)
    if found >= z or 0 < _exact_bound(values.artifact_safe, tail) >= ratio:
        return "as too low"
    if found <= -z or 0 < _exact_bound(values.teacher_safe, tail) >= 1 / ratio:
        return "as too high"
    return None


def ratio_interval(values: PairedValues, confidence: float) -> tuple[float, float]:
    """All ratios that a two-sided test at `confidence` does not refuse, from the lowest to the highest."""
    z, tail = normal_quantile(confidence), (1 - confidence) / 2
    middle = ratio_of(values)
    lower = 0.0 if middle <= 0 else _crossing(values, z, middle, 0.0)
    upper = WIDEST_RATIO if score(values, WIDEST_RATIO) > -z else _crossing(values, z, middle, WIDEST_RATIO)
    exact = _exact_bound(values.artifact_safe, tail), _exact_bound(values.teacher_safe, tail)
    return max(lower, exact[0]), min(upper, 1 / exact[1] if exact[1] else WIDEST_RATIO)


def _exact_bound(safe: int, tail: float) -> float:
    """The lowest ratio of which `safe` examples without a loss are no rarer than `tail`; 0 where there is no such."""
    return tail ** (1 / safe) if safe else 0.0


def normal_quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval reaches to each side: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _crossing(values: PairedValues, z: float, inside: float, outside: float) -> float:
    """Where the score passes ±z between a ratio of the interval and one beyond it."""
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if abs(score(values, middle)) < z else (inside, middle)
    return inside
