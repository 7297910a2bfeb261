"""Columns that say of a row whether, or for what, it is to be used: an annotator's decision, the part it belongs to.

Prodigy writes a column `answer`: an example that was rejected or ignored keeps the label that it was shown with, and
is no example of it. A column `split` says which rows are to be trained on; all of them are read, so that is said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from edgepack.errors import InputError, shown
from edgepack.task.reading.table import Note, Rows, Table, listed

ANSWER = "answer"
ACCEPTED, REFUSED = "accept", ("reject", "ignore")
PARTS = ("split", "set", "subset", "partition", "ml_use")
TRAIN = ("train", "training")
HELD_OUT = ("test", "testing", "dev", "val", "valid", "validation", "eval", "evaluation")


def without_refused(table: Table, used: Collection[str | None]) -> Table:
    """The rows that were accepted, where a column that is not `used` otherwise holds Prodigy's decisions alone."""
    if ANSWER not in table.columns or ANSWER in used:
        return table
    answers = [str(value) for _, (value,) in table.rows((ANSWER,))]
    refused = sum(answer in REFUSED for answer in answers)
    if not refused or not {ACCEPTED, *REFUSED}.issuperset(answers):
        return table
    if refused == len(answers):
        raise InputError(f"{table.source}: every row was rejected or ignored, as column {shown(ANSWER)} says")

    def rows(columns: Sequence[str]) -> Rows:
        for where, (*values, answer) in table.rows((*columns, ANSWER)):
            if answer == ACCEPTED:
                yield where, tuple(values)

    said = f"{table.source}: {refused} of {len(answers)} rows were rejected or ignored, as column {shown(ANSWER)} says"
    return replace(table, rows=rows, notes=(*table.notes, Note(f"{said}: they are left out", warning=True)))


def parts_note(table: Table, used: Collection[str | None]) -> tuple[Note, ...]:
    """A warning where a column says that some rows are held out of training, since all rows are read."""
    for column in table.columns:
        if column.strip().lower() not in PARTS or column in used:
            continue
        found = list(dict.fromkeys(str(value).strip().lower() for _, (value,) in table.rows((column,))))
        if set(found) & {*TRAIN} and set(found) & {*HELD_OUT}:
            said = f"column {shown(column)} parts the rows ({listed(found)}), and all of them are read here"
            return (Note(f"{table.source}: {said}: write each part to a file of its own", warning=True),)
    return ()
