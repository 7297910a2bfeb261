"""Reading each format, matching labels, and every kind of bad input with its place."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepack.errors import InputError
from edgepack.task.examples import Columns, check_distinct, infer_task, read_dataset, read_labels
from edgepack.task.reading.sources import open_table
from edgepack.task.tagging import said_of_both
from edgepack.task.task import Task

TASK = Task("text-classification", ("neg", "pos"))
PAIR = Task("text-classification", ("neg", "pos"), pair=True)
TAGGING = Task("token-classification", ("O", "B-x", "I-x"))
SHARED = Path(__file__).parents[3] / "shared" / "data"


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


EXPECTED = [('say "hi"', 1), ("a, b", 0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", 'sentence\tlabel\nsay "hi"\t1\na, b\t0\n'),
        ("bom.tsv", '\ufeffsentence\tlabel\r\nsay "hi"\tpos\r\na, b\tneg\r\n'),
        ("a.csv", 'label,Text\n1,"say ""hi"""\n0,"a, b"\n'),
        ("a.jsonl", '{"utterance": "say \\"hi\\"", "intent": "POS"}\n\n{"utterance": "a, b", "intent": "neg"}\n'),
        ("a.json", '{"text": "say \\"hi\\"", "label": 1}\n{"text": "a, b", "label": 0}'),
    ],
)
def test_formats(tmp_path: Path, name: str, content: str) -> None:
    source = write(tmp_path, name, content)
    assert [(e.text, e.label) for e in read_dataset(source, TASK).examples] == EXPECTED


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ['say "hi"', "a, b"], "label": [1, 0]}), tmp_path / "a.parquet")
    assert [(e.text, e.label) for e in read_dataset(str(tmp_path / "a.parquet"), TASK).examples] == EXPECTED


def test_a_tsv_line_is_one_row_whatever_is_in_it(tmp_path: Path) -> None:
    source = write(tmp_path, "a.tsv", 'text\tlabel\n"open\t0\nline\u2028sep\x85\x1c\t1\n')
    assert [e.text for e in read_dataset(source, TASK).examples] == ['"open', "line\u2028sep\x85\x1c"]


def test_csv_rows_may_span_lines(tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", 'text,label\n"two\nlines",0\nbad,maybe\n')
    with pytest.raises(InputError, match=r"a\.csv:4: label 'maybe'"):
        read_dataset(source, TASK)


def test_tags(tmp_path: Path) -> None:
    rows = [{"tokens": ["go", "New", "York"], "tags": ["O", "B-x", "I-x"]}, {"tokens": "a b", "tags": "O B-x"}]
    source = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    first, second = read_dataset(source, TAGGING).examples
    assert (first.text, first.words, first.label) == ("go New York", ("go", "New", "York"), (0, 1, 2))
    assert second.label == (0, 1)
    assert infer_task(source) == ("token-classification", False)


def test_a_file_of_tags_and_labels_is_read_for_its_tags_and_says_how_to_ask_for_the_labels(tmp_path: Path) -> None:
    row = {"text": "go home", "label": "no", "tokens": ["go", "home"], "tags": ["O", "B-x"]}
    source = write(tmp_path, "a.jsonl", json.dumps(row))
    assert infer_task(source)[0] == "token-classification"
    said = said_of_both(open_table(source), Columns())
    assert said.endswith("the tags are read: --text-column text --label-column label asks for the labels")
    asked = Columns(text="text", label="label")
    assert infer_task(source, asked)[0] == "text-classification"
    assert said_of_both(open_table(source), asked) == ""
    del row["text"]
    assert said_of_both(open_table(write(tmp_path, "b.jsonl", json.dumps(row))), Columns()) == ""


def test_pairs(tmp_path: Path) -> None:
    source = write(tmp_path, "a.tsv", "question\tsentence\tlabel\nwho?\tme\t1\n")
    example = read_dataset(source, PAIR).examples[0]
    assert (example.text, example.pair) == ("who?", "me")
    assert infer_task(source) == ("text-classification", True)
    single = read_dataset(source, TASK, Columns(text="question")).examples[0]
    assert (single.text, single.pair) == ("who?", None)
    named = read_dataset(source, PAIR, Columns(text="sentence", pair="question")).examples[0]
    assert (named.text, named.pair) == ("me", "who?")


def test_labels_match_by_name_before_index(tmp_path: Path) -> None:
    source = write(tmp_path, "a.tsv", "text\tlabel\na\t1\nb\t0\n")
    swapped = Task("text-classification", ("1", "0"))
    assert [e.label for e in read_dataset(source, swapped).examples] == [0, 1]
    unnamed = Task("text-classification", ("LABEL_0", "LABEL_1"))
    assert [e.label for e in read_dataset(source, unnamed).examples] == [1, 0]


def test_case_is_ignored_only_where_it_decides_nothing(tmp_path: Path) -> None:
    both = Task("text-classification", ("US", "us"))
    assert read_dataset(write(tmp_path, "a.tsv", "text\tlabel\na\tus\n"), both).examples[0].label == 1
    with pytest.raises(InputError, match="'Us' is none"):
        read_dataset(write(tmp_path, "b.tsv", "text\tlabel\na\tUs\n"), both)


def test_read_labels(tmp_path: Path) -> None:
    assert read_labels(write(tmp_path, "a.tsv", "text\tlabel\na\tz\nb\ta\nc\tz\n")) == ("a", "z")
    assert read_labels(write(tmp_path, "b.tsv", "text\tlabel\na\t10\nb\t2\n")) == ("2", "10")
    tagged = write(tmp_path, "c.jsonl", '{"tokens": ["a", "b"], "tags": ["B-y", "B-x"]}')
    assert read_labels(tagged) == ("O", "B-x", "I-x", "B-y", "I-y")


def test_check_distinct(tmp_path: Path) -> None:
    train = read_dataset(write(tmp_path, "a.tsv", "text\tlabel\na\t0\nb\t1\n"), TASK)
    other = read_dataset(write(tmp_path, "b.tsv", "text\tlabel\nb\t0\nc\t1\nb\t1\n"), TASK)
    copy = read_dataset(write(tmp_path, "c.tsv", "text\tlabel\na\t0\nb\t1\n"), TASK)
    assert check_distinct(train, other) == 2
    for same in (train, copy):
        with pytest.raises(InputError, match="same data"):
            check_distinct(train, same)


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def load(name: str, configuration: str | None, split: str) -> datasets.Dataset:
        calls.append((name, configuration, split))
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["POS", "NEG"])}
        )
        return datasets.Dataset.from_dict({"text": ["good", "bad"], "label": [0, 1]}, features=features)

    monkeypatch.setattr(datasets, "load_dataset", load)
    found = read_dataset("owner/set:small", TASK, split="validation")
    assert calls == [("owner/set", "small", "validation")]
    assert [e.label for e in found.examples] == [1, 0]  # by name, against the data's own numbers
    assert found.source == "owner/set:small validation"
    unnamed = Task("text-classification", ("LABEL_0", "LABEL_1"))
    assert [e.label for e in read_dataset("owner/set", unnamed).examples] == [0, 1]


TSV = "text\tlabel\n"
BAD: dict[str, tuple[str, str | bytes | None, Task, Columns, str]] = {
    "fields": ("a.tsv", TSV + "a\t0\nb\t1\tx\n", TASK, Columns(), r"a\.tsv:3: 3 fields; the header has 2: text, label"),
    "csv fields": ("a.csv", "text,label\na\n", TASK, Columns(), r"a\.csv:2: 1 fields"),
    "csv quote": ("a.csv", 'text,label\n"a,0\n', TASK, Columns(), r"a\.csv:2: a quote opens a field"),
    "json": ("a.jsonl", '{"text": "a", "label": 0}\n{oops\n', TASK, Columns(), r"a\.jsonl:2: not valid JSON"),
    "json list": ("a.json", '["text", "a"]', TASK, Columns(), r"a\.json:1: is a JSON list; one object on each line"),
    "json value": (
        "a.jsonl",
        '{"text": "a", "label": 0}\n{"text": "b"}\n',
        TASK,
        Columns(),
        r":2: no value in column 'label'",
    ),
    "json null": ("a.jsonl", '{"text": null, "label": 0}\n', TASK, Columns(), r":1: no value in column 'text'"),
    "text type": (
        "a.jsonl",
        '{"text": 5, "label": 0}\n',
        TASK,
        Columns(),
        r":1: column 'text' holds 5; text is needed",
    ),
    "label type": ("a.jsonl", '{"text": "a", "label": 0.5}\n', TASK, Columns(), r":1: label is 0\.5"),
    "label empty": ("a.tsv", TSV + "a\t\n", TASK, Columns(), r"a\.tsv:2: the label is empty"),
    "label name": (
        "a.tsv",
        TSV + "a\tneg\nb\tmeh\n",
        TASK,
        Columns(),
        r":3: label 'meh' .* data: meh, neg; teacher: neg, pos",
    ),
    "label index": ("a.tsv", TSV + "a\t2\n", TASK, Columns(), r":2: label '2' is none of the teacher's"),
    "label negative": ("a.tsv", TSV + "a\t-1\n", TASK, Columns(), r":2: label '-1' is none"),
    "unnamed": (
        "a.tsv",
        TSV + "a\tneg\n",
        Task("text-classification", ("LABEL_0", "LABEL_1")),
        Columns(),
        "data: neg; teacher: LABEL_0, LABEL_1; nobody named the teacher's classes: write their names into id2label",
    ),
    "lengths": ("a.jsonl", '{"tokens": ["a"], "tags": ["O", "O"]}', TAGGING, Columns(), ":1: 1 tokens and 2 tags"),
    "no tokens": ("a.jsonl", '{"tokens": [], "tags": []}', TAGGING, Columns(), ":1: no tokens"),
    "tokens type": (
        "a.jsonl",
        '{"tokens": [1], "tags": ["O"]}',
        TAGGING,
        Columns(),
        ":1: tokens and tags must be lists",
    ),
    "bio": ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["X-x", "B-x"]}', TAGGING, Columns(), ":1: 'X-x' is no tag of"),
    "tag": ("a.jsonl", '{"tokens": ["a"], "tags": ["B-y"]}', TAGGING, Columns(), ":1: label 'B-y' is none"),
    "empty": ("a.tsv", "", TASK, Columns(), "the file is empty"),
    "blank": ("a.csv", "\n \n", TASK, Columns(), "the file is empty"),
    "header only": ("a.tsv", TSV, TASK, Columns(), "a header and no rows"),
    "encoding": ("a.tsv", b"text\tlabel\ncaf\xe9\t0\n", TASK, Columns(), r"a\.tsv:2: byte 14 \(0xe9\) is not UTF-8"),
    "utf-16": ("a.tsv", (TSV + "a\t0\n").encode("utf-16"), TASK, Columns(), r"a\.tsv:1: is UTF-16, not UTF-8"),
    "column": (
        "a.tsv",
        "foo\tlabel\na\t0\n",
        TASK,
        Columns(),
        "no text column found; its columns: foo, label; name it",
    ),
    "column twice": ("a.tsv", "text\tlabel\ttext\n", TASK, Columns(), "column 'text' stands twice in the header"),
    "label column": ("a.tsv", "text\tfoo\na\t0\n", TASK, Columns(), "no label column found; its columns: text, foo"),
    "pair column": ("a.tsv", TSV + "a\t0\n", PAIR, Columns(), "its columns: text, label"),
    "given column": ("a.tsv", TSV + "a\t0\n", TASK, Columns(text="body"), "no column 'body'; its columns: text, label"),
    "label column as text": (
        "a.tsv",
        TSV + "a\t0\n",
        TASK,
        Columns(text="label"),
        "column 'label' would be the text and the label of each row; name another column for one of them",
    ),
    "one column as both texts": (
        "a.tsv",
        "sentence1\tsentence2\tlabel\na\tb\t0\n",
        PAIR,
        Columns(text="sentence2"),
        "column 'sentence2' would be the first text and the second one of each row",
    ),
    "a score column as text": (
        "a.tsv",
        "text\tscore\na\t0.5\n",
        Task("text-classification", ("score",), problem="regression"),
        Columns(text="score"),
        "column 'score' would be the text and the score of each row",
    ),
    "tags column": (
        "a.tsv",
        TSV + "a\t0\n",
        TAGGING,
        Columns(),
        "if these are tagged words; they look like texts",
    ),
    "text column": (
        "a.jsonl",
        '{"tokens": ["a"], "tags": ["O"]}',
        TASK,
        Columns(),
        "no text column found; .* if these are texts; they look like tagged words",
    ),
    "suffix": ("a.xlsx", "x", TASK, Columns(), r"suffix is '\.xlsx'; allowed: \.tsv, \.csv"),
    "archive": ("a.tsv.zip", "x", TASK, Columns(), r"suffix is '\.zip'; allowed: .*; unpack it first"),
    "no suffix": ("train", "x", TASK, Columns(), "suffix is ''; allowed: .*; end its name with its format's"),
    "missing": ("a.tsv", None, TASK, Columns(), "no such file"),
    "parquet": ("a.parquet", b"PAR1nonsense", TASK, Columns(), "not a readable Parquet file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_line_with_its_place(tmp_path: Path, kind: str) -> None:
    name, content, task, columns, message = BAD[kind]
    source = str(tmp_path / name) if content is None else write(tmp_path, name, content)
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(source, task, columns)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_folder_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_dataset(str(tmp_path), TASK)


def test_a_failing_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ConnectionError("offline\nmore")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(
        InputError, match=r"owner/set: no such file, and the hub gives no split 'train' of it: offline$"
    ):
        read_dataset("owner/set", TASK)


@pytest.mark.needs_shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not here")
def test_research_data() -> None:
    sst2 = read_dataset(str(SHARED / "sst2" / "dev.tsv"), Task("text-classification", ("negative", "positive")))
    assert len(sst2) == 872
    assert sum(e.label == 1 for e in sst2.examples) == 444
