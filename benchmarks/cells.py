"""A build's figures as cells of a table: an interval, minutes, a shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.building import Result
from edgepack.task.intervals import Interval

SHAPE_HEADER = "layers × heads × FFN, embedding, tokens, bits"


def with_bounds(interval: Interval, pattern: str) -> str:
    """`99.4% (97.7% to 101.0%)`; without bounds where there are none."""
    value, low, high = (format(x, pattern) for x in (interval.value, interval.low, interval.high))
    return value if math.isnan(interval.low) else f"{value} ({low} to {high})"


def build_time(results: Sequence[Result]) -> str:
    """Minutes that a build took, in the mean over those that were not interrupted."""
    minutes = [result.seconds / 60 for result in results if not result.resumed]
    return f"{sum(minutes) / len(minutes):.0f} min" if minutes else "was interrupted"


def shape_words(shape: Mapping[str, Any]) -> str:
    """A student's shape in the order of `SHAPE_HEADER`."""
    return ", ".join(
        [
            " × ".join(str(shape.get(name, "?")) for name in ("layers", "heads", "ffn")),
            f"{shape.get('embedding', '?')}, {shape.get('vocabulary', '?'):,}",
            f"{shape.get('body_bits', '?')}/{shape.get('embedding_bits', '?')}",
        ]
    )
