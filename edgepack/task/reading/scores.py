"""Scores: a number for each text, or for each pair; and how a file tells that its label column holds them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from edgepack.errors import InputError, shown
from edgepack.task.reading.table import Note, listed

MOST_SCORE = 1e9  # of either sign: more is a number that went wrong
NUMERAL = re.compile(r"\s*[-+]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][-+]?[0-9]{1,3})?\s*")
SHOWN_SCORES = 3


def holds_scores(values: Iterable[Any]) -> bool:
    """Whether the cells of a label column are scores: numbers, of which one at least is no whole one."""
    broken = False
    for value in values:
        number = as_number(value)
        if number is None:
            return False
        broken = broken or not number.is_integer()
    return broken


def are_numbers(values: Iterable[Any]) -> bool:
    """Whether the cells are numbers, of whatever kind, and there are some."""
    found = list(values)
    return bool(found) and all(as_number(value) is not None for value in found)


def as_number(value: Any) -> float | None:
    """A cell as a number; None where it is none."""
    if isinstance(value, str):
        return float(value) if NUMERAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 10**300:
        return None
    return float(value)


def read_score(where: str, column: str, value: Any) -> str:
    """The score of a cell, written in full; `InputError` where it is no finite number of ordinary size."""
    number = as_number(value)
    if number is None or not math.isfinite(number) or abs(number) > MOST_SCORE:
        comma = isinstance(value, str) and "," in value and as_number(value.replace(",", ".")) is not None
        raise InputError(
            f"{where}: column {shown(column)} holds {shown(value)}; a score is needed, a number from "
            f"{-MOST_SCORE:.0e} to {MOST_SCORE:.0e}" + (" with a point, not a comma" if comma else "")
        )
    return repr(number)


def said_of_scores(source: str, column: str, scores: list[float]) -> Note:
    """From where to where they go."""
    different = sorted({each + 0.0 for each in scores})  # -0.0 becomes 0.0
    if len(different) <= SHOWN_SCORES:
        return Note(f"{source}: scores from column {shown(column)}: only {listed(f'{each:g}' for each in different)}")
    return Note(f"{source}: scores from column {shown(column)}: {different[0]:g} to {different[-1]:g}")
