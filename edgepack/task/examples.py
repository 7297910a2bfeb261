"""A task's examples: read from any supported source, every row checked, every label a class id.

The formats and how their rows are read are in `edgepack.task.reading`. Text is UTF-8; columns are found by the names
that public data sets use, or named by `Columns`. Labels mean the teacher's by name, or are class ids, and never are
two conventions mixed (`reading.labels`); tags are converted to the teacher's scheme (`tags`). What had to be
understood in one of several ways is a `Note` of the data set: callers print them with `show_notes`. Every error
names the file and the line (of a CSV row: its last line).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgepack.console import Console
from edgepack.errors import InputError, shown
from edgepack.task.checks import MOST_SHARED, absent_labels, check_distinct, check_evaluation, repeated_texts
from edgepack.task.dataset import Dataset, Example
from edgepack.task.loaded import Loaded, class_ids, distinct, load, share_names
from edgepack.task.reading.columns import SCORES, Columns, has_sets, ranks_candidates, score_column
from edgepack.task.reading.given_names import read_names
from edgepack.task.reading.labels import (
    NUMBER,
    FileLabels,
    apply_names,
    check_new_names,
    check_no_gap,
    check_sets,
    check_single,
    clean_name,
    is_code,
    is_integer,
)
from edgepack.task.reading.sources import open_table
from edgepack.task.reading.table import Note, Table, listed
from edgepack.task.schemes import SCHEMES, SchemeName, labels_of
from edgepack.task.scoring import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Problem
from edgepack.task.similarity import EMBEDS
from edgepack.task.tagging import infer_layout
from edgepack.task.tags import convert_tags, entity_types, scheme_of_rows
from edgepack.task.task import Task, TaskName
from edgepack.task.vector_data import prompted, read_judged

__all__ = [
    "Columns",
    "Dataset",
    "Example",
    "Note",
    "check_distinct",
    "check_scope",
    "infer_problem",
    "infer_ranking",
    "infer_task",
    "read_both",
    "read_dataset",
    "read_evaluation",
    "read_labels",
    "read_names",
    "read_tag_scheme",
    "refuse_classes",
    "show_notes",
]

BY_NAME = Columns()  # every column is found by its name


def read_dataset(source: str, task: Task, columns: Columns = BY_NAME, split: str = "train") -> Dataset:
    """Read and check every example with its label; `split` is for hub data sets and saved folders."""
    return dataset_of(open_table(source, split), task, columns)


def read_evaluation(source: str, task: Task, columns: Columns = BY_NAME) -> tuple[Task, Dataset]:
    """Evaluation data, and the task as they measure it: texts that are embedded are judged by what the data hold."""
    if not task.embeds:
        return task, read_dataset(source, task, columns, "validation")
    refuse_classes(columns)
    judged, data = read_judged(source, columns)
    return replace(task, judged=judged), prompted(data, judged, task.prompts)


def refuse_classes(columns: Columns) -> None:
    """`InputError` for what is said of classes, of a model that embeds texts and has none."""
    if columns.names:
        raise InputError(f"--labels names classes; a model of {EMBEDS} has none: leave it out")
    if columns.outside is not None:
        raise InputError(
            f"--out-of-scope goes with one label for each text; a model of {EMBEDS} has no labels: leave it out"
        )


def dataset_of(table: Table, task: Task, columns: Columns = BY_NAME) -> Dataset:
    """Every example of an opened source, checked."""
    check_outside(columns, task)
    return _datasets([load(table, task.name, task.pair, columns, task.problem)], task)[0]


def read_both(train: str, evaluation: str, task: Task, columns: Columns = BY_NAME) -> tuple[Dataset, Dataset]:
    """Training and evaluation data, their labels read in one way; the notes say what both have.

    Evaluation data that cannot tell a good model from a bad one (a single class, no entity) is an error.
    """
    sources = ((train, "train"), (evaluation, "validation"))
    loaded = [load(open_table(source, split), task.name, task.pair, columns, task.problem) for source, split in sources]
    check_outside(columns, task)
    training, held_out = _datasets(loaded if task.is_score else share_names(loaded, task.labels), task)
    check_scope(columns, training, held_out)
    shared = check_distinct(training, held_out)
    check_evaluation(held_out, task)
    notes = [*training.notes, *repeated_texts(training), *absent_labels(training, task, training=True)]
    if shared:
        said = f"{shared} of {len(held_out)} evaluation examples also stand in the training data"
        if shared > MOST_SHARED * len(held_out):
            said += "; figures on them say little of other texts, and a bundle's gate fails: give examples held out"
        notes.append(Note(said, warning=True))
    absent = absent_labels(held_out, task, training=False)
    return replace(training, notes=tuple(notes)), replace(held_out, notes=(*held_out.notes, *absent))


def check_outside(columns: Columns, task: Task) -> None:
    """Refuse a label of rows out of scope that the teacher has as one of its own."""
    if columns.outside is not None and clean_name(columns.outside) in map(clean_name, task.labels):
        raise InputError(
            f"--out-of-scope {shown(columns.outside)} is one of the teacher's labels, which it answers like any other; "
            "leave the option out, or give a teacher that was not trained on these rows"
        )


def check_scope(columns: Columns, *datasets: Dataset) -> None:
    """Refuse a label of rows out of scope that no row of the data sets has."""
    if columns.outside is not None and not any(each.outside for each in datasets):
        raise InputError(
            f"no row of {' or '.join(each.source for each in datasets)} has the label {shown(columns.outside)} of "
            "--out-of-scope; give the label as the data spell it, or leave the option out"
        )


def show_notes(console: Console, *datasets: Dataset) -> None:
    """Print what is to be said of the data, each line once."""
    for note in dict.fromkeys(note for dataset in datasets for note in dataset.notes):
        (console.warn if note.warning else console.info)(note.text)


def infer_task(source: str, columns: Columns = BY_NAME, split: str = "train") -> tuple[TaskName, bool]:
    """What the file's columns say it is for: the task's name, and whether texts come in pairs."""
    return infer_layout(open_table(source, split), columns)


def infer_problem(source: str, columns: Columns = BY_NAME, split: str = "train") -> Problem:
    """Whether the file's texts have one label each, sets of labels, or scores."""
    table = open_table(source, split)
    if infer_layout(table, columns)[0] == "token-classification":
        return SINGLE_LABEL
    if score_column(table, columns) is not None:
        return REGRESSION
    return MULTI_LABEL if has_sets(table, columns) else SINGLE_LABEL


def infer_ranking(source: str, columns: Columns = BY_NAME, split: str = "train") -> bool:
    """Whether the file's pairs are of queries and their candidates."""
    table = open_table(source, split)
    return infer_layout(table, columns) == ("text-classification", True) and ranks_candidates(table, columns)


def read_tag_scheme(source: str, columns: Columns = BY_NAME, wanted: str | None = None) -> SchemeName | None:
    """The scheme for a model of these data: the one that is wanted, or `data` for their own; None where none is tagged.

    Where nothing is wanted it is BIO, or plain where the tags are no tags of entities.
    """
    table = open_table(source)
    name, pair = infer_layout(table, columns)
    if name != "token-classification":
        if wanted is not None:
            raise InputError(
                f"{source}: its texts have labels, not their words; --tag-scheme goes with tagged words: leave it out"
            )
        return None
    loaded = load(table, name, pair, columns)
    own = scheme_of_rows(_named_tags(loaded), [row.where for row in loaded.rows])
    if wanted in (None, "data"):
        return own if wanted or own == "plain" else "BIO"
    found = next((scheme for scheme in SCHEMES if scheme == wanted), None)
    if found is None:
        raise InputError(f"tag scheme is {shown(wanted)}; allowed: data, {', '.join(SCHEMES)}")
    if own == "plain" != found:
        raise InputError(f"{source}: none of its tags is O, so they mark no entities; the tag scheme can only be plain")
    return found


def read_labels(
    source: str, columns: Columns = BY_NAME, split: str = "train", scheme: SchemeName | None = "BIO"
) -> tuple[str, ...]:
    """The label names of a data set, sorted; in the order of their numbers where the data or `columns` name these.

    Tags of any scheme give those of `scheme`, of BIO O, then B-x and I-x of each type. Labels that have a column
    each stand in their order.
    """
    table = open_table(source, split)
    name, pair = infer_layout(table, columns)
    score = score_column(table, columns) if name == "text-classification" else None
    if score is not None:
        return (clean_name(score) if score.strip().lower() in SCORES else SCORES[0],)
    several = name == "text-classification" and has_sets(table, columns)
    loaded = load(table, name, pair, columns, MULTI_LABEL if several else SINGLE_LABEL)
    if loaded.flags:
        return tuple(clean_name(flag) for flag in loaded.flags)
    found = loaded.labels()
    named = apply_names(found, loaded.names, loaded.named_by) if loaded.names else {}
    if name == "token-classification":
        return _tag_names(loaded, scheme or "BIO")
    if named:
        return tuple(dict.fromkeys(clean_name(name) for name in loaded.names if name))
    check_new_names(found)
    if several:
        check_sets(found)
    else:
        check_single(found, found.places)
    if loaded.vectors:
        return tuple(map(str, range(loaded.vectors)))
    numbers = [NUMBER.fullmatch(label.strip()) for label in found.places]
    if all(numbers) and not any(map(is_code, found.places)):
        return tuple(map(str, sorted({int(number[1]) for number in numbers if number})))
    return tuple(sorted({clean_name(label) for label in found.places}))


def _tag_names(loaded: Loaded, scheme: SchemeName) -> tuple[str, ...]:
    rows = _named_tags(loaded)
    if scheme == "plain":
        check_new_names(distinct(loaded.source, rows, loaded.rows))
        return tuple(sorted({clean_name(tag) for row in rows for tag in row}))
    check_no_gap(distinct(loaded.source, rows, loaded.rows))
    convert_tags(rows, [row.where for row in loaded.rows], ("O", "B"))  # refuses tags of no scheme
    types = entity_types(rows)
    check_new_names(FileLabels(loaded.source, dict.fromkeys(types, loaded.source)))
    return labels_of(types, scheme)


def _named_tags(loaded: Loaded) -> list[tuple[str, ...]]:
    """Tags by name; integers without names are an error."""
    found = loaded.labels()
    named = apply_names(found, loaded.names, loaded.named_by) if loaded.names else {}
    rows = [tuple(named.get(tag, tag) for tag in row.labels) for row in loaded.rows]
    tags = {tag for row in rows for tag in row}
    if all(map(is_integer, tags)):
        raise InputError(
            f"{loaded.source}: tags are integers without names ({listed(sorted(tags, key=float))}); "
            "name them in their order with --labels, as in O,B-PER,I-PER"
        )
    return rows


def _datasets(loaded: list[Loaded], task: Task) -> list[Dataset]:
    if task.is_score:
        return [_scored(file, task) for file in loaded]
    tagging = task.is_tagging
    found = []
    for file, (ids, notes) in zip(loaded, class_ids(loaded, task.labels, task.tag_scheme), strict=True):
        if tagging:
            labels: list[Any] = list(ids)
        else:
            labels = [tuple(sorted(set(each))) for each in ids] if task.is_multi_label else [each[0] for each in ids]
        examples = tuple(
            Example(row.text, row.pair, row.words, label) for row, label in zip(file.rows, labels, strict=True)
        )
        outside = tuple(Example(row.text, row.pair, row.words, 0) for row in file.outside)
        found.append(Dataset(examples, file.source, file.sha256, (*file.notes, *notes), outside))
    return found


def _scored(file: Loaded, task: Task) -> Dataset:
    """Texts with scores; what a candidate is worth cannot be below 0."""
    examples = tuple(Example(row.text, row.pair, None, float(row.labels[0])) for row in file.rows)
    if task.ranks:
        for row, example in zip(file.rows, examples, strict=True):
            if float(row.labels[0]) < 0:
                raise InputError(
                    f"{row.where}: the candidate's score is {example.label}; a ranking has what each candidate of a "
                    "query is worth, 0 and above"
                )
    return Dataset(examples, file.source, file.sha256, file.notes)
