"""A source of examples as a table: named columns, rows with their places, read as often as somebody asks.

Only the columns asked for are decoded. What is worth telling a person is a `Note`, returned as data: the caller
prints it. Texts from files go into messages through `edgepack.errors.shown`, or `listed` here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from edgepack.errors import InputError, shown
from edgepack.parameters import format_size

Rows = Iterator[tuple[str, tuple[Any, ...]]]
FREE_BYTES = 200_000_000  # of a packed file's content
MOST_TIMES = 50  # its own size, beyond that; texts pack to a third, repetitive ones to a tenth
SAMPLE = 50  # first rows looked at where a layout is told by its values
LISTED = 12  # names in one message
NAME_LENGTH = 60  # of a name in one message
PLAIN = re.compile(r"\S(.*\S)?")


@dataclass(frozen=True)
class Note:
    """Something that was understood in one of several ways, or that a user should look at (`warning`)."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """A source opened.

    `rows(columns)` gives each row's place (`file:line`) and its values in these columns, None where it has none.
    `names` are the names of integer labels, by column, where the source knows them. `sha256` is that of the file;
    it is empty for a source that is no file. `hint`: what else to do where columns are not found;
    `label_hint`: where the labels that are read are none of the teacher's.
    """

    source: str
    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Rows]
    sha256: str
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    hint: str = ""
    label_hint: str = ""

    def sample(self, *columns: str) -> list[tuple[Any, ...]]:
        """Values of the first rows; what is wrong with one of them is said when all rows are read."""
        found: list[tuple[Any, ...]] = []
        with suppress(InputError):
            found.extend(values for _, values in islice(self.rows(columns), SAMPLE))
        return found


def most_unpacked(packed: int) -> int:
    """The most bytes that a file of this size may unpack to."""
    return max(FREE_BYTES, MOST_TIMES * packed)


def check_unpacked(source: str, unpacked: int, packed: int) -> None:
    """`InputError` where a file would be far more in memory than any honest one of its size."""
    if unpacked > most_unpacked(packed):
        raise InputError(
            f"{source}: unpacks from {format_size(packed)} to {format_size(unpacked)} or more; at most {MOST_TIMES} "
            f"times its size, or {format_size(FREE_BYTES)}, are read: give it unpacked, or in parts"
        )


def listed(names: Iterable[str]) -> str:
    """Names as a message may hold them: a dozen at most, quoted where they are not plain words, each shortened."""
    every = list(names)
    plain = (
        name
        if name.isprintable() and PLAIN.fullmatch(name) and len(name) <= NAME_LENGTH and "," not in name
        else shown(name, NAME_LENGTH)
        for name in every[:LISTED]
    )
    more = f", … ({len(every)} in all)" if len(every) > LISTED else ""
    return ", ".join(plain) + more
