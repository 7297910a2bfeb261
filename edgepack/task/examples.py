"""Read a task's examples from TSV, CSV, JSON lines, Parquet or the hub, and check every row.

TSV has no quoting, as GLUE's files have none (a quote is a character); CSV is RFC 4180 with a header; JSON
lines hold one object each. Text is UTF-8, a byte order mark is tolerated. Columns are found by the names that
public data sets use, or named by `Columns`. A source that exists, or ends in a known suffix, is a file; only
other names are looked up on the hub (`datasets`; `name:config` picks a configuration), never by running code.

Labels are matched against the teacher's by name (exact first, then ignoring case), integers that are no names
by class id. Nothing is guessed beyond that: a label that fits neither way is an error that shows both lists.
Every error names the file and the line (of a CSV row: its last line).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgepack.errors import InputError
from edgepack.extras import import_package
from edgepack.task.metric import BIO_TAG, Task, TaskName

SUFFIXES = (".tsv", ".csv", ".jsonl", ".json", ".parquet")
PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text_a", "text_b"),
    ("question", "sentence"),
    ("query", "passage"),
    ("text", "text_pair"),
)
TEXTS = ("sentence", "text", "utterance", "question", "premise", "sentence1", "query", "review", "content", "text_a")
LABELS = ("label", "labels", "intent", "class", "category", "target", "gold_label")
WORDS = ("tokens", "words")
TAGS = ("tags", "ner_tags", "labels", "slots")
PLACEHOLDER = re.compile(r"LABEL_\d+")  # what transformers calls labels that nobody named
SHOWN = 12  # labels listed in an error


@dataclass(frozen=True)
class Example:
    """One example; `label` is a class id, or a class id for each of `words`."""

    text: str
    pair: str | None
    words: tuple[str, ...] | None
    label: int | tuple[int, ...]


@dataclass(frozen=True)
class Columns:
    """Columns named by the user; the rest is found by well-known names. `text` is the words of a tagging task."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples, where they come from, and the sha256 of the file (of the rows, for a hub data set)."""

    examples: tuple[Example, ...]
    source: str
    sha256: str

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True)
class Table:
    """A source opened: rows by column name, each with its place (`file:line`); `names` of integer labels if known."""

    source: str
    columns: tuple[str, ...]
    rows: Iterable[tuple[str, Mapping[str, Any]]]
    sha256: str
    names: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Row:
    """A checked row, its label still as the data has it."""

    where: str
    text: str
    pair: str | None
    words: tuple[str, ...] | None
    labels: tuple[str, ...]


def read_dataset(source: str, task: Task, columns: Columns = Columns(), split: str = "train") -> Dataset:
    """Read and check every example; `split` is for hub data sets."""
    table = _open(source, split)
    if _unnamed(task):
        table = replace(table, names={})  # the data's own names would only hide its class ids
    rows = list(_rows(table, task.name, task.pair, columns))
    ids = _match_labels(rows, task)
    examples = tuple(
        Example(r.text, r.pair, r.words, ids[r.labels[0]] if r.words is None else tuple(ids[x] for x in r.labels))
        for r in rows
    )
    return Dataset(examples, table.source, table.sha256)


def infer_task(source: str, columns: Columns = Columns(), split: str = "train") -> tuple[TaskName, bool]:
    """What the file's columns say it is for: the task's name, and whether texts come in pairs."""
    return _infer(_open(source, split), columns)


def _infer(table: Table, columns: Columns) -> tuple[TaskName, bool]:
    found = {c.lower(): c for c in table.columns}
    if columns.text is None and columns.pair is None and _first(WORDS, found) and _first(TAGS, found):
        return "token-classification", False
    if columns.text is not None and columns.text.lower() in WORDS:
        return "token-classification", False
    known = columns.text is None and any(a in found and b in found for a, b in PAIRS)
    return "text-classification", columns.pair is not None or known


def read_labels(source: str, columns: Columns = Columns(), split: str = "train") -> tuple[str, ...]:
    """The distinct label names of a data set, sorted (integers by value); BIO tags completed to O, B-x, I-x."""
    table = _open(source, split)
    name, pair = _infer(table, columns)
    found = {label for row in _rows(table, name, pair, columns) for label in row.labels}
    if name == "token-classification":
        types = sorted({label[2:] for label in found if len(label) > 1})
        return ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))
    if all(label.isdecimal() for label in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


def check_distinct(train: Dataset, evaluation: Dataset) -> int:
    """How many evaluation examples also stand in `train` (same texts); both being one file is an error."""
    if train.sha256 == evaluation.sha256 or train.source == evaluation.source:
        raise InputError(
            f"train and eval are the same data ({train.source}, {evaluation.source}); evaluate on examples held out"
        )
    seen = {(e.text, e.pair) for e in train.examples}
    return sum((e.text, e.pair) in seen for e in evaluation.examples)


def _open(source: str, split: str) -> Table:
    path = Path(source)
    suffix = path.suffix.lower()
    if path.is_dir():
        raise InputError(f"{source}: is a folder; give a file ({', '.join(SUFFIXES)}) or a hub id")
    if not path.exists():
        if suffix in SUFFIXES or source.startswith((".", "/", "~")) or source.count("/") > 1:
            raise InputError(f"{source}: no such file")
        return _open_hub(source, split)
    if suffix not in SUFFIXES:
        raise InputError(f"{source}: suffix is {suffix!r}; allowed: {', '.join(SUFFIXES)}")
    try:
        data = path.read_bytes()
    except OSError as e:
        raise InputError(f"{source}: cannot be read: {e.strerror}") from e
    sha256 = hashlib.sha256(data).hexdigest()
    if suffix == ".parquet":
        return _open_parquet(source, data, sha256)
    text = _decode(source, data)
    if not text.strip():
        raise InputError(f"{source}: the file is empty; a header and rows are needed")
    if suffix in (".jsonl", ".json"):
        return _open_json_lines(source, text, sha256)
    lines = _tsv_lines(text) if suffix == ".tsv" else _csv_lines(source, text)
    _, header = next(lines)
    twice = [column for i, column in enumerate(header) if column in header[:i]]
    if twice:
        raise InputError(f"{source}: column {twice[0]!r} stands twice in the header: {', '.join(header)}")
    return Table(source, tuple(header), _cells(source, header, lines), sha256, {})


def _decode(source: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise InputError(
            f"{source}:{line}: byte {e.start} ({data[e.start]:#04x}) is not UTF-8; save the file as UTF-8"
        ) from e


def _tsv_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip("\r"):
            yield number, line.rstrip("\r").split("\t")


def _csv_lines(source: str, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as e:
        raise InputError(f"{source}:{reader.line_num}: not valid CSV: {e}") from e


def _cells(
    source: str, header: list[str], lines: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, cells in lines:
        if len(cells) != len(header):
            raise InputError(
                f"{source}:{number}: {len(cells)} fields; the header has {len(header)}: {', '.join(header)}"
            )
        yield f"{source}:{number}", dict(zip(header, cells, strict=True))


def _open_json_lines(source: str, text: str, sha256: str) -> Table:
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            raise InputError(f"{source}:{number}: not valid JSON: {e.msg}; one object on each line is needed") from e
        if not isinstance(row, dict):
            raise InputError(f"{source}:{number}: is a JSON {type(row).__name__}; one object on each line is needed")
        rows.append((f"{source}:{number}", row))
    return Table(source, tuple(rows[0][1]), rows, sha256, {})


def _open_parquet(source: str, data: bytes, sha256: str) -> Table:
    pa = import_package("pyarrow", f"reading {source}")
    pq = import_package("pyarrow.parquet", f"reading {source}")
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as e:
        raise InputError(f"{source}: not a readable Parquet file: {str(e).splitlines()[0]}") from e
    rows = [(f"{source}: row {i}", row) for i, row in enumerate(table.to_pylist(), 1)]
    return Table(source, tuple(table.column_names), rows, sha256, {})


def _open_hub(source: str, split: str) -> Table:
    datasets = import_package("datasets", f"{source} is no file here, and reading a data set of the hub")
    name, _, configuration = source.partition(":")
    try:
        data = datasets.load_dataset(name, configuration or None, split=split)
    except Exception as e:  # `datasets` raises its own, huggingface_hub's, pyarrow's and requests' errors here
        reason = str(e).strip().splitlines() or [type(e).__name__]
        raise InputError(
            f"{source}: no such file, and the hub gives no split {split!r} of it: {reason[0][:200]}"
        ) from e
    rows = [(f"{source} {split}: row {i}", row) for i, row in enumerate(data, 1)]
    digest = hashlib.sha256(json.dumps([row for _, row in rows], sort_keys=True, default=str).encode()).hexdigest()
    names = {column: _class_names(feature) for column, feature in data.features.items()}
    known = {column: found for column, found in names.items() if found}
    return Table(f"{source} {split}", tuple(data.column_names), rows, digest, known)


def _class_names(feature: Any) -> tuple[str, ...]:
    """Names of a `ClassLabel` feature, or of a list of them."""
    inner = getattr(feature, "feature", feature)
    return tuple(getattr(inner, "names", None) or ())


def _rows(table: Table, name: TaskName, pair: bool, columns: Columns) -> Iterator[Row]:
    """Check and normalize every row; a source without one is an error."""
    tagging = name == "token-classification"
    text, second, label = _find_columns(table, tagging, pair, columns)
    names = table.names.get(label, ())
    empty = True
    for where, row in table.rows:
        empty = False
        for column in filter(None, (text, second, label)):
            if row.get(column) is None:
                raise InputError(f"{where}: no value in column {column!r}; its columns: {', '.join(row)}")
        if tagging:
            yield _tagged_row(where, row[text], row[label], names)
        else:
            first, other = _text(where, text, row[text]), _text(where, second, row[second]) if second else None
            yield Row(where, first, other, None, (_label(where, row[label], names),))
    if empty:
        raise InputError(f"{table.source}: a header and no rows; at least one example is needed")


def _find_columns(table: Table, tagging: bool, pair: bool, columns: Columns) -> tuple[str, str | None, str]:
    found = {c.lower(): c for c in table.columns}
    default: tuple[str | None, str | None] = (_first(WORDS if tagging else TEXTS, found), None)
    if pair:
        default = next(((found[a], found[b]) for a, b in PAIRS if a in found and b in found), (None, None))
    label = _first(TAGS if tagging else LABELS, found)
    wanted = (
        ("words" if tagging else "text", "--text-column", columns.text, default[0]),
        ("second text", "--pair-column", columns.pair if pair else None, default[1]),
        ("tags" if tagging else "label", "--label-column", columns.label, label),
    )
    chosen: list[str | None] = []
    for what, flag, given, known in wanted:
        if given is not None and given not in table.columns:
            raise InputError(f"{table.source}: no column {given!r}; its columns: {', '.join(table.columns)}")
        column = given or known
        if column is None and (pair or what != "second text"):
            raise InputError(
                f"{table.source}: no {what} column found; its columns: {', '.join(table.columns)}; name it with {flag}"
            )
        chosen.append(column)
    text, second, label = chosen
    return str(text), second, str(label)  # only the second text may be absent


def _first(names: tuple[str, ...], found: Mapping[str, str]) -> str | None:
    return next((found[name] for name in names if name in found), None)


def _text(where: str, column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: column {column!r} holds {value!r}; text is needed")
    return value


def _label(where: str, value: Any, names: tuple[str, ...]) -> str:
    """The label as a string: a name, or a class id in digits."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return names[value] if names and 0 <= value < len(names) else str(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: label is {value!r}; a name or a class id is needed")
    if not value.strip():
        raise InputError(f"{where}: the label is empty; a name or a class id is needed")
    return value.strip()


def _tagged_row(where: str, words: Any, tags: Any, names: tuple[str, ...]) -> Row:
    words = words.split() if isinstance(words, str) else words
    tags = tags.split() if isinstance(tags, str) else tags
    if not isinstance(words, list) or not isinstance(tags, list) or not all(isinstance(w, str) for w in words):
        raise InputError(f"{where}: tokens and tags must be lists; they are {words!r:.60} and {tags!r:.60}")
    if len(words) != len(tags):
        raise InputError(f"{where}: {len(words)} tokens and {len(tags)} tags; one tag for each token is needed")
    if not words:
        raise InputError(f"{where}: no tokens; at least one is needed")
    labels = tuple(_label(where, tag, names) for tag in tags)
    for label in labels:
        if not BIO_TAG.fullmatch(label) and not label.isdecimal():
            raise InputError(f"{where}: {label!r} is not a BIO tag; allowed: O, B-type, I-type, or a class id")
    return Row(where, " ".join(words), None, tuple(words), labels)


def _match_labels(rows: list[Row], task: Task) -> dict[str, int]:
    """The class id of every label in the data; the first that has none is an error showing both lists."""
    exact = {name: i for i, name in enumerate(task.labels)}
    folded: dict[str, int] = {}
    for i, name in enumerate(task.labels):
        folded[name.lower()] = -1 if name.lower() in folded else i  # two that differ by case only: exact or nothing
    ids: dict[str, int] = {}
    for row in rows:
        for label in row.labels:
            if label in ids:
                continue
            found = exact.get(label, folded.get(label.lower(), -1))
            if found < 0 and label.isdecimal() and int(label) < len(task.labels):
                found = int(label)
            if found < 0:
                raise InputError(_mismatch(row.where, label, rows, task))
            ids[label] = found
    return ids


def _mismatch(where: str, label: str, rows: list[Row], task: Task) -> str:
    data = sorted({x for row in rows for x in row.labels})
    hint = "unnamed labels need class ids in the data" if _unnamed(task) else "names or class ids must agree"
    return (
        f"{where}: label {label!r} is none of the teacher's; data: {_listed(data)}; "
        f"teacher: {_listed(task.labels)}; {hint}"
    )


def _unnamed(task: Task) -> bool:
    return all(map(PLACEHOLDER.fullmatch, task.labels))


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f", … ({len(listed)} in all)" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
