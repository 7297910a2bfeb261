"""Texts to be answered: labelled where their source has a label column, and otherwise texts alone."""

from __future__ import annotations

from dataclasses import replace

from edgepack.task.dataset import Dataset, Example
from edgepack.task.examples import Columns, dataset_of, read_evaluation
from edgepack.task.loaded import refuse_pairs
from edgepack.task.reading.columns import (
    LABELS,
    SCORES,
    TAGS,
    TEXTS,
    WORDS,
    choose,
    find,
    label_flags,
    of_lines,
    text_columns,
)
from edgepack.task.reading.rows import Row, read_texts
from edgepack.task.reading.sources import ONE_COLUMN, is_text_file, open_table, open_to_answer
from edgepack.task.reading.table import Table
from edgepack.task.tagging import SPANS
from edgepack.task.task import Task

NO_LABEL = 0  # the class id of every text, or of its words, where the source has no labels


def read_to_answer(
    source: str, task: Task, columns: Columns, recorded_label: str | None = None
) -> tuple[Task, Dataset, bool]:
    """The task as the source measures it, its texts, and whether they are labelled.

    `recorded_label`: the label column of a build's data. Of hub data sets it is the split `validation`. A source
    without a label column has `NO_LABEL` throughout; so has a `.txt` file without a header, a text on each line. Texts
    to embed need no labels: the teacher's vectors measure them.
    """
    if task.embeds:
        return *read_evaluation(source, task, columns), True
    plain = is_text_file(source) and not task.is_tagging  # of tags it is CoNLL
    table = open_to_answer(source) if plain else open_table(source, "validation")
    columns = of_lines(columns) if plain and table.columns == ONE_COLUMN else columns
    recorded = [] if recorded_label is None else [recorded_label, *recorded_label.split(",")]
    if columns.label is None and any(name in table.columns for name in recorded):
        columns = replace(columns, label=recorded_label)
    flags = label_flags(table, columns) if task.is_multi_label else ()
    if columns.label is not None or flags or label_column(table, task) is not None:
        return task, dataset_of(table, task, columns), True
    tagging = task.is_tagging
    if tagging:
        text, pair = choose(table, "text", "--text-column", columns.text, (*WORDS, *TEXTS)), None
    else:
        if not task.pair:
            refuse_pairs(table, columns)
        text, pair = text_columns(table, task.pair, columns)
    examples = tuple(example_of(row, task) for row in read_texts(table, text, pair))
    return task, Dataset(examples, source, table.sha256, table.notes), False


def label_column(table: Table, task: Task) -> str | None:
    """The column that has the labels, by its name."""
    if task.is_score:
        return find(table, (*SCORES, *LABELS))
    return find(table, (*TAGS, *SPANS) if task.is_tagging else LABELS)


def example_of(row: Row, task: Task) -> Example:
    """A row without a label as an example."""
    if not task.is_tagging:
        none = 0.0 if task.is_score else () if task.is_multi_label else NO_LABEL
        return Example(row.text, row.pair, None, none)
    words = tuple(row.text.split()) if row.words is None else row.words
    return Example(row.text if row.words is None else " ".join(words), None, words, (NO_LABEL,) * len(words))
