"""Figures as people read them, with their units and never as `1e+06`. Judging them belongs to `evidence`."""

from __future__ import annotations

import math
import re

NOT_MEASURED = "not measured"
MOST_COUNT = 10**15
SMALLEST = 1e-6  # smaller figures of parity are rounding noise
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")  # what neither XML nor HTML may hold
NAMED = {
    "pearson": "Pearson's correlation",
    "spearman": "Spearman's correlation",
    "ndcg_at_10": "nDCG@10",
    "recall_at_10": "recall@10",
}


def size(count: float) -> str:
    """Bytes in the largest decimal unit that leaves a whole number: `3.88 MB`."""
    if not abs(count) < 1e18:  # NaN too
        return "not a size"
    if abs(count) < 1000:
        return f"{count:.0f} byte{'' if abs(count) == 1 else 's'}"
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if abs(count) < 1000 * scale or unit == "GB":
            return f"{three_digits(count / scale)} {unit}"
    raise AssertionError


def three_digits(value: float) -> str:
    """Three digits, no exponent, no zeros behind the point: `3.88`, `54.6`, `4`, `1,234`."""
    if not math.isfinite(value):
        return str(value)
    places = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    shown = f"{value:,.{min(places, 8)}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def small(value: float) -> str:
    """A difference of logits."""
    return f"less than {SMALLEST:.6f}" if 0 < abs(value) < SMALLEST else three_digits(value)


def share(count: int, whole: int) -> float:
    """A part of a whole; 0 where these are no counts."""
    return count / whole if 0 < whole < MOST_COUNT and abs(count) < MOST_COUNT else 0.0


def percent(share: float, places: int = 2) -> str:
    """A share: `99.42 %`."""
    if not math.isfinite(share):
        return str(share)
    shown = f"{100 * share:.{places}f}"
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return f"{'0' if shown == '-0' else shown} %".replace("-", "−")


def points(difference: float) -> str:
    """A difference of two shares, in percentage points with its sign: `−0.4`."""
    if not math.isfinite(difference):
        return str(difference)
    shown = f"{100 * difference:+.1f}".replace("-", "−")
    return "0" if shown[1:] == "0.0" else shown


def milliseconds(time_ms: float) -> str:
    """A latency."""
    return f"{three_digits(time_ms)} ms"


def times(ratio: float) -> str:
    """How many times: `4.5 ×`."""
    return f"{three_digits(ratio) if ratio < 10 else f'{ratio:,.0f}'} ×"


def figure(name: str, value: float) -> str:
    """A metric's value: an error in the unit of the score, all others in percent."""
    return three_digits(value) if name == "mean_absolute_error" else percent(value)


def clean(text: str) -> str:
    """Text without what no document may hold."""
    return CONTROLS.sub("\ufffd", text)


def cut(text: str, most: int) -> str:
    """Text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def metric_name(name: str) -> str:
    """A metric as people write it: `entity F1`."""
    if name in NAMED:
        return NAMED[name]
    return " ".join("F1" if word == "f1" else word for word in name.split("_"))


def capital(text: str) -> str:
    """Text as a sentence begins."""
    return text[:1].upper() + text[1:]
