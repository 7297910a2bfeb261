"""Examples in memory, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from edgepack.task.reading.table import Note


class Example(NamedTuple):  # millions of them: half the memory of a dataclass, a third of the time
    """One example; `label` is a class id, those of a set in ascending order, one for each of `words`, or a score."""

    text: str
    pair: str | None
    words: tuple[str, ...] | None
    label: int | float | tuple[int, ...]  # a float is a score


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples, where they come from, the sha256 of the file (of the rows, for a hub data set), what is to be said.

    `outside`: texts that belong to no label, where the user said which these are; their label means nothing.
    """

    examples: tuple[Example, ...]
    source: str
    sha256: str
    notes: tuple[Note, ...] = ()
    outside: tuple[Example, ...] = ()

    def out_of_scope(self) -> Dataset:
        """The texts that belong to no label, as a data set."""
        return replace(self, examples=self.outside, outside=())

    def __len__(self) -> int:
        return len(self.examples)
