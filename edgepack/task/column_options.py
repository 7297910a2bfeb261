"""The column flags of the command line as keywords of a call from Python; `reading/columns.py` finds the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict

from edgepack.errors import InputError, shown
from edgepack.task.examples import Columns, read_names


class ColumnOptions(TypedDict, total=False):
    """Which columns of the data hold what; absent ones are found by well-known names.

    `labels` are the names of integer labels from 0: a list, a comma list, or a file with one on each line.
    `out_of_scope` is the label of rows that belong to none of the task's labels.
    """

    text_column: str | None
    pair_column: str | None
    label_column: str | None
    labels: str | Sequence[str] | None
    out_of_scope: str | None


def columns_of(options: Mapping[str, Any]) -> Columns:
    """The columns that these options name; others among them are left alone."""
    text, pair, label = (options.get(f"{name}_column") for name in ("text", "pair", "label"))
    return Columns(text, pair, label, names_of(options.get("labels")), options.get("out_of_scope"))


def names_of(labels: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names of integer labels, however they are given; none where they are not."""
    if not labels:
        return ()
    if isinstance(labels, str):
        return read_names(labels)
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise InputError(f"labels is {shown(labels)}; 2 names or more are needed, each once")
    return tuple(labels)
