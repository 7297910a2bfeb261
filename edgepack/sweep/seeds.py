"""A figure over seeds, with an interval that holds what other seeds and other evaluation examples would change.

Each seed's figure has an interval of its own, which is the examples' part: they are the same for all seeds, so that
more seeds make it no narrower. What the seeds change is the t interval of their mean. The two are independent and are
put together end by end (Zou and Donner 2008, Statistics in Medicine 27:1693-1702, "Construction of confidence limits
about effect measures"):

    low = mean - √(examples² + seeds²),  examples² = the mean over seeds of (value - low)²,  seeds = t(n - 1) · s / √n

and likewise above. Seeds measured on the same few examples also differ by chance on each of them, which is in both
parts: the interval is rather too wide than too narrow, and never narrower than the seeds' own are on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from edgepack.machine.extras import import_package
from edgepack.task.intervals import Interval

CONFIDENCE = 0.95


class Figured(Protocol):
    """A figure with its interval: of a verdict, a manifest, a bootstrap."""

    @property
    def value(self) -> float: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def over_seeds(figures: Sequence[Figured]) -> Interval:
    """The mean of each seed's figure with its 95 % interval; one seed's is its own."""
    if not figures:
        raise ValueError("no seeds to take a mean of")
    count = len(figures)
    mean = math.fsum(figure.value for figure in figures) / count
    below, above = (
        math.sqrt(math.fsum((figure.value - end) ** 2 for figure, end in zip(figures, ends, strict=True)) / count)
        for ends in ([figure.low for figure in figures], [figure.high for figure in figures])
    )
    seeds = seeds_part([figure.value for figure in figures])
    return Interval(mean, mean - math.hypot(below, seeds), mean + math.hypot(above, seeds))


def seeds_part(values: Sequence[float]) -> float:
    """Half of the 95 % Student t interval of the mean, t(n - 1) · s / √n; 0 for one value, which tells nothing."""
    count = len(values)
    if count == 1:
        return 0.0
    mean = math.fsum(values) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    stats = import_package("scipy.stats", "an interval over seeds")
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation / math.sqrt(count)
