"""Data files as nobody would write them: random bytes, and valid files of each format changed at random.

Whatever comes in, it is read, or refused in one clean line; nothing else is raised and nothing takes long. The seeds
are fixed; `make fuzz FUZZ=5000` makes a longer run, with other examples each time.
"""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepack.errors import InputError
from edgepack.task.examples import Columns, infer_task, read_both, read_dataset, read_labels
from edgepack.task.task import Task
from tests.limits import limits

EXAMPLES = int(os.environ.get("EDGEPACK_FUZZ_EXAMPLES", "60"))
SLOWEST_S = 10.0
TASKS = (
    Task("text-classification", ("neg", "pos")),
    Task("text-classification", ("1", "2", "3"), pair=True),
    Task("token-classification", ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")),
)
PIECES = (  # what means something to some reader
    *(b"\n", b"\r\n", b"\t", b",", b";", b'"', b"'", b"[", b"]", b"{", b"}", b":", b"\0", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(
        b"-1",
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b"9" * 5000,
        b"\\ud83d",
        b"\xed\xa0\xbd",
        b"\x1b[2J",
        "\u202e\u2028".encode(),
    ),
    *(
        b"text",
        b"label",
        b"label_text",
        b"tokens",
        b"ner_tags",
        b"entities",
        b"sentence_id",
        b"word",
        b"tag",
        b"LABEL_1",
    ),
    *(
        b"O",
        b"B-PER",
        b"E-PER",
        b"-DOCSTART-",
        b"# ",
        b"[[0, 3, 1]]",
        b"['O' ",
        b'[{"start": 0, "end": 2, "label": "x"}]',
    ),
    *(b"[" * 3000, b'{"a":' * 3000, b"a" * 200_000, b"version https://git-lfs"),
)


def parquet_bytes() -> bytes:
    names = {"info": {"features": {"label": {"names": ["pos", "neg"], "_type": "ClassLabel"}}}}
    table = pa.table({"text": ["a b", "c d", "é"], "label": [0, 1, 0], "day": pa.array([1, 2, 3], pa.date32())})
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), sink)
    return sink.getvalue()


def nested_parquet_bytes() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"tokens": [["a", "b"], ["c"]], "ner_tags": [[0, 1], [2]]}), sink, compression="none")
    return sink.getvalue()


def arrow_bytes(stream: bool) -> bytes:
    table = pa.table({"tokens": [["a", "b"], ["c"]], "ner_tags": [["O", "B-PER"], ["O"]]})
    sink = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


SEEDS: dict[str, bytes] = {
    "a.tsv": b"text\tlabel\ngood film\tpos\nbad film\tneg\n",
    "quoted.tsv": b'text\tlabel\n"say ""hi"""\tpos\n"two\nlines"\tneg\n',
    "pair.csv": b'sentence1,sentence2,label,label_text\na,"b, c",0,one\nd,e,1,two\n',
    "rows.csv": b"Sentence #,Word,Tag\nSentence: 1,anna,B-PER\n,smith,I-PER\nSentence: 2,left,O\n",
    "lists.csv": b"tokens,ner_tags\n\"['anna', 'left']\",\"['B-PER', 'O']\"\n\"['to' 'lima']\",['O' 'B-LOC']\n",
    "a.jsonl": b'{"text": "good", "label": 1}\n{"text": "bad", "label": 0, "x": {"y": [1]}}\n',
    "tags.jsonl": b'{"tokens": ["anna", "left"], "ner_tags": ["S-PER", "O"]}\n{"tokens": ["x"], "ner_tags": ["O"]}\n',
    "spans.jsonl": b'{"text": "anna left", "entities": [{"start": 0, "end": 4, "label": "PER"}]}\n'
    b'{"text": "x", "entities": []}',
    "a.json": b'[{"text": "good", "label": 1.0},\n {"text": "bad", "label": false}]\n',
    "data.json": b'{"version": "1", "data": [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}]}',
    "a.conll": b"-DOCSTART- -X- O\n\nanna NNP B-PER\nsmith NNP I-PER\n\n# id 2\nleft VB O\n",
    "a.txt": b"anna\tI-PER\nleft\tO\n\nlima\tI-LOC\n",
    "a.parquet": parquet_bytes(),
    "nested.parquet": nested_parquet_bytes(),
    "a.arrow": arrow_bytes(stream=True),
    "file.arrow": arrow_bytes(stream=False),
    "a.tsv.gz": gzip.compress(b"text\tlabel\ngood film\tpos\n", mtime=0),
}

PLACES = st.floats(0, 1, allow_nan=False)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), PLACES, st.sampled_from(PIECES) | st.binary(max_size=4)),
        st.tuples(st.just("put"), PLACES, st.sampled_from(PIECES[:40]) | st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("cut"), PLACES, st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("repeat"), PLACES, st.binary(min_size=1, max_size=40)),
    ),
    max_size=6,
)


def changed(data: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    """The bytes with each change made at its place."""
    for kind, place, piece in changes:
        at = int(place * len(data))
        if kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "put":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "cut":
            data = data[:at] + data[at + len(piece) :]
        else:
            data = data[:at] + data[at : at + len(piece)] * 3 + data[at + len(piece) :]
    return data


def read_in_every_way(source: str, held_out: str) -> int:
    """Read a file for each task; how many of the readings ended in examples."""
    read = 0
    calls = [
        lambda: infer_task(source),
        lambda: read_labels(source),
        lambda: read_labels(source, Columns(names=("O", "B-x", "I-x"))),
        *[lambda task=task: read_dataset(source, task) for task in TASKS],
        *[lambda task=task: read_both(source, held_out, task) for task in TASKS[::2]],
    ]
    for call in calls:
        with limits(SLOWEST_S):
            try:
                call()
                read += 1
            except InputError as e:
                message = str(e)
                assert message.isprintable()
                assert len(message) < 3_000
    return read


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("eval") / "eval.tsv"
    path.write_text("text\tlabel\nsome film\t1\nother film\t0\n")
    return str(path)


fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize="EDGEPACK_FUZZ_EXAMPLES" not in os.environ,
    deadline=None,  # `limits` looks at the time that this process takes, not at the clock
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_are_good(tmp_path: Path, held_out: str, name: str) -> None:
    (tmp_path / name).write_bytes(SEEDS[name])
    assert read_in_every_way(str(tmp_path / name), held_out) > 1


@pytest.mark.parametrize("name", SEEDS)
def test_changed_files_are_read_or_refused_in_a_line(tmp_path: Path, held_out: str, name: str) -> None:
    @fuzzed
    @given(CHANGES)
    def run(changes: list[tuple[str, float, bytes]]) -> None:
        (tmp_path / name).write_bytes(changed(SEEDS[name], changes))
        read_in_every_way(str(tmp_path / name), held_out)

    run()


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".conll", ".parquet", ".arrow", ".tsv.gz"])
def test_random_bytes_are_read_or_refused_in_a_line(tmp_path: Path, held_out: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"

    @fuzzed
    @given(st.lists(st.sampled_from(PIECES[:40]) | st.binary(max_size=20) | st.text(max_size=20).map(str.encode)))
    def run(pieces: list[bytes]) -> None:
        path.write_bytes(b"".join(pieces))
        read_in_every_way(str(path), held_out)

    run()


@pytest.mark.parametrize("name", ["state.json", "data-00000-of-00001.arrow", "dataset_dict.json"])
def test_changed_saved_data_sets_are_read_or_refused_in_a_line(tmp_path: Path, held_out: str, name: str) -> None:
    import datasets

    whole = tmp_path / "saved"
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    datasets.DatasetDict({"train": data}).save_to_disk(str(whole))
    path = next(whole.rglob(name))
    seed = path.read_bytes()

    @fuzzed
    @given(CHANGES)
    def run(changes: list[tuple[str, float, bytes]]) -> None:
        path.unlink()  # the old one is still mapped
        path.write_bytes(changed(seed, changes))
        read_in_every_way(str(whole), held_out)

    run()
