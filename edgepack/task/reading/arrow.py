"""Parquet and Arrow files, folders written by `save_to_disk` of the `datasets` library, and data sets on the hub.

Columns that are not asked for are never decoded: a date that Python cannot hold is nobody's concern there. Names of
integer labels come from the `ClassLabel` features that `datasets` writes into a file's metadata. A saved folder is
read from its own Arrow files, with nothing of it run. `pyarrow` and `datasets` are imported when they are needed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from edgepack.errors import InputError, reason, shown
from edgepack.machine.extras import import_package
from edgepack.task.reading.parquet_footer import column_bytes
from edgepack.task.reading.table import Rows, Table, check_unpacked, listed

BATCH = 1_000
ROW_BYTES = 300  # of a row of two short texts as Python's objects
FEW_BYTES = 16  # of a row; below, most texts of a column are repeated
MOST_ITEMS = 5_000_000  # of the lists in a batch
SPLITS = {"validation": ("validation", "valid", "val", "dev", "eval"), "train": ("train", "training")}
PLAIN_NAME = re.compile(r"[\w.+ -]{1,200}")  # of a file or split; not a path
MOST_LISTED = 200  # entries of a folder that are looked at
DEEPEST = 8  # levels of lists in a feature


def open_parquet(source: str, data: bytes, sha256: str) -> Table:
    """A Parquet file."""
    pa, pq = import_package("pyarrow", "Parquet data"), import_package("pyarrow.parquet", "Parquet data")
    try:
        opened = pq.ParquetFile(pa.BufferReader(data))
        schema, rows = opened.schema_arrow, opened.metadata.num_rows
        sizes, most = column_bytes(data)
    except Exception as e:  # a broken file trips pyarrow in many ways: its own errors, OSError, UnicodeDecodeError
        raise InputError(f"{source}: not a readable Parquet file: {reason(e)}") from e
    check_unpacked(source, rows * ROW_BYTES, len(data))

    def batches(columns: list[str]) -> Iterator[Any]:
        check_unpacked(source, sum(sum(sizes.get(name, ())) for name in columns), len(data))
        repeated = [  # columns of one text in many rows: it stays one text
            name
            for name in columns
            if schema.field(name).type in (pa.string(), pa.binary())
            and min(sizes.get(name, ()), default=0) < most * FEW_BYTES
        ]
        file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=repeated)
        return file.iter_batches(BATCH, columns=columns, use_threads=False)

    return _table(source, schema, batches, sha256, len(data))


def open_arrow(source: str, data: bytes, sha256: str) -> Table:
    """An Arrow file, of either kind: a stream, or with a footer."""
    pa = import_package("pyarrow", "Arrow data")

    def reader() -> Any:
        return pa.ipc.open_file(data) if data.startswith(b"ARROW1") else pa.ipc.open_stream(data)

    try:
        schema = reader().schema
    except Exception as e:  # likewise
        raise InputError(f"{source}: not a readable Arrow file: {reason(e)}") from e
    return _table(source, schema, lambda columns: _ipc_batches(reader()), sha256, len(data))


def open_folder(folder: Path, split: str, suffixes: Sequence[str] = ()) -> Table:
    """A folder that `save_to_disk` wrote: one data set, or several as splits, of which `split` is taken.

    Any other folder is an `InputError` that names the files in it that end in one of `suffixes`.
    """
    pa = import_package("pyarrow", "a saved data set")
    part = _part(folder, split, suffixes)
    paths = [part / name for name in _data_files(part)]
    digest = hashlib.sha256()
    try:
        for path in paths:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        schema = pa.ipc.open_stream(pa.memory_map(str(paths[0]))).schema
    except Exception as e:  # likewise
        raise InputError(f"{part}: not a readable data set: {reason(e)}") from e

    def batches(columns: list[str]) -> Iterator[Any]:
        for path in paths:
            yield from _ipc_batches(pa.ipc.open_stream(pa.memory_map(str(path))))

    return _table(str(part), schema, batches, digest.hexdigest(), sum(path.stat().st_size for path in paths))


def open_hub(source: str, split: str) -> Table:
    """A data set of the hub; it has no file, so no sha256."""
    datasets = import_package("datasets", "hub data")
    name, _, configuration = source.partition(":")
    try:
        data = datasets.load_dataset(name, configuration or None, split=split)
    except Exception as e:  # `datasets` raises its own, huggingface_hub's, pyarrow's and requests' errors here
        raise InputError(f"{source}: no such file, and the hub gives no split {split!r} of it: {reason(e)}") from e

    def rows(columns: Sequence[str]) -> Rows:
        for number, row in enumerate(data.select_columns(list(dict.fromkeys(columns))), 1):
            yield f"{source} {split}: row {number}", tuple(row[column] for column in columns)

    names = _names(data.features.to_dict())
    return Table(f"{source} {split}", tuple(data.column_names), rows, "", names)


def _table(
    source: str, schema: Any, batches: Callable[[list[str]], Iterator[Any]], sha256: str, size_bytes: int
) -> Table:
    def rows(columns: Sequence[str]) -> Rows:
        number = characters = 0
        twice = next((name for name in columns if schema.names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{source}: column {shown(twice)} stands twice: {listed(schema.names)}")
        try:
            for batch in batches(list(dict.fromkeys(columns))):
                check_unpacked(source, (number + batch.num_rows) * ROW_BYTES, size_bytes)
                values = [_values(f"{source}: row", number, column, batch.column(column)) for column in columns]
                characters += sum(len(value) for column in values for value in column if isinstance(value, str))
                check_unpacked(source, characters, size_bytes)
                for row in zip(*values, strict=True):
                    number += 1
                    yield f"{source}: row {number}", row
        except InputError:
            raise
        except Exception as e:  # a broken file trips pyarrow in many ways
            raise InputError(f"{source}: not readable behind row {number}: {reason(e)}") from e

    try:
        found = tuple(schema.names)
    except UnicodeDecodeError as e:
        raise InputError(f"{source}: the name of a column is not UTF-8") from e
    return Table(source, found, rows, sha256, _names(_features(schema.metadata)))


def _values(place: str, before: int, column: str, array: Any) -> list[Any]:
    """A column's values as Python has them; what is wrong with one names its row."""
    try:
        array.validate(full=True)  # before anything is made of it: broken offsets would end the process
    except Exception as e:  # pyarrow's own errors, OverflowError
        raise _fault(place, before, column, array, lambda index: array.slice(index, 1).validate(full=True), e) from e
    items = _count_items(array)
    if items > MOST_ITEMS:
        raise InputError(f"{place} {before + 1}: column {shown(column)} holds {items:,} items; at most {MOST_ITEMS:,}")
    try:
        if hasattr(array, "dictionary"):  # each text once, however many rows have it
            indices = array.indices.to_pylist()
            texts = {index: array.dictionary[index].as_py() for index in set(indices) if index is not None}
            return [texts.get(index) for index in indices]
        return list(array.to_pylist())
    except Exception as e:  # dates out of range, texts of a dictionary that are not UTF-8
        raise _fault(place, before, column, array, lambda index: array[index].as_py(), e) from e


def _fault(
    place: str, before: int, column: str, array: Any, look: Callable[[int], object], whole: Exception
) -> InputError:
    """The first row that `look` fails on; where it fails on none, what was said of all of them."""
    for index in range(len(array)):
        try:
            look(index)
        except Exception as e:  # likewise
            fault = "is not UTF-8" if isinstance(e, UnicodeDecodeError) or "UTF8" in str(e) else reason(e)
            return InputError(f"{place} {before + index + 1}: column {shown(column)} {fault}")
    return InputError(f"{place} {before + 1}: column {shown(column)} is not readable: {reason(whole)}")


def _count_items(array: Any) -> int:
    """The items of a batch's lists, and of lists in these: a few bytes of a file can say billions."""
    count = 0
    while hasattr(array, "flatten") and hasattr(array.type, "value_type"):
        array = array.flatten()
        count = max(count, len(array))
    return count


def _ipc_batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(i) for i in range(reader.num_record_batches))
    return iter(reader)


def _features(metadata: Mapping[bytes, bytes] | None) -> Any:
    """The features that `datasets` wrote into the schema's metadata."""
    try:
        return json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _names(features: Any) -> dict[str, tuple[str, ...]]:
    """The names of every column whose feature is a `ClassLabel`, or a list of them."""
    found = (
        {column: _class_names(feature) for column, feature in features.items()} if isinstance(features, dict) else {}
    )
    return {column: names for column, names in found.items() if names}


def _class_names(feature: Any) -> tuple[str, ...]:
    for _ in range(DEEPEST):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and "names" in feature:
            names = feature["names"]
            names = list(names.values()) if isinstance(names, dict) else names  # as an older release wrote them
            return tuple(map(str, names)) if isinstance(names, list) else ()
        elif isinstance(feature, dict):
            feature = feature.get("feature")
    return ()


def _part(folder: Path, split: str, suffixes: Sequence[str]) -> Path:
    """The folder of the data set itself."""
    if (folder / "dataset_dict.json").is_file():
        splits = [name for name in _entries(folder, "dataset_dict.json", "splits") if (folder / name).is_dir()]
        chosen = next((name for name in SPLITS.get(split, (split,)) if name in splits), None)
        if chosen is None:
            raise InputError(f"{folder}: holds no split {split!r}, only {listed(splits)}; give one of these folders")
        return folder / chosen
    if not (folder / "state.json").is_file():
        inside = _data_in(folder, suffixes)
        files = f"a file of it ({listed(inside)})" if inside else "a file"
        raise InputError(f"{folder}: is a folder; give {files}, a folder that `save_to_disk` wrote, or a hub id")
    return folder


def _data_in(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """The first data files in a folder, or one level below, as relative paths."""
    try:
        found = [path for pattern in ("*", "*/*") for path in islice(folder.glob(pattern), MOST_LISTED)]
        return sorted(str(path.relative_to(folder)) for path in found if path.suffix in suffixes and path.is_file())
    except OSError:
        return []


def _data_files(folder: Path) -> list[str]:
    names = _entries(folder, "state.json", "_data_files")
    if _entries(folder, "state.json", "_indices_data_files", optional=True):
        raise InputError(
            f"{folder}: an old `datasets` saved a selection of rows, whose order stands in a file of its own; load it, "
            "call flatten_indices() and save it again"
        )
    if not names:
        raise InputError(f"{folder}: state.json names no data files; a folder that `save_to_disk` wrote is needed")
    return names


def _entries(folder: Path, name: str, key: str, optional: bool = False) -> list[str]:
    """Names of files or folders right below `folder`, as one of its JSON files lists them."""
    try:
        document = json.loads((folder / name).read_bytes())
        found = (document.get(key) or []) if optional else document[key]
        names = [entry["filename"] if isinstance(entry, dict) else entry for entry in found]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise InputError(f"{folder / name}: not as `save_to_disk` writes it: {type(e).__name__} at {key!r}") from e
    for entry in names:
        if not isinstance(entry, str) or not PLAIN_NAME.fullmatch(entry) or entry == "..":
            raise InputError(f"{folder / name}: {key} holds {shown(entry)}; names of files in the folder are allowed")
    return names
