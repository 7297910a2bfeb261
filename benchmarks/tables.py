"""Means over seeds, Markdown tables, and the place of a table in a page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import InputError
from edgepack.sweep.seeds import CONFIDENCE, seeds_part
from edgepack.task.intervals import Interval
from edgepack.workspace import write_atomic

END = "<!-- end -->"


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of `values` with its 95 % Student t interval, mean ± t(n - 1) · s / √n; NaN bounds for one value.

    It covers what the seed changes, as between two variants on the same examples; `over_seeds` has both parts.
    """
    if not values:
        raise ValueError("no values to take a mean of")
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Interval(mean, math.nan, math.nan)
    half = seeds_part(values)
    return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True)
class SeedError:
    """What the seed alone changes: a run's standard deviation, pooled over variants, and its degrees of freedom."""

    deviation: float
    degrees: int

    def p_value(self, difference: float, seeds: int) -> float:
        """Two-sided, of a difference of two means over `seeds` runs each, by Student's t."""
        from scipy.stats import t

        return float(2 * t.sf(abs(difference) / (self.deviation * math.sqrt(2 / seeds)), self.degrees))

    def found_with(self, power: float, seeds: int) -> float:
        """The smallest difference that one comparison finds with this probability at 5 %."""
        from scipy.stats import t

        quantiles = t.ppf((1 + CONFIDENCE) / 2, self.degrees) + t.ppf(power, self.degrees)
        return float(quantiles * self.deviation * math.sqrt(2 / seeds))


def seed_error(groups: Sequence[Sequence[float]]) -> SeedError | None:
    """The deviation within the groups, pooled; None if no group has two different values."""
    degrees = sum(len(group) - 1 for group in groups)
    squares = math.fsum((value - math.fsum(group) / len(group)) ** 2 for group in groups for value in group)
    return SeedError(math.sqrt(squares / degrees), degrees) if squares > 0 else None


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is the header. `|` in a cell is escaped."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def with_table(page: str, name: str, table: str) -> str:
    """The page with all between `<!-- table:NAME -->` and `<!-- end -->` replaced; `InputError` without the markers."""
    start = f"<!-- table:{name} -->"
    found = re.search(rf"{re.escape(start)}\n.*?{re.escape(END)}", page, re.DOTALL)
    if found is None:
        raise InputError(f"the page has no {start} … {END}; put both lines where the table belongs")
    return f"{page[: found.start()]}{start}\n{table.strip()}\n{END}{page[found.end() :]}"


def write_table(path: Path, name: str, table: str) -> None:
    """Replace a table in a file."""
    page = path.read_text(encoding="utf-8")
    write_atomic(path, with_table(page, name, table).encode())
