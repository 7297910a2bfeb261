"""A source's rows together, with the names of its integer labels, before any label has a class id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgepack.errors import InputError, shown
from edgepack.task.reading.columns import LABELS, TEXTS, Columns, Layout, companions, text_columns, text_layout
from edgepack.task.reading.labels import (
    NAMED_BY_USER,
    NUMBER,
    FileLabels,
    apply_names,
    clean_name,
    is_integer,
    is_unnamed,
    match_labels,
    plain_number,
)
from edgepack.task.reading.rows import Row, read_rows
from edgepack.task.reading.table import Note, Table, listed
from edgepack.task.reading.usage import parts_note, without_refused
from edgepack.task.schemes import SchemeName
from edgepack.task.scoring import REGRESSION, SINGLE_LABEL, Problem
from edgepack.task.tagging import infer_layout, tag_layout
from edgepack.task.tags import Tags, convert_tags
from edgepack.task.task import TaskName


@dataclass(frozen=True)
class Loaded:
    """`names`, of integer labels, may be empty; `named_by` says where they come from."""

    source: str
    sha256: str
    rows: list[Row]
    names: tuple[str, ...]
    named_by: str
    notes: tuple[Note, ...]
    flags: tuple[str, ...] = ()  # labels that have a column each
    outside: tuple[Row, ...] = ()  # rows whose label says that they belong to no label
    vectors: int = 0  # numbers of 0 and 1 in each row, one for each label
    hint: str = ""  # what else its labels could be, where they are none of the teacher's

    def labels(self) -> FileLabels:
        """The distinct labels as the data writes them."""
        return distinct(self.source, [row.labels for row in self.rows], self.rows)


def load(table: Table, name: TaskName, pair: bool, columns: Columns, problem: Problem = SINGLE_LABEL) -> Loaded:
    """All rows of a table, checked; `problem`: whether texts have a label, a set of labels, or a score."""
    tagging = name == "token-classification"
    if not tagging and not pair:
        refuse_pairs(table, columns)
    layout = tag_layout(table, columns) if tagging else text_layout(table, pair, columns, problem)
    used = {layout.text, layout.label, layout.pair, layout.label_name, *layout.flags}
    refuse_names(table, columns, layout, problem)
    rows, notes, vectors = read_rows(without_refused(table, used), layout, problem)
    notes = (*notes, *parts_note(table, used))
    hint = table.label_hint if columns.label is None else ""
    if layout.kind == "text" and not pair:
        notes = (*notes, *left_out(table, layout, columns))
    names, named_by = tuple(table.names.get(layout.label, ())), "its metadata"
    if columns.names:
        if names and names != tuple(columns.names):
            said = (
                f"its metadata names its labels {listed(names)}, and {NAMED_BY_USER} otherwise; {NAMED_BY_USER} counts"
            )
            notes = (*notes, Note(f"{table.source}: {said}", warning=True))
        names, named_by = tuple(columns.names), NAMED_BY_USER
    elif layout.label_name:
        names, named_by = _companion_names(rows, layout.label_name), f"its column {shown(layout.label_name)}"
    sha256 = table.sha256 or _hash_rows(rows)
    if columns.outside is None:
        return Loaded(table.source, sha256, rows, names, named_by, notes, layout.flags, vectors=vectors, hint=hint)
    if tagging or problem != SINGLE_LABEL:
        raise InputError(f"--out-of-scope {shown(columns.outside)} goes with one label for each text; leave it out")
    rows, outside = part_rows(rows, names, columns.outside)
    if not rows:
        raise InputError(
            f"{table.source}: every row is out of scope, {shown(columns.outside)}; rows of labels are needed"
        )
    return Loaded(table.source, sha256, rows, names, named_by, notes, layout.flags, outside=outside)


def refuse_names(table: Table, columns: Columns, layout: Layout, problem: Problem) -> None:
    """`InputError` for names of integer labels where no integer is a label."""
    if columns.names and problem == REGRESSION:
        raise InputError(f"--labels names integer labels, and {table.source} is read for its scores: leave it out")
    if columns.names and layout.flags:
        raise InputError(
            f"--labels names integer labels, and {table.source} has a column for each label, whose names count "
            f"({listed(layout.flags)}): leave it out"
        )


def refuse_pairs(table: Table, columns: Columns) -> None:
    """`InputError` for data whose texts come in pairs, of which a task of single texts would read one."""
    if infer_layout(table, columns) == ("text-classification", True):
        first, second = text_columns(table, True, columns)
        raise InputError(
            f"{table.source}: its texts come in pairs ({listed(filter(None, (first, second)))}), the task has single "
            "ones: give such data, or name the column that holds them with --text-column"
        )


def left_out(table: Table, layout: Layout, columns: Columns) -> list[Note]:
    """That other columns could be meant too by their names, where nobody named one."""
    named = {layout.text, layout.label, layout.pair, layout.label_name, *layout.flags}
    ends = companions(layout.label)
    found = []
    for what, column, known, flag, given in (
        ("text", layout.text, TEXTS, "--text-column", columns.text),
        ("label", layout.label, LABELS, "--label-column", columns.label),
    ):
        others = [c for c in table.columns if c not in named and c.strip().lower() in known]
        others = [c for c in others if not c.strip().lower().startswith(ends)]
        if given is None and others and not (what == "label" and layout.flags):
            said = f"the {what} is column {shown(column)}; {listed(others)} could hold one too: name it with {flag}"
            found.append(Note(f"{table.source}: {said}"))
    return found


def part_rows(rows: Sequence[Row], names: Sequence[str], outside: str) -> tuple[list[Row], tuple[Row, ...]]:
    """The rows that belong to a label, and those whose label, or the name of its number, is `outside`."""
    wanted = clean_name(outside)
    numbers = {str(number) for number, name in enumerate(names) if clean_name(name) == wanted}
    foreign = [clean_name(row.labels[0]) in {wanted, *numbers} for row in rows]
    kept = [row for row, is_foreign in zip(rows, foreign, strict=True) if not is_foreign]
    return kept, tuple(row for row, is_foreign in zip(rows, foreign, strict=True) if is_foreign)


def distinct(source: str, labels: Iterable[Sequence[str]], rows: Iterable[Row]) -> FileLabels:
    """The distinct labels in the order in which they come up, each with its first place."""
    places: dict[str, str] = {}
    for found, row in zip(labels, rows, strict=True):
        for label in found:
            if label not in places:
                places[label] = row.where
    return FileLabels(source, places)


def share_names(files: list[Loaded], labels: Sequence[str]) -> list[Loaded]:
    """Where one file has names for its integer labels and another bare integers, these are the same numbers."""
    named = next((file for file in files if file.names), None)
    if named is None:
        return files
    return [file if file.names or not _bare(file, labels) else _renamed(file, named) for file in files]


def class_ids(
    files: list[Loaded], labels: Sequence[str], scheme: SchemeName | None
) -> list[tuple[list[tuple[int, ...]], tuple[Note, ...]]]:
    """Each file's class ids, row by row, and what is to be said of its labels; tags are in `scheme`."""
    _check_vectors(files, labels)
    hint = next((file.hint for file in files if file.hint), "")
    try:
        return _class_ids(files, labels, scheme)
    except InputError as e:
        if not hint:
            raise
        raise type(e)(f"{e}; {hint}") from e


def _check_vectors(files: Sequence[Loaded], labels: Sequence[str]) -> None:
    """`InputError` where vectors of 0 and 1 have more or fewer numbers than there are labels."""
    for file in files:
        expected = len(file.names) or len(labels)
        if file.vectors not in (0, expected):
            whose = f"{file.named_by} gives" if file.names else "the teacher has"
            raise InputError(
                f"{file.source}: its vectors of 0 and 1 have {file.vectors} numbers, {whose} {expected} labels; one "
                "number for each label, in their order, is needed, or lists of the labels' names"
            )


def _class_ids(
    files: list[Loaded], labels: Sequence[str], scheme: SchemeName | None
) -> list[tuple[list[tuple[int, ...]], tuple[Note, ...]]]:
    written: list[list[Tags]] = []
    notes: list[list[Note]] = []
    for file in files:
        named = {} if is_unnamed(labels) or not file.names else apply_names(file.labels(), file.names, file.named_by)
        if named:
            rows = [tuple(named.get(label, label) for label in row.labels) for row in file.rows]
        else:
            rows = [row.labels for row in file.rows]
        notes.append(_naming(file, named, labels))
        if file.named_by == NAMED_BY_USER and is_unnamed(labels):
            why = "the teacher's labels have no names, so numbers are its class ids, and --labels is not used"
            notes[-1].append(Note(f"{file.source}: {why}: write the names into id2label of its config.json", True))
        if scheme is not None:
            rows, said = _in_scheme(file, rows, labels, scheme)
            notes[-1] += said
        written.append(rows)
    found = [distinct(file.source, rows, file.rows) for file, rows in zip(files, written, strict=True)]
    readings = match_labels(found, labels)
    return [
        (_numbered(rows, reading.ids), (*said, *reading.notes))
        for reading, rows, said in zip(readings, written, notes, strict=True)
    ]


def _numbered(rows: list[Tags], ids: Mapping[str, int]) -> list[tuple[int, ...]]:
    """Each row's class ids; rows of one label share a tuple, since there may be millions."""
    known = {(label,): (number,) for label, number in ids.items()}
    return [known[row] if row in known else tuple(ids[label] for label in row) for row in rows]


def _hash_rows(rows: Iterable[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.text, row.pair, row.words, row.labels]).encode())
    return digest.hexdigest()


def _companion_names(rows: Sequence[Row], column: str) -> tuple[str, ...]:
    """The names of integer labels that stand in a column of their own; the two must agree in every row.

    A number that does not occur has an empty name.
    """
    names: dict[str, str] = {}
    numbers: dict[str, str] = {}
    for row in rows:
        number, name = plain_number(row.labels[0]), clean_name(row.name or "")
        if names.setdefault(number, name) != name or numbers.setdefault(name, number) != number:
            before = names[number] if names[number] != name else numbers[name]
            raise InputError(
                f"{row.where}: label {shown(number)} is {shown(name)} in column {shown(column)}, but an earlier row "
                f"has one of the two with {shown(before)}; number and name must agree in every row"
            )
    found = {int(match[1]): name for number, name in names.items() if (match := NUMBER.fullmatch(number))}
    top = max(found, default=-1)
    if top >= 2 * len(found) + 1_000:
        raise InputError(f"{rows[0].where}: class ids up to {top} for {len(found)} labels; count them from 0")
    return tuple(found.get(number, "") for number in range(top + 1))


def _bare(file: Loaded, labels: Sequence[str]) -> bool:
    found = file.labels().places
    known = {clean_name(label) for label in labels}
    return all(NUMBER.fullmatch(label.strip()) for label in found) and not all(clean_name(x) in known for x in found)


def _renamed(file: Loaded, named: Loaded) -> Loaded:
    return replace(file, names=named.names, named_by=named.source)


def _naming(file: Loaded, named: Mapping[str, str], labels: Sequence[str]) -> list[Note]:
    """That integers have names which stand elsewhere in the teacher's order."""
    order = {clean_name(label): i for i, label in enumerate(labels)}
    if all(order.get(clean_name(name)) == int(NUMBER.fullmatch(number.strip())[1]) for number, name in named.items()):  # type: ignore[index]
        return []
    said = listed(f"{number} = {named[number]}" for number in sorted(named, key=float))
    return [
        Note(
            f"{file.source}: integer labels are named by {file.named_by}: {said}; these are not the teacher's class ids"
        )
    ]


def _in_scheme(
    file: Loaded, rows: list[Tags], labels: Sequence[str], scheme: SchemeName
) -> tuple[list[Tags], list[Note]]:
    """Tags in the scheme of the teacher's; class ids stay as they are."""
    found = {tag for row in rows for tag in row}
    numbers = {tag for tag in found if is_integer(tag)}
    if numbers == found:
        return rows, []  # one that is no class id is refused where they are matched
    if numbers:
        where, number = next(
            (r.where, t) for r, tags in zip(file.rows, rows, strict=True) for t in tags if t in numbers
        )
        raise InputError(f"{where}: tag {shown(number)} is a class id, other tags are names; write all tags in one way")
    converted = convert_tags(rows, [row.where for row in file.rows], labels, scheme)
    if not converted.scheme:
        return list(converted.rows), []
    said = (
        f"{file.source}: tags are {converted.scheme}; {converted.changed} of them are rewritten in the teacher's scheme"
    )
    if converted.joined:
        said += (
            f"; {converted.joined} entities run together with the one before, since no tag of the teacher's parts them"
        )
    return list(converted.rows), [Note(said)]
