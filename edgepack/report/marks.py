"""Pictures of rows whose text keeps its size: gauge, bars, intervals. Charts belong to `report/charts.py`.

Places are percentages of the picture's width, so that nothing but lines is stretched. The templates draw them
(`pictures.html.j2`). No chart library that was tried draws an interval against a limit, and on a phone all of them
give more than half of the width to the rows' names (docs/decisions/pygal-draws-the-charts.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.report.units import percent, size

PADDING = 0.08  # of the span, left free at both ends of an axis
SMALLEST_BAR = 0.4  # percent of the width: a bar of nothing is not seen
ROW, LABEL, TRACK = 46, 18, 28  # pixels: a row, the label that it begins with, its line
AXIS, AXIS_WITH_LINE = 18, 36  # the numbers below; with the name of the line that rows are compared with
SPAN = 38  # a row with a bar


@dataclass(frozen=True)
class Gauge:
    """Shipped bytes against the budget."""

    key: str
    title: str
    text: str
    used: float  # percent of the width
    limit: float
    over: bool


def gauge(key: str, shipped: int, budget: int) -> Gauge:
    """The gauge, whose whole width is the budget, or the shipped bytes where these are more."""
    whole = max(shipped, budget, 1)
    left = budget - shipped
    rest = f"{size(left)} left" if left >= 0 else f"{size(-left)} over the budget"
    share = f", {percent(shipped / budget, 1)} of it" if budget > 0 else ""
    text = f"{size(shipped)} of {size(budget)}{share}; {rest}"
    return Gauge(key, "Shipped bytes and budget", text, 100 * shipped / whole, 100 * budget / whole, left < 0)


@dataclass(frozen=True)
class Bar:
    """One model's figure in a comparison of two."""

    name: str
    kind: str  # teacher or artifact
    text: str
    width: float


@dataclass(frozen=True)
class Pair:
    """The teacher's figure over the artifact's; `note` says what changed."""

    name: str
    note: str
    bars: tuple[Bar, ...]


def pair(name: str, note: str, values: Sequence[tuple[str, str, float | None, str]]) -> Pair:
    """A comparison; `values`: model, kind, figure, the figure as text. The largest takes the whole width."""
    known = [value for _, _, value, _ in values if value is not None and math.isfinite(value)]
    most = max(known, default=0) or 1
    bars = [Bar(model, kind, text, bar_width(value, most)) for model, kind, value, text in values]
    return Pair(name, note, tuple(bars))


def bar_width(value: float | None, most: float) -> float:
    """Percent of the width; nothing where there is no figure."""
    return 0.0 if value is None or not math.isfinite(value) else max(SMALLEST_BAR, 100 * value / most)


@dataclass(frozen=True)
class Interval:
    """A row as it is given: a figure with its interval, `text` for both."""

    label: str
    low: float
    value: float
    high: float
    text: str
    kind: str = "artifact"
    flagged: bool = False
    teacher: float | None = None  # its figure, where the row compares two figures: `value` is the artifact's


@dataclass(frozen=True)
class Placed:
    """A row as it is drawn."""

    label: str
    text: str
    kind: str
    flagged: bool
    low: float
    value: float
    high: float
    teacher: float | None
    top: int


@dataclass(frozen=True)
class Reference:
    """The line that intervals are compared with."""

    value: float
    label: str


@dataclass(frozen=True)
class Intervals:
    """Rows over one axis."""

    key: str
    title: str
    text: str
    rows: tuple[Placed, ...]
    height: int
    bottom: int  # where the axis is
    ends: tuple[str, str]
    reference: tuple[float, str, str] | None  # place, label, which end of the label is there


def intervals(
    key: str, title: str, rows: Sequence[Interval], reference: Reference | None = None, shown: str = "percent"
) -> Intervals | None:
    """The picture; None where no row has figures. `shown`: how the axis' ends are written, `percent` or `points`.

    A single row without a label takes the room of its line only.
    """
    named = any(row.label for row in rows)
    row_height, track = (ROW, TRACK) if named else (ROW - LABEL, TRACK - LABEL)
    rows = [row for row in rows if all(map(math.isfinite, (row.low, row.value, row.high)))]
    if not rows:
        return None
    known = [end for row in rows for end in (row.low, row.value, row.high)]
    known += [reference.value] if reference is not None and math.isfinite(reference.value) else []
    span = max(known) - min(known) or 0.02
    first, last = min(known) - PADDING * span, max(known) + PADDING * span
    if shown == "percent":  # an axis of scores ends where scores end
        first = max(first, 0.0) if min(known) >= 0 else first
        last = min(last, 1.0) if max(known) <= 1 else last

    def place(value: float) -> float:
        return round(100 * (value - first) / (last - first), 2)

    placed = [
        Placed(
            row.label,
            row.text,
            row.kind,
            row.flagged,
            low=place(row.low),
            value=place(row.value),
            high=place(row.high),
            teacher=None if row.teacher is None else place(row.teacher),
            top=i * row_height + track,
        )
        for i, row in enumerate(rows)
    ]
    line = None
    if reference is not None and math.isfinite(reference.value):
        at = place(reference.value)
        line = (at, reference.label, "start" if at < 30 else "end" if at > 70 else "middle")
    text = "; ".join(f"{row.label}: {row.text}" if row.label else row.text for row in rows)
    text += f". Line: {reference.label}." if reference is not None else "."
    ends = (f"{100 * first:.1f}", f"{100 * last:.1f}") if shown == "points" else (percent(first, 1), percent(last, 1))
    low, high = (end.replace("-", "−") for end in ends)
    bottom = len(rows) * row_height
    height = bottom + (AXIS if line is None else AXIS_WITH_LINE)
    return Intervals(key, title, text, tuple(placed), height, bottom=bottom, ends=(low, high), reference=line)


@dataclass(frozen=True)
class Span:
    """A row with a bar from `start` on, both in percent of the width."""

    label: str
    text: str
    kind: str
    start: float
    width: float
    top: int


@dataclass(frozen=True)
class Spans:
    """Bars over one another."""

    key: str
    title: str
    text: str
    rows: tuple[Span, ...]
    height: int


def spans(key: str, title: str, text: str, rows: Sequence[tuple[str, str, str, float, float]]) -> Spans:
    """The picture; `rows`: label, figure as text, kind, start, length, in one unit."""
    whole = max((start + length for *_, start, length in rows), default=0) or 1
    placed = [
        Span(label, shown, kind, 100 * start / whole, max(SMALLEST_BAR, 100 * length / whole), i * SPAN)
        for i, (label, shown, kind, start, length) in enumerate(rows)
    ]
    return Spans(key, title, text, tuple(placed), len(rows) * SPAN)
