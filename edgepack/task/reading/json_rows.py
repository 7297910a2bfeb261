"""JSON lines (an object on each line), and whole JSON documents that are, or hold, one list of objects.

Each row is parsed by itself, so that what is wrong with one (nesting without end, an integer of 5,000 digits) is said
with its place. A document is read where the first line is no object by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from edgepack.errors import InputError, reason, shown
from edgepack.task.reading.table import SAMPLE, Note, Rows, Table, listed

NEEDED = "one object on each line is needed, or one list of objects"
HINT = "write an object for each example"
LISTS = ("data", "rows", "examples", "items", "records", "instances", "sentences")  # keys that a list of rows has
DOCUMENT = re.compile(  # an object whose first entries are plain, up to a list of objects
    r'\{\s*(?:"[^"]{0,40}"\s*:\s*(?:"[^"]{0,400}"|[\w.+-]{1,40})\s*,\s*)*'
    rf'"({"|".join(LISTS)})"\s*:\s*(\[)\s*\{{'
)
BLANK = re.compile(r"\s*")
Parsed = Iterator[tuple[str, dict[str, Any], str]]  # place, row, the row's own text


def open_json(source: str, text: str, sha256: str) -> Table:
    """A table whose columns are the keys of the first rows, in the order they come up."""
    notes: tuple[Note, ...] = ()
    start = BLANK.match(text).end()  # type: ignore[union-attr]
    if text[start] == "[" and _holds_objects(text, start):
        parse = _parser(_list_items, source, text, start)
    elif (found := _inner_list(text, start)) is not None:
        key, place = found
        parse = _parser(_list_items, source, text, place)
        notes = (Note(f"{source}: its rows are the list under {key!r}"),)
    else:
        parse = _parser(_lines, source, text, 0)
    columns = dict.fromkeys(key for _, row, _ in _first(parse) for key in row)

    def rows(wanted: Sequence[str]) -> Rows:
        keys = {column: json.dumps(column, ensure_ascii=False) for column in wanted}
        for place, row, written in parse():
            for column, key in keys.items():
                if written.count(key) > 1:
                    _refuse_twice(place, written, column)
            yield place, tuple(row.get(column) for column in wanted)

    return Table(source, tuple(columns), rows, sha256, notes=notes, hint=HINT)


def _parser(parse: Callable[[str, str, int], Parsed], source: str, text: str, start: int) -> Callable[[], Parsed]:
    return lambda: parse(source, text, start)


def _refuse_twice(place: str, written: str, column: str) -> None:
    """`InputError` where the object has the key twice, of which a parser takes the last; in what it holds it may be."""
    pairs = json.loads(written, object_pairs_hook=list)
    values = [value for key, value in pairs if key == column]
    if len(values) > 1:
        raise InputError(
            f"{place}: the key {shown(column)} stands {len(values)} times in the row, with {shown(values[0])} and "
            f"{shown(values[-1])}; one value is needed"
        )


def _first(parse: Callable[[], Parsed]) -> list[tuple[str, dict[str, Any], str]]:
    """The first rows; the very first one must be right, a later one is complained about when it is read."""
    rows = parse()
    found = list(islice(rows, 1))
    with suppress(InputError):
        found.extend(islice(rows, SAMPLE))
    return found


def _lines(source: str, text: str, start: int) -> Parsed:
    first = True
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{source}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:
            fault = (first and _document(source, text)) or f"{place}: not valid JSON: {_fault(e)}"
            raise InputError(f"{fault}; {NEEDED}") from e
        first = False
        if not isinstance(row, dict):
            raise InputError(f"{place}: is a JSON {type(row).__name__}; {NEEDED}")
        yield place, row, line


def _document(source: str, text: str) -> str:
    """What the whole text is, where it is one JSON document on several lines; "" where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    keys = f" with the keys {listed(map(str, found))}" if isinstance(found, dict) else ""
    return f"{source}: is one JSON {'object' if keys else type(found).__name__}{keys}"


def _list_items(source: str, text: str, start: int) -> Parsed:
    """The objects of the list that begins at `start`, each parsed by itself."""
    decoder, number = json.JSONDecoder(), 0
    row: dict[str, Any] = {}
    place = _skip(text, start + 1)
    while text[place : place + 1] != "]" or number:
        number += 1
        where = f"{source}: item {number}"
        start = place
        try:
            row, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as e:
            raise InputError(
                f"{source}:{_line(text, place)}: item {number} is not valid JSON: {_fault(e)}; {NEEDED}"
            ) from e
        if not isinstance(row, dict):
            raise InputError(f"{where}: is a JSON {type(row).__name__}; {NEEDED}")
        yield where, row, text[start:place]
        place = _skip(text, place)
        if text[place : place + 1] == "]":
            break
        if text[place : place + 1] != ",":
            raise InputError(
                f"{source}:{_line(text, place)}: no comma behind item {number} of the list, and no end of it"
            )
        place = _skip(text, place + 1)
    _check_rest(source, text, _skip(text, place + 1), row)


def _check_rest(source: str, text: str, place: int, columns: Iterable[str]) -> None:
    """`InputError` for rows behind the list of rows, which would not be read, and for a document that has no end."""
    where = f"{source}:{_line(text, place)}"
    if text[_skip(text, 0)] == "[":
        if text[place:]:
            raise InputError(f"{where}: more stands behind the end of the list; {NEEDED}")
        return
    decoder = json.JSONDecoder()
    try:
        while text[place : place + 1] == ",":
            key, place = decoder.raw_decode(text, _skip(text, place + 1))
            if not isinstance(key, str) or text[(place := _skip(text, place)) : place + 1] != ":":
                break
            value, place = decoder.raw_decode(text, _skip(text, place + 1))
            first = value[0] if isinstance(value, list) and value else None
            if isinstance(first, dict) and (key in LISTS or first.keys() == set(columns)):
                raise InputError(
                    f"{source}: has a second list of rows under {shown(key)}, which would not be read; write each "
                    "list to a file of its own, or all rows into one"
                )
            place = _skip(text, place)
    except (ValueError, RecursionError) as e:
        raise InputError(f"{where}: not valid JSON behind the list of rows: {_fault(e)}") from e
    if text[place : place + 1] != "}" or text[_skip(text, place + 1) :]:
        raise InputError(f"{where}: the object that holds the list of rows does not end behind it; was the file cut?")


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _skip(text: str, place: int) -> int:
    return BLANK.match(text, place).end()  # type: ignore[union-attr]


def _holds_objects(text: str, start: int) -> bool:
    return text.startswith(("{", "]"), _skip(text, start + 1))


def _inner_list(text: str, start: int) -> tuple[str, int] | None:
    """The key and place of the only list of rows in a document that is one object."""
    found = DOCUMENT.match(text, start)
    return (found[1], found.start(2)) if found and _is_document(text, start) else None


def _is_document(text: str, start: int) -> bool:
    """Whether the text is one object, not one on each line."""
    first, _, rest = text[start:].partition("\n")
    if not rest.strip():
        return True
    try:
        return not isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return True


def _fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, RecursionError):
        return "nested too deep"
    return reason(error)
