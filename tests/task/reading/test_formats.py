"""Every layout of a data file that is read, beside the plain ones of test_examples; each gives the same examples."""

from __future__ import annotations

import csv
import gzip
import json
import math
from contextlib import nullcontext
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepack.errors import InputError, MissingDependency
from edgepack.machine import extras
from edgepack.task.examples import Columns, Dataset, infer_task, read_dataset, read_labels, read_tag_scheme
from edgepack.task.reading import sources
from edgepack.task.reading.delimited import is_quoted
from edgepack.task.task import Task

TASK = Task("text-classification", ("neg", "pos"))
TAGGING = Task("token-classification", ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
EXPECTED = [('say "hi"', 1), ("a, b", 0)]
SENTENCES = [(("anna", "smith", "left"), (1, 2, 0)), (("to", "lima"), (0, 3))]
ROWS = [{"text": 'say "hi"', "label": "pos"}, {"text": "a, b", "label": "neg"}]


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def texts(data: Dataset) -> list[tuple[str, object]]:
    return [(e.text, e.label) for e in data.examples]


def said(data: Dataset) -> str:
    return " | ".join(note.text for note in data.notes)


TEXT_FILES: dict[str, tuple[str, str | bytes]] = {
    "JSON list": ("a.json", json.dumps(ROWS)),
    "JSON list over lines": ("a.jsonl", json.dumps(ROWS, indent=2)),
    "list in an object": ("a.json", json.dumps({"version": "1.0", "data": ROWS}, indent=1)),
    "list in an object, one line": ("a.json", json.dumps({"version": 2, "data": ROWS})),
    "ndjson": ("a.ndjson", "\n".join(map(json.dumps, ROWS))),
    "TSV of a data frame": ("a.tsv", 'text\tlabel\n"say ""hi"""\tpos\na, b\tneg\n'),
    "TSV, all quoted": ("a.tsv", '"text"\t"label"\r\n"say ""hi"""\t"pos"\r\n"a, b"\t"neg"\r\n'),
    "TSV, texts quoted": ("a.tsv", '"text"\t"label"\n"say ""hi"""\t1\n"a, b"\t0'),
    "CSV with semicolons": ("a.csv", 'text;label\n"say ""hi""";pos\na, b;neg\n'),
    "CSV of Excel": ("a.csv", 'sep=;\r\ntext;label\r\n"say ""hi""";pos\r\na, b;neg\r\n'),
    "CSV with semicolons, a comma in a name": ("a.csv", 'text;label;"x, y"\n"say ""hi""";pos;1\na, b;neg;2\n'),
    "TSV called .txt": ("a.txt", 'text\tlabel\nsay "hi"\tpos\na, b\tneg\n'),
    "CSV with tabs": ("a.csv", 'text\tlabel\n"say ""hi"""\tpos\na, b\tneg\n'),
    "CSV, spaces after commas": ("a.csv", 'text, label\n"say ""hi""", pos\n"a, b", neg\n'),
    "lines of an old Mac": ("a.tsv", 'text\tlabel\rsay "hi"\tpos\ra, b\tneg\r'),
    "lines of an old Mac, and an end of another": ("a.tsv", 'text\tlabel\rsay "hi"\tpos\ra, b\tneg\n'),
    "TSV, gzip": ("a.tsv.gz", gzip.compress(b'text\tlabel\nsay "hi"\tpos\na, b\tneg\n')),
    "JSON, two gzip members": ("a.jsonl.gz", b"".join(gzip.compress(json.dumps(r).encode() + b"\n") for r in ROWS)),
    "CSV with bars": ("a.csv", 'text|label\n"say ""hi"""|pos\na, b|neg\n'),
    "column in other case": ("a.csv", 'TEXT,Label\n"say ""hi""",pos\n"a, b",neg\n'),
    "column twins": ("a.csv", 'Text,text,label\nx,"say ""hi""",pos\ny,"a, b",neg\n'),
    "empty columns of a sheet": ("a.csv", 'text,label,,\n"say ""hi""",pos,,\n"a, b",neg,,\n'),
}


@pytest.mark.parametrize("kind", TEXT_FILES)
def test_text_files(tmp_path: Path, kind: str) -> None:
    source = write(tmp_path, *TEXT_FILES[kind])
    assert texts(read_dataset(source, TASK)) == EXPECTED
    assert infer_task(source) == ("text-classification", False)


@pytest.mark.parametrize(
    "text",
    [
        'text\tlabel\n"hello"\tpos\n',  # quotes that no writer would have put there
        'text\tlabel\n"say ""hi"""\tpos\nhe said "no"\tneg\n',  # and one that lacks them
        'text\tlabel\n"open\tpos\n',
        "text\tlabel\nplain\tpos\n",
    ],
)
def test_a_tsv_with_quotes_of_its_own_is_not_quoted(tmp_path: Path, text: str) -> None:
    assert not is_quoted(text)
    written = text.splitlines()[1].split("\t")[0]
    assert read_dataset(write(tmp_path, "a.tsv", text), TASK).examples[0].text == written


def test_a_quoted_tsv_may_have_lines_and_tabs_in_a_text_and_is_said_to_be_quoted(tmp_path: Path) -> None:
    data = read_dataset(write(tmp_path, "a.tsv", 'text\tlabel\n"two\nlines\there"\tpos\nb\tneg\n'), TASK)
    assert texts(data) == [("two\nlines\there", 1), ("b", 0)]
    assert "fields are quoted" in said(data)


def test_a_field_may_be_long(tmp_path: Path) -> None:
    long = "see this " * 20_000
    data = read_dataset(write(tmp_path, "a.csv", f'text,label\n"{long}",pos\n'), TASK)
    assert data.examples[0].text == long


def features(names: list[str], column: str = "label", nested: bool = False) -> dict[str, str]:
    feature: dict[str, object] = {"names": names, "_type": "ClassLabel"}
    return {"huggingface": json.dumps({"info": {"features": {column: {"feature": feature} if nested else feature}}})}


def test_columns_that_are_not_read_may_hold_anything(tmp_path: Path) -> None:
    late = pa.array([253402300800000] * 2, pa.timestamp("ms"))
    broken = pa.StringArray.from_buffers(2, pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe"))
    table = pa.table({"text": ['say "hi"', "a, b"], "label": [1, 0], "expires": late, "other": broken})
    pq.write_table(table, tmp_path / "a.parquet")
    assert texts(read_dataset(str(tmp_path / "a.parquet"), TASK)) == EXPECTED


def test_arrow_files_of_both_kinds(tmp_path: Path) -> None:
    table = pa.table({"text": ['say "hi"', "a, b"], "label": [1, 0]})
    for name, new in (("a.arrow", pa.ipc.new_file), ("b.arrow", pa.ipc.new_stream)):
        with new(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
        assert texts(read_dataset(str(tmp_path / name), TASK)) == EXPECTED


def saved(folder: Path) -> datasets.DatasetDict:
    kinds = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])})
    data = datasets.Dataset.from_dict({"text": ['say "hi"', "a, b"], "label": [0, 1]}, features=kinds)
    other = datasets.Dataset.from_dict({"text": ["c"], "label": [1]}, features=kinds)
    both = datasets.DatasetDict({"train": data, "dev": other})
    both.save_to_disk(str(folder))
    return both


def test_saved_data_sets_by_split_and_with_their_names(tmp_path: Path) -> None:
    saved(tmp_path / "all")
    assert texts(read_dataset(str(tmp_path / "all"), TASK)) == EXPECTED
    assert texts(read_dataset(str(tmp_path / "all"), TASK, split="validation")) == [("c", 0)]
    assert texts(read_dataset(str(tmp_path / "all" / "train"), TASK)) == EXPECTED
    with pytest.raises(InputError, match="holds no split 'other', only train, dev"):
        read_dataset(str(tmp_path / "all"), TASK, split="other")


def test_a_saved_selection_is_not_read_as_the_whole(tmp_path: Path) -> None:
    saved(tmp_path / "all")
    state = tmp_path / "all" / "train" / "state.json"
    document = json.loads(state.read_text())
    for indices, refused in ([], False), ([{"filename": "indices.arrow"}], True):
        state.write_text(json.dumps(document | {"_indices_data_files": indices}))
        with pytest.raises(InputError, match="saved a selection of rows") if refused else nullcontext():
            read_dataset(str(tmp_path / "all"), TASK)


def test_a_column_that_stands_twice_in_parquet_is_named(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array([0]), pa.array([1])], names=["text", "label", "label"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="column 'label' stands twice"):
        read_dataset(str(tmp_path / "a.parquet"), TASK)


def test_a_saved_data_set_reads_only_files_of_its_own_folder(tmp_path: Path) -> None:
    saved(tmp_path / "all")
    state = tmp_path / "all" / "train" / "state.json"
    for name in ("../dev/data-00000-of-00001.arrow", "/etc/passwd", "..", "x" * 5_000, "a\nb"):
        state.write_text(json.dumps({"_data_files": [{"filename": name}]}))
        with pytest.raises(InputError, match="names of files in the folder"):
            read_dataset(str(tmp_path / "all" / "train"), TASK)
    for content in ("{", "[]", '{"_data_files": 3}', "[" * 100_000):
        state.write_text(content)
        with pytest.raises(InputError, match=r"state\.json: not as"):
            read_dataset(str(tmp_path / "all" / "train"), TASK)
    state.write_text('{"_data_files": [{"filename": "gone.arrow"}]}')
    with pytest.raises(InputError, match="not a readable data set"):
        read_dataset(str(tmp_path / "all" / "train"), TASK)


CONLL = "anna\tB-PER\nsmith\tI-PER\nleft\tO\n\nto\tO\nlima\tB-LOC\n\n"
SPANS = [
    {"text": "anna smith left", "entities": [{"start": 0, "end": 10, "label": "PER"}]},
    {"text": "to lima", "entities": [{"start": 3, "end": 7, "label": "LOC"}]},
]
TAG_FILES: dict[str, tuple[str, str]] = {
    "CoNLL": ("a.conll", CONLL),
    "CoNLL named TSV": ("a.tsv", CONLL),
    "CoNLL named CSV": ("a.csv", CONLL),
    "CoNLL, four columns, documents": (
        "a.txt",
        "-DOCSTART- -X- O O\n\nanna NNP x B-PER\nsmith NNP x I-PER\nleft VB x O\n\nto TO x O\nlima NNP x B-LOC",
    ),
    "CoNLL, comments, spaces on blank lines": (
        "a.bio",
        "# id 1 domain=en\nanna _ _ B-PER\nsmith _ _ I-PER\nleft _ _ O\n \n# id 2\nto _ _ O\nlima _ _ B-LOC\r\n",
    ),
    "CoNLL, tokens counted": (
        "a.conll",
        "#\tn-tv.de\t[2005]\n1\tanna\tx\tB-PER\n2\tsmith\tx\tI-PER\n3\tleft\tx\tO\n\n1\tto\tx\tO\n2\tlima\tx\tB-LOC\n",
    ),
    "CoNLL with a header of three": (
        "a.tsv",
        "id\tword\ttag\n7\tanna\tB-PER\n7\tsmith\tI-PER\n7\tleft\tO\n\n8\tto\tO\n8\tlima\tB-LOC\n\n",
    ),
    "CoNLL with a header": ("a.tsv", f"token\ttag\n{CONLL}"),
    "rows of tokens, a sheet": (
        "a.csv",
        "Sentence #,Word,POS,Tag\nSentence: 1,anna,NNP,B-PER\n,smith,NNP,I-PER\n,left,VB,O\n"
        "Sentence: 2,to,TO,O\n,lima,NNP,B-LOC\n",
    ),
    "rows of tokens, a data frame's JSON": (
        "a.jsonl",
        "\n".join(
            json.dumps({"Sentence #": i, "word": w, "ner": t})
            for i, w, t in [
                *((1.0, "anna", "B-PER"), (math.nan, "smith", "I-PER"), (math.nan, "left", "O")),
                *((2.0, "to", "O"), (math.nan, "lima", "B-LOC")),
            ]
        ),
    ),
    "rows of tokens, a data frame's CSV": (
        "a.csv",
        "sentence_id,word,tag\n1,anna,B-PER\nnan,smith,I-PER\nnan,left,O\n2,to,O\nnan,lima,B-LOC\n",
    ),
    "rows of tokens, JSON": (
        "a.jsonl",
        "\n".join(
            json.dumps({"sentence_id": i, "word": w, "ner": t})
            for i, w, t in [
                *((0, "anna", "B-PER"), (0, "smith", "I-PER"), (0, "left", "O"), (1, "to", "O"), (1, "lima", "B-LOC"))
            ]
        ),
    ),
    "sentence and tags as strings": ("a.csv", "sentence,word_labels\nanna smith left,B-PER I-PER O\nto lima,O B-LOC\n"),
    "lists as Python prints them": (
        "a.csv",
        "tokens,ner_tags\n\"['anna', 'smith', 'left']\",\"['B-PER', 'I-PER', 'O']\"\n"
        '"[\'to\', ""lima""]","[\'O\', \'B-LOC\']"\n',
    ),
    "lists as NumPy prints them": (
        "a.csv",
        "tokens,ner_tags\n['anna' 'smith' 'left'],['B-PER' 'I-PER' 'O']\n['to' 'lima'],['O' 'B-LOC']\n",
    ),
    "lists of class ids": ("a.csv", 'tokens,tags\nanna smith left,"[1, 2, 0]"\nto lima,[0 3]\n'),
    "spans": ("a.jsonl", "\n".join(map(json.dumps, SPANS))),
    "spans of doccano": (
        "a.jsonl",
        '{"text": "anna smith left", "label": [[0, 10, "PER"]]}\n{"text": "to lima", "label": [[3, 7, "LOC"]]}',
    ),
    "spans of Label Studio": (
        "a.json",
        '[{"text": "anna smith left", "label": [{"start": 0, "end": 10, "text": "anna smith", "labels": ["PER"]}]},'
        '{"text": "to lima", "label": [{"start": 3, "end": 7, "text": "lima", "labels": ["LOC"]}]}]',
    ),
    "spans under entities, other keys": (
        "a.jsonl",
        '{"text": "anna smith left", "spans": {"entities": [{"start_offset": 0, "end_offset": 10, "type": "PER"}]}}\n'
        '{"text": "to lima", "spans": {"entities": [{"start_offset": 3, "end_offset": 7, "type": "LOC"}]}}',
    ),
    "spans as lists of starts, ends and labels": (
        "a.jsonl",
        '{"text": "anna smith left", "entities": {"start": [0], "end": [10], "label": ["PER"]}}\n'
        '{"text": "to lima", "entities": {"start": [3], "end": [7], "label": ["LOC"]}}',
    ),
    "spans in CSV": (
        "a.csv",
        'text,entities\nanna smith left,"[[0, 10, ""PER""]]"\n'
        'to lima,"[{""begin"": 3, ""end"": 7, ""tag"": ""LOC""}]"\n',
    ),
}


@pytest.mark.parametrize("kind", TAG_FILES)
def test_tag_files(tmp_path: Path, kind: str) -> None:
    source = write(tmp_path, *TAG_FILES[kind])
    assert [(e.words, e.label) for e in read_dataset(source, TAGGING).examples] == SENTENCES
    assert infer_task(source) == ("token-classification", False)


CONLLU = """# sent_id = 1
# text = Vámonos al mar
1-2	Vámonos	_	_	_	_	_	_	_	SpaceAfter=No
1	Vamos	ir	VERB	vm	Mood=Imp	0	root	_	_
2	nos	nosotros	PRON	pp	_	1	obj	_	_
3	mar	mar	NOUN	nc	_	1	obl	_	_
3.1	ya	_	ADV	_	_	_	_	_	_

1	Sí	sí	INTJ	i	_	0	root	_	_
"""


@pytest.mark.parametrize("name", ["a.conllu", "a.conll", "a.txt", "a.conllu.gz"])
def test_conllu_is_read_by_its_universal_tags(tmp_path: Path, name: str) -> None:
    content = gzip.compress(CONLLU.encode()) if name.endswith(".gz") else CONLLU
    source, task = write(tmp_path, name, content), Task("token-classification", ("INTJ", "NOUN", "PRON", "VERB"))
    data = read_dataset(source, task)
    assert [(e.words, e.label) for e in data.examples] == [(("Vamos", "nos", "mar"), (3, 2, 1)), (("Sí",), (0,))]
    assert "read as CoNLL-U" in said(data)
    assert "2 lines of ranges and empty nodes are left out" in said(data)
    assert infer_task(source) == ("token-classification", False)
    assert read_tag_scheme(source) == "plain"
    assert read_labels(source, scheme="plain") == task.labels
    other = Task("token-classification", ("obj", "obl", "root"))
    assert read_dataset(source, other, Columns(label="deprel")).examples[0].label == (2, 0, 1)
    with pytest.raises(InputError, match=r"is none of the teacher's; .*it is CoNLL-U, read by its column upos.*xpos"):
        read_dataset(source, other)


@pytest.mark.parametrize("suffix", ["conll2003", "iob", "iob2", "bio", "bioes"])
def test_columns_under_any_of_their_names(tmp_path: Path, suffix: str) -> None:
    data = read_dataset(write(tmp_path, f"a.{suffix}", CONLL), TAGGING)
    assert [(e.words, e.label) for e in data.examples] == SENTENCES


def test_escapes_in_printed_lists_are_undone(tmp_path: Path) -> None:
    words = ["it's", 'a "b"', "back\\slash", "tab\there", "\u202e", "\x85", "é", "\U000e0041"]
    source = tmp_path / "a.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["tokens", "tags"], [str(words), str(["O"] * len(words))]])
    assert read_dataset(str(source), TAGGING).examples[0].words == tuple(words)


def test_a_column_between_token_and_tag_is_named_by_its_number(tmp_path: Path) -> None:
    source = write(tmp_path, "a.conll", "anna B-PER x\nleft O y\n")
    assert read_dataset(source, TAGGING, Columns(label="2")).examples[0].label == (1, 0)


def test_a_file_without_blank_lines_is_one_sentence_which_is_said(tmp_path: Path) -> None:
    source = write(tmp_path, "a.conll", "anna B-PER\nleft O\n" * 151)
    data = read_dataset(source, Task("token-classification", ("O", "B-PER", "I-PER")))
    warned = [note.text for note in data.notes if note.warning]
    assert warned == [f"{source}: is one sentence of 302 words: blank lines part sentences"]


def test_the_token_number_sign_is_no_comment(tmp_path: Path) -> None:
    assert read_dataset(write(tmp_path, "a.conll", "# O\nanna B-PER\n"), TAGGING).examples[0].words == ("#", "anna")


def test_a_no_break_space_parts_no_columns(tmp_path: Path) -> None:
    assert read_dataset(write(tmp_path, "a.conll", "\u00a0 O\nanna B-PER\n"), TAGGING).examples[0].words[0] == "\u00a0"


def test_a_file_of_both_tasks_is_read_for_the_one_that_is_asked_for(tmp_path: Path) -> None:
    row = {
        "text": "anna smith left",
        "tokens": ["anna", "smith", "left"],
        "slots": ["B-PER", "I-PER", "O"],
        "intent": "pos",
    }
    source = write(tmp_path, "a.jsonl", json.dumps(row))
    assert texts(read_dataset(source, TASK)) == [("anna smith left", 1)]
    assert read_dataset(source, TAGGING).examples[0].label == (1, 2, 0)


@pytest.mark.parametrize(("package", "source"), [("pyarrow", "a.parquet"), ("datasets", "owner/set")])
def test_a_package_that_is_not_there_is_one_line(
    tmp_path: Path, package: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr(extras, "import_module", missing)
    where = source if "/" in source else write(tmp_path, source, b"PAR1")
    with pytest.raises(MissingDependency, match=f"needs {package}, which is not installed; run: pip install"):
        read_dataset(where, TASK)


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_UNPACKED", 100_000)
    source = write(tmp_path, "a.tsv.gz", gzip.compress(b"a" * 1_000_000))
    with pytest.raises(InputError, match="unpacks to more than 100,000 bytes"):
        read_dataset(source, TASK)
