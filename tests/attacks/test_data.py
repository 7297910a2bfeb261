"""Data that no honest program writes: `edgepack plan` ends in one line, before the teacher is asked anything."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepack.task.examples import read_dataset
from edgepack.task.task import Task
from tests.attacks.conftest import Plan
from tests.attacks.run import MEMORY, attack, pipe, watched

HEADER = b"text\tlabel\n"
ROW = {"text": "play the song", "label": "pos"}


def parquet(table: pa.Table) -> bytes:
    memory = io.BytesIO()
    pq.write_table(table, memory)
    return memory.getvalue()


def repeated(count: int, text: str) -> pa.Table:
    """Very many rows of one text, in a few kilobytes."""
    columns = {"text": text, "label": "pos"}
    zeros = pa.array([0], pa.int8()).take(pa.nulls(count, pa.int8()).fill_null(0))
    return pa.table({name: pa.DictionaryArray.from_arrays(zeros, pa.array([value])) for name, value in columns.items()})


def arrow(table: pa.Table) -> bytes:
    memory = io.BytesIO()
    with pa.ipc.new_file(memory, table.schema) as writer:
        writer.write_table(table)
    return memory.getvalue()


def put(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def histogram_cut() -> bytes:
    """Lists of texts whose count of levels, `{2, 1}` in the footer, is said to be one number of two bytes."""
    whole = parquet(pa.table({"text": [["a", "b"], ["c"]], "label": [["pos", "neg"], ["pos"]]}))
    return put(whole, b"\x19\x26\x04\x02", b"\x19\x16\x84\x02")


def zipped(megabytes: int) -> bytes:
    memory = io.BytesIO()
    with gzip.GzipFile(fileobj=memory, mode="wb", mtime=0) as file:
        file.write(HEADER)
        for _ in range(megabytes):
            file.write(b"play the song\tpos\n" * 55_556)
    return memory.getvalue()


def jsonl(*rows: str) -> bytes:
    return "\n".join([*[json.dumps(ROW)] * 4, *rows]).encode("utf-8", "surrogatepass")


def row(**changes: str) -> str:
    return json.dumps({**ROW, **changes})


DATA: dict[str, tuple[str, Callable[[], bytes], str]] = {  # name, bytes, what is said
    "20 million rows": ("a.parquet", lambda: parquet(repeated(20_000_000, "a")), "unpacks from .* to 6.0 GB or more"),
    "a long text 200,000 times": ("a.parquet", lambda: parquet(repeated(200_000, "x " * 400_000)), "unpacks from"),
    "no columns": ("a.parquet", lambda: parquet(pa.table({})), "no text column"),
    "a footer of 2 GB": ("a.parquet", lambda: b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1", "not a readable Parquet"),
    "a histogram of another length": ("a.parquet", lambda: histogram_cut(), "a.parquet: not readable behind row 0"),
    "lists that begin beyond their items": (
        "a.arrow",
        lambda: put(
            arrow(pa.table({"text": ["a", "b"], "label": [["pos", "neg"], ["pos"]]})),
            struct.pack("<iii", 0, 2, 3),
            struct.pack("<iii", 2**25, 2, 3),
        ),
        "a.arrow: row 1: column 'label'",
    ),
    "a column's name in no encoding": (
        "a.arrow",
        lambda: put(arrow(pa.table({"text": ["a"], "label": ["pos"], "other": [1]})), b"other", b"\x86ther"),
        "a.arrow: the name of a column is not UTF-8",
    ),
    "nothing, a billion times": (
        "a.arrow",
        lambda: arrow(pa.table({"text": pa.nulls(10**9), "label": pa.nulls(10**9)})),
        "unpacks from",
    ),
    "lists of nothing": (
        "a.arrow",
        lambda: arrow(
            pa.table(
                {
                    "text": pa.ListArray.from_arrays(pa.array([0, 2**30], pa.int32()), pa.nulls(2**30)),
                    "label": ["pos"],
                }
            )
        ),
        "holds 1,073,741,824 items",
    ),
    "gzip of 300 MB": ("a.tsv.gz", lambda: zipped(300), "unpacks from .* at most 50 times"),
    "a text of 20 MB": (
        "a.jsonl",
        lambda: jsonl(json.dumps({**ROW, "text": "fine " * 4_000_000})),
        "a.jsonl:5: .*20,000",
    ),
    "words of 20 MB": (
        "a.tsv",
        lambda: HEADER + b"word " * 4_000_000 + b"\tpos\n",
        "a.tsv:2: .* 20,000,000 characters",
    ),
    "a text that grows when it is normalized": (
        "a.jsonl",
        lambda: jsonl(row(text="中" * 900_000)),
        r"text 5 has [\d,]+ characters or more once it is normalized",
    ),
    "lists in lists": ("a.jsonl", lambda: jsonl('{"text": "a", "label": ' + "[" * 100_000), "nested too deep"),
    "a label of 5,000 digits": ("a.jsonl", lambda: jsonl('{"text": "a", "label": ' + "9" * 5_000 + "}"), "a.jsonl:5"),
    "a label with escapes": (
        "a.jsonl",
        lambda: jsonl(row(label="\x1b[2J\nerror: no")),
        r"\\x1b\[2J",
    ),
    "half a character": ("a.jsonl", lambda: jsonl('{"text": "a \\ud800", "label": "pos"}'), "surrogate"),
    "zeros": ("a.tsv", lambda: bytes(1_000_000), "a.tsv"),
    "UTF-32": ("a.tsv", lambda: "text\tlabel\na\tpos\n".encode("utf-32"), "UTF-16|not UTF-8"),
    "an open quote": ("a.csv", lambda: b'text,label\n"a fine\n' * 200_000, "not valid CSV|fields"),
}


@pytest.mark.parametrize("name", DATA)
def test_data_are_one_line(name: str, place: Path, plan: Plan) -> None:
    file, build, said = DATA[name]
    (place / file).write_bytes(build())
    outcome = plan(file)
    assert re.search(said, outcome.stderr), outcome.stderr


def test_many_rows_with_an_open_quote_are_read(place: Path, tmp_path: Path) -> None:
    (place / "a.tsv").write_bytes(HEADER + b'"play the song\tpos\n' + b"play the song\tpos\nstop now\tneg\n" * 100_000)
    with watched() as grown:
        assert len(read_dataset(str(place / "a.tsv"), Task("text-classification", ("neg", "pos")))) == 200_001
    assert grown[0] < MEMORY / 8


def test_what_is_no_file(place: Path, plan: Plan) -> None:
    pipe(place / "pipe.tsv")
    (place / "zero.tsv").symlink_to("/dev/zero")
    (place / "loop.tsv").symlink_to("loop.tsv")
    for name in ("pipe.tsv", "zero.tsv", "loop.tsv", "x" * 5_000):
        plan(name)
        plan(evaluation=name)


def test_raw_text_that_no_honest_program_writes(place: Path) -> None:
    inputs = ["-m", str(place / "teacher"), "-d", str(place / "train.tsv"), "--eval", str(place / "eval.tsv")]
    for name, said in (("pipe.txt", "is no regular file"), ("long.txt", r"text 1 has 1,\d+,000 characters or more")):
        if name == "pipe.txt":
            pipe(place / name)
        else:
            (place / name).write_text("play " * 4_000_000)
        arguments = [*inputs, "-b", "300kB", "-t", "android-onnx", "--allow-untrained", "--quiet"]
        outcome = attack("plan", *arguments, "--raw-text", str(place / name))
        assert re.search(said, outcome.stderr), outcome.stderr
