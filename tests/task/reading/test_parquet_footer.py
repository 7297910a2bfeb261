"""Sizes in a Parquet footer: what pyarrow says of whole files; damaged ones are a `ValueError`."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.errors import InputError
from edgepack.task.examples import Columns, read_dataset
from edgepack.task.reading.parquet_footer import column_bytes
from edgepack.task.task import Task

TEXTS = pa.table({"text": ["a b", "é", None] * 40, "label": list(range(120)), "text.en": ["x"] * 120})
LISTS = pa.table({"tokens": [["a", "b"], [], None], "other": [{"q": [1, 2], "r": 0.5}] * 3})


def written(table: pa.Table, **options: Any) -> bytes:
    memory = io.BytesIO()
    pq.write_table(table, memory, **options)
    return memory.getvalue()


@pytest.mark.parametrize("table", [TEXTS, LISTS, TEXTS.slice(0, 0), pa.table({})])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"version": "1.0", "compression": "none"},
        {"row_group_size": 7, "write_page_index": True},
        {"write_statistics": False, "use_dictionary": False, "compression": "zstd"},
    ],
)
def test_sizes_are_those_that_pyarrow_reads(table: pa.Table, options: dict[str, Any]) -> None:
    data = written(table, **options)
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(metadata.num_columns)]
    sizes, most = column_bytes(data)
    assert most == max((group.num_rows for group in groups), default=0)
    assert set(sizes) == (set(table.column_names) if chunks else set())
    assert sum(map(sum, sizes.values())) == sum(chunk.total_uncompressed_size for chunk in chunks)
    assert {len(each) for each in sizes.values()} <= {len(groups), 2 * len(groups)}


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4), st.booleans())
def test_a_damaged_footer_is_read_or_a_value_error(place: float, piece: bytes, behind: bool) -> None:
    data = written(LISTS)
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    at = start + int(place * (len(data) - start))
    try:
        column_bytes(data[:at] + piece + data[at + len(piece) * (not behind) :])
    except ValueError:
        return


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\xff" * 4 + b"PAR1", b"PAR1\x1c\x01\0\0\0PAR1"])
def test_what_has_no_footer(data: bytes) -> None:
    with pytest.raises(ValueError, match="footer"):
        column_bytes(data)


def test_a_footer_nested_without_end() -> None:
    deep = b"\x1c" * 10_000
    with pytest.raises(ValueError, match="more than 32 levels"):
        column_bytes(b"PAR1" + deep + len(deep).to_bytes(4, "little") + b"PAR1")


def test_a_column_with_a_dot_in_its_name(tmp_path: Any) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text.en": ["good", "bad"], "label": ["pos", "neg"]}), path)
    task = Task("text-classification", ("neg", "pos"))
    found = read_dataset(str(path), task, Columns(text="text.en"))
    assert [example.text for example in found.examples] == ["good", "bad"]
    with pytest.raises(InputError, match="no text column"):
        read_dataset(str(path), task)
