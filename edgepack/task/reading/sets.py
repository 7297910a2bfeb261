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
FLAG = re.compile(r"0(?:\.0*)?|1(?:\.0*)?|false|true", re.IGNORECASE)
FLAGS = re.compile(rf"\[\s*(?:{FLAG.pattern})(?:[\s,]+(?:{FLAG.pattern}))*[\s,]*\]", re.IGNORECASE)
PYTHON_ITEM = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^,'"\[\]]+?))\s*(?:,|$)""")
NUMPY_ITEM = re.compile(r"""'[^']*'|"[^"]*"|-?\d+\.?(?![^\s])""")  # numbers and names alone: words may be one label
NUMPY_ITEMS = re.compile(rf"(?:{NUMPY_ITEM.pattern})(?:\s+(?:{NUMPY_ITEM.pattern}))*")
ReadLabel = Callable[[str, Any], str]  # place and value → the label as a string


@dataclass(frozen=True)
class Joined:
    """How the cells of one file are sets: labels that a separator joins, or lists and single labels.

    `vectors`: how many numbers of 0 and 1 each cell has, where that is what they are.
    """

    separator: str | None
    vectors: int = 0


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


def are_one_hot(table: Table, flags: Sequence[str]) -> bool:
    """Whether each row has 1 in one of the columns and 0 in the others, as one label is written too."""
    found = False
    for _, values in table.rows(flags):
        if not all(map(is_flag, values)) or sum(map(_is_present, values)) != 1:
            return False
        found = True
    return found


def is_list(value: Any) -> bool:
    """Whether a value is a list of labels, or one in a string."""
    if isinstance(value, str):
        return value.startswith("[") and value.endswith("]")
    return isinstance(value, list | tuple)


def holds_sets(values: Iterable[Any]) -> bool:
    """Whether the cells of a label column are sets of labels.

    Lists are, where most cells are lists: one among plain labels is a row that went wrong; where every list has one
    label, they are labels. Joined labels are, where most of what is joined stands alone in other cells.
    """
    cells: set[str] = set()
    lists = others = single = 0
    for value in values:
        if is_list(value):
            lists += 1
            single += only_label(value) is not None
            continue
        others += 1
        if isinstance(value, str):
            cells.add(value.strip().strip("".join(SEPARATORS)).strip())  # some write one behind the last label too
    if lists:
        return lists > others and single < lists + others
    for separator in SEPARATORS:
        joined = [_split(cell, separator) for cell in cells if separator in cell]
        known = sum(len(parts) > 1 and cells.issuperset(parts) for parts in joined)
        if known and 2 * known > len(joined):
            return True
    return False


def only_label(value: Any) -> Any:
    """The label of a list of one, as annotation tools write it; None of any other value."""
    if isinstance(value, str) and is_list(value):
        try:
            value = _listed("", value)
        except InputError:
            return None
    if not isinstance(value, list | tuple) or len(value) != 1 or isinstance(value[0], list | tuple | dict):
        return None
    return value[0]


def holds_lists_of_one(values: Iterable[Any]) -> bool:
    """Whether every cell of a label column is a list of one label."""
    found = False
    for value in values:
        if only_label(value) is None:
            return False
        found = True
    return found


def find_form(places: Iterable[tuple[str, Any]]) -> Joined:
    """Whether lists are vectors; else the separator that leaves the fewest different labels, where any parts a cell.

    Of cells with their places; vectors of which one has another length are an `InputError`.
    """
    cells_with_places = list(places)
    values = [value for _, value in cells_with_places]
    vectors = [(place, vector) for place, value in cells_with_places if (vector := _vector(value)) is not None]
    if vectors and len(vectors) == len(values) and _are_vectors([vector for _, vector in vectors]):
        length = len(vectors[0][1])
        other = next(((place, len(vector)) for place, vector in vectors if len(vector) != length), None)
        if other is not None:
            raise InputError(
                f"{other[0]}: the vector has {other[1]} numbers, the one in the first row {length}; one number for "
                "each label is needed in every row"
            )
        return Joined(None, vectors=length)
    cells = {value.strip() for value in values if isinstance(value, str) and not is_list(value.strip())}
    best, fewest = None, len(cells)
    for separator in SEPARATORS:
        parts = {part for cell in cells for part in _split(cell, separator)}
        if any(separator in cell for cell in cells) and (best is None or len(parts) < fewest):
            best, fewest = separator, len(parts)
    return Joined(best)


def read_set(where: str, value: Any, joined: Joined, read: ReadLabel) -> tuple[str, ...]:
    """The labels of a cell, each once, in the order in which they stand there."""
    if joined.vectors:
        return tuple(str(place) for place, flag in enumerate(_vector(value) or ()) if _is_present(flag))
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
    elif value and all(isinstance(each, float) for each in value) and not all(each.is_integer() for each in value):
        raise InputError(
            f"{where}: label is {shown(value)}, numbers as probabilities are; write the labels' names, or 0 and 1"
        )
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


def _vector(value: Any) -> Sequence[Any] | None:
    """A list of 0 and 1, or one in a string, with commas or with spaces; None where it is no such list."""
    if isinstance(value, str):
        text = value.strip()
        return [flag.rstrip(".") for flag in FLAG.findall(text)] if FLAGS.fullmatch(text) else None
    return value if isinstance(value, list | tuple) and value and all(map(is_flag, value)) else None


def _are_vectors(values: Sequence[Sequence[Any]]) -> bool:
    """Whether lists of 0 and 1 could not all be class ids, which come once each and are whole numbers."""
    written = [[each.lower() if isinstance(each, str) else each for each in value] for value in values]
    return all(len(value) > 1 for value in written) and any(
        len(set(value)) < len(value) or (value[0] not in ("0", "1") and not _is_int(value[0])) for value in written
    )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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
    if NUMPY_ITEMS.fullmatch(inner):  # as NumPy prints an array: without commas
        return [item[1:-1] if item[0] in "'\"" else item.rstrip(".") for item in NUMPY_ITEM.findall(inner)]
    if "..." in inner:
        raise InputError(f"{where}: the list of labels {shown(text)} was cut short where it was printed")
    while place < len(inner):
        item = PYTHON_ITEM.match(inner, place)
        if item is None or item.end() == place:
            raise InputError(
                f"{where}: the list of labels {shown(text)} is broken at {shown(inner[place : place + 20])}"
            )
        found.append(next(part for part in item.groups() if part is not None))
        place = item.end()
    return found
