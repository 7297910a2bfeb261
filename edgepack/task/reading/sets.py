"""Label sets: how a row says that a text has several labels, or none. What a label means is in `labels`.

A column holds lists (JSON, parquet, or a list as Python prints it), vectors of 0 and 1, or labels joined by one
separator; or there is a column of 0 and 1 for each label. Which of these a file has is told by its values, once for the
whole file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.errors import InputError, shown
from edgepack.task.reading.table import Note, Table, listed

SEPARATORS = ("|", ";", ",")
ABSENT = ("0", "0.0", "false")
PRESENT = ("1", "1.0", "true")
PYTHON_ITEM = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^,'"\[\]]+?))\s*(?:,|$)""")
ReadLabel = Callable[[str, Any], str]  # place and value → the label as a string


@dataclass(frozen=True)
class Joined:
    """How the cells of one file are sets: vectors, labels that a separator joins, or lists and single labels."""

    separator: str | None
    vectors: bool = False


def is_flag(value: Any) -> bool:
    """Whether a value says that a label is there, or is not."""
    if isinstance(value, str):
        return value.strip().lower() in (*ABSENT, *PRESENT)
    return isinstance(value, int | float) and value in (0, 1)


def flag_columns(table: Table) -> list[str]:
    """The columns that hold 0 and 1 alone in the first rows."""
    sample = table.sample(*table.columns)
    found = zip(table.columns, *sample, strict=True)
    return [column for column, *values in found if values and all(map(is_flag, values))]


def is_list(value: Any) -> bool:
    """Whether a value is a list of labels, or one in a string."""
    if isinstance(value, str):
        return value.startswith("[") and value.endswith("]")
    return isinstance(value, list | tuple)


def holds_sets(values: Iterable[Any]) -> bool:
    """Whether the cells of a label column are sets of labels.

    Lists are, where most cells are lists: one among plain labels is a row that went wrong. Joined labels are, where
    most of what is joined stands alone in other cells.
    """
    cells: set[str] = set()
    lists = others = 0
    for value in values:
        if is_list(value):
            lists += 1
            continue
        others += 1
        if isinstance(value, str):
            cells.add(value.strip())
    if lists:
        return lists > others
    for separator in SEPARATORS:
        joined = [_split(cell, separator) for cell in cells if separator in cell]
        known = sum(len(parts) > 1 and cells.issuperset(parts) for parts in joined)
        if known and 2 * known > len(joined):
            return True
    return False


def find_form(values: Iterable[Any]) -> Joined:
    """Whether lists are vectors; else the separator that leaves the fewest different labels, where any parts a cell."""
    values = list(values)
    if _are_vectors(values):
        return Joined(None, vectors=True)
    cells = {value.strip() for value in values if isinstance(value, str) and not is_list(value.strip())}
    best, fewest = None, len(cells)
    for separator in SEPARATORS:
        parts = {part for cell in cells for part in _split(cell, separator)}
        if any(separator in cell for cell in cells) and (best is None or len(parts) < fewest):
            best, fewest = separator, len(parts)
    return Joined(best)


def read_set(where: str, value: Any, joined: Joined, read: ReadLabel) -> tuple[str, ...]:
    """The labels of a cell, each once, in the order in which they stand there."""
    if isinstance(value, str):
        value = value.strip()
        if is_list(value):
            value = _listed(where, value)
        elif joined.separator is None:
            value = [value] if value else []
        else:
            value = _split(value, joined.separator)
    elif not isinstance(value, list | tuple):
        value = [value]
    if joined.vectors:
        return tuple(str(place) for place, flag in enumerate(value) if flag)
    return tuple(dict.fromkeys(read(where, each) for each in value))


def read_flags(where: str, columns: Sequence[str], values: Sequence[Any]) -> tuple[str, ...]:
    """The labels whose columns hold 1."""
    for column, value in zip(columns, values, strict=True):
        if not is_flag(value):
            raise InputError(f"{where}: column {shown(column)} holds {shown(value)}; 0 or 1 is needed in it")
    return tuple(column for column, value in zip(columns, values, strict=True) if _is_present(value))


def said_of_sets(source: str, how: str, sizes: Sequence[int]) -> Note:
    """How sets were read, and how large they are."""
    several, none = sum(size > 1 for size in sizes), sum(size == 0 for size in sizes)
    return Note(
        f"{source}: label sets, {how}: {several:,} of {len(sizes):,} texts have several labels, {none:,} have none"
    )


def how_read(joined: Joined, flags: Sequence[str], label: str) -> str:
    """Where the sets stand, in words."""
    if flags:
        return f"from a column of 0 and 1 for each label ({listed(flags)})"
    if joined.vectors:
        return f"from column {shown(label)}, vectors of 0 and 1"
    kind = "lists" if joined.separator is None else f"labels joined by {joined.separator!r}"
    return f"from column {shown(label)}, {kind}"


def _are_vectors(values: Sequence[Any]) -> bool:
    """Whether all are lists of 0 and 1 of one length, and not all of them could be class ids."""
    if not values or not all(isinstance(value, list | tuple) and len(value) > 1 for value in values):
        return False
    if len({len(value) for value in values}) > 1 or not all(is_flag(each) for value in values for each in value):
        return False
    return any(len(set(value)) < len(value) or isinstance(value[0], bool | float) for value in values)


def _is_present(value: Any) -> bool:
    return value.strip().lower() in PRESENT if isinstance(value, str) else bool(value)


def _split(cell: str, separator: str) -> list[str]:
    return [part for each in cell.split(separator) if (part := each.strip())]


def _listed(where: str, text: str) -> list[Any]:
    """A list in a string: JSON, or as Python prints it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return _python_list(where, text)
    if isinstance(found, list):
        return found
    raise InputError(f"{where}: label is {shown(text)}; a list of labels is needed")


def _python_list(where: str, text: str) -> list[str]:
    inner, place, found = text[1:-1].strip(), 0, []
    while place < len(inner):
        item = PYTHON_ITEM.match(inner, place)
        if item is None or item.end() == place:
            raise InputError(
                f"{where}: the list of labels {shown(text)} is broken at {shown(inner[place : place + 20])}"
            )
        found.append(next(part for part in item.groups() if part is not None))
        place = item.end()
    return found
