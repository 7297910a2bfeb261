"""Rows and files that cannot be read: one line with the place, whatever is in them, and nothing forged or flooded."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepack.errors import InputError
from edgepack.task.examples import Columns, read_dataset
from edgepack.task.task import Task

TEXT = Task("text-classification", ("neg", "pos"))
PAIR = Task("text-classification", ("neg", "pos"), pair=True)
TAGS = Task("token-classification", ("O", "B-PER", "I-PER"))
GOOD = '{"text": "a", "label": "neg"}\n'
LONGEST_MESSAGE = 1_000

BROKEN: dict[str, tuple[str, str | bytes, Task, str]] = {
    "surrogate in a text": ("a.jsonl", GOOD + '{"text": "x \\ud83d", "label": 0}', TEXT, r":2: .*half of a surrogate"),
    "surrogate in a label": ("a.jsonl", GOOD + '{"text": "x", "label": "\\udc00"}', TEXT, r":2: .*half of a surrogate"),
    "surrogate in a token": ("a.jsonl", '{"tokens": ["\\ud83d"], "tags": ["O"]}', TAGS, r":1: .*half of a surrogate"),
    "surrogate in a pair": (
        "a.jsonl",
        '{"text": "x", "text_pair": "\\ud83d", "label": 0}',
        PAIR,
        r":1: column 'text_pair' .*half of a surrogate",
    ),
    "nested without end": ("a.jsonl", GOOD + '{"text": ' + "[" * 100_000, TEXT, r":2: not valid JSON: nested too deep"),
    "nested and closed": (
        "a.jsonl",
        GOOD + '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}",
        TEXT,
        r":2: not valid JSON: nested too deep",
    ),
    "nested inside a list": (
        "a.json",
        '[{"text": "a", "label": 0},\n{"text": ' + "[" * 100_000 + "}]",
        TEXT,
        r":2: item 2 is not valid JSON: nested too deep",
    ),
    "integer of 5,000 digits": (
        "a.jsonl",
        GOOD + f'{{"text": "x", "label": {"9" * 5000}}}',
        TEXT,
        r":2: not valid JSON",
    ),
    "integer of 1,000 digits": (
        "a.jsonl",
        GOOD + f'{{"text": "x", "label": {"9" * 1000}}}',
        TEXT,
        r":2: label is a number",
    ),
    "a key twice": (
        "a.jsonl",
        GOOD + '{"label": "pos", "text": "x", "label": "neg"}',
        TEXT,
        r":2: the key 'label' stands 2 times in the row, with 'pos' and 'neg'; one value is needed",
    ),
    "a key twice in a list": (
        "a.json",
        '[{"text": "a", "label": 0}, {"text": "b", "text": "c", "label": 0}]',
        TEXT,
        r"item 2: the key 'text' stands 2 times",
    ),
    "label NaN": ("a.jsonl", GOOD + '{"text": "x", "label": NaN}', TEXT, r":2: label is nan"),
    "label infinite": ("a.jsonl", GOOD + '{"text": "x", "label": 1e999}', TEXT, r":2: label is inf"),
    "label null": ("a.jsonl", GOOD + '{"text": "x", "label": null}', TEXT, r":2: no value in column 'label'"),
    "label a list": ("a.jsonl", '{"text": "x", "label": [0, 1]}', TEXT, r":1: label is a list, \[0, 1\]: multi-label"),
    "label an object": ("a.jsonl", GOOD + '{"text": "x", "label": {"a": 1}}', TEXT, r":2: label is {'a': 1}"),
    "label a score": ("a.jsonl", '{"text": "x", "label": 3.8}', TEXT, r":1: label is 3\.8; .*a teacher of scores"),
    "two labels in one": (
        "a.tsv",
        "text\tlabel\nx\tneg,pos\n",
        TEXT,
        r":2: label 'neg,pos' is 2 labels in one: multi-label",
    ),
    "a column for each label": (
        "a.csv",
        "text,toxic,rude\nx,0,1\ny,1,1\n",
        TEXT,
        r"rude\), and not one .*: multi-label",
    ),
    "text a number": ("a.jsonl", '{"text": NaN, "label": 0}', TEXT, r":1: column 'text' holds nan; text is needed"),
    "columns of a data frame": ("a.json", '{"text": {"0": "a"}, "label": {"0": 1}}', TEXT, r":1: .*orient='records'"),
    "first row short": ("a.jsonl", '{"label": "neg"}\n' + GOOD, TEXT, r":1: no value in column 'text'"),
    "no comma in a list": ("a.json", '[{"text": "a", "label": 0} {}]', TEXT, r":1: no comma behind item 1"),
    "list not closed": ("a.json", '[{"text": "a", "label": 0},', TEXT, r":1: item 2 is not valid JSON"),
    "list with a string": ("a.json", '[{"text": "a", "label": 0}, "b"]', TEXT, r"a\.json: item 2: is a JSON str"),
    "UTF-16 without a mark": ("a.tsv", "text\tlabel\na\t0\n".encode("utf-16-le"), TEXT, r":1: is UTF-16, not UTF-8"),
    "LFS pointer": ("a.tsv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", TEXT, "Git LFS pointer"),
    "a sheet": ("a.xlsx", b"PK\3\4", TEXT, "save the sheet as CSV"),
    "not gzip": ("a.tsv.gz", b"text\tlabel\n", TEXT, "not a valid gzip file"),
    "gzip cut off": ("a.tsv.gz", gzip.compress(os.urandom(5_000))[:2_000], TEXT, "ends too early"),
    "Parquet under another name": ("a.csv", b"PAR1\xae", TEXT, r"a\.csv: holds Parquet: name it \.parquet"),
    "gzip under another name": ("a.jsonl", gzip.compress(b"{}"), TEXT, r"holds gzip: put \.gz behind its name"),
    "a zip archive": ("a.csv", b"PK\3\4\x80", TEXT, r"holds a zip archive, as sheets of \.xlsx are"),
    "a web page": ("a.csv", "<!DOCTYPE html><p>404", TEXT, "holds a web page, not data"),
    "fastText's": ("a.txt", "__label__neg what a film\n", TEXT, "is in fastText's format; write TSV"),
    "a quote that is not doubled": ("a.csv", 'text,label\n"a "b" c",neg\n', TEXT, r":2: .* must be doubled"),
    "a quote that is not closed": (
        "a.csv",
        'text,label\na,neg\n"b,pos\nc,neg\n',
        TEXT,
        r"a\.csv:3: a quote opens a field in this row, and none closes it",
    ),
    "a document of something else": (
        "a.json",
        '{\n "nlu": {"examples": []}\n}',
        TEXT,
        r"a\.json: is one JSON object with the keys nlu; one object on each line is needed",
    ),
    "a document on one line": (
        "a.json",
        '{"train": [["a", "b"]]}',
        TEXT,
        "columns: train; .* write an object for each",
    ),
    "scores with a comma": ("a.csv", 'text,score\na,"0,5"\n', TEXT, r":2: column 'score' holds '0,5', which is no"),
    "an empty cell": ("a.csv", '""\n', TEXT, "its only cell is empty"),
    "no header": ("a.tsv", "what a film\t1\nbad\t0\n", TEXT, "add a header if the first line is an example"),
    "columns that differ in case": ("a.csv", "Text,TEXT,label\na,b,0\n", TEXT, r"columns Text, TEXT differ in case"),
    "rows nested": (
        "a.jsonl",
        '{"id": 1, "data": {"tokens": ["a"], "tags": ["O"]}}',
        TAGS,
        r"entries of 'data' \(tokens, tags\)",
    ),
    "CoNLL-U of uneven width": (
        "a.conllu",
        "# text = a\n1\ta\ta\tNOUN\n",
        TAGS,
        r"a\.conllu:2: CoNLL-U has 10 columns .* this line has 4: 1, a, a, NOUN",
    ),
    "CoNLL-U for a teacher of entities": (
        "a.conllu",
        "1\tanna\t_\tPROPN\tNNP\t_\t0\troot\t_\t_\n",
        TAGS,
        r"tags are PROPN; none is O.*; it is CoNLL-U, read by its column upos; --label-column names another: xpos",
    ),
    "CoNLL-U without tags": (
        "a.conllu",
        "1\tanna\t_\t_\tNNP\t_\t0\troot\t_\t_\n",
        Task("token-classification", ("NOUN", "PROPN")),
        r"a\.conllu:1: the word 'anna' has no upos \(_\); name a column .* --label-column: upos, xpos",
    ),
    "CoNLL of uneven width": ("a.conll", "a O\nb\n", TAGS, r"a\.conll:2: CoNLL columns .* has 2, this one has 1: b"),
    "CoNLL of one column": ("a.conll", "a\nb\n", TAGS, "a token and its tag on each line are needed"),
    "CoNLL without a token": ("a.conll", "a\tO\n\tO\n", TAGS, r"a\.conll:2: CoNLL columns"),
    "CoNLL with the tag first": (
        "a.conll",
        "B-PER anna\nO left\n",
        TAGS,
        r"first column holds tags \(B-PER, O\), .* tokens \(anna, left\)",
    ),
    "a header in the middle": (
        "a.csv",
        "text,label\nx,neg\n\ufefftext,label\ny,pos\n",
        TEXT,
        r"a\.csv:3: the header again, as where files were joined",
    ),
    "tokens, no sentences": ("a.csv", "word,tag\nanna,B-PER\nleft,O\n", TAGS, "one token in each row and nothing"),
    "sentence without a number": (
        "a.csv",
        "sentence_id,word,tag\n,a,O\n,b,O\n",
        TAGS,
        r":2: no value in column 'sentence_id'",
    ),
    "tag null": ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["O", null]}', TAGS, r":1: token 2 has no tag"),
    "tags of what is not scored": (
        "a.jsonl",
        '{"tokens": ["a", "b"], "tags": [-100, 1]}',
        TAGS,
        r":1: label '-100' .*-100 tokens without a tag",
    ),
    "tags mixed with ids": ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["O", 1]}', TAGS, r":1: tag '1' is a class id"),
    "list cut short": (
        "a.csv",
        "tokens,tags\n['a' 'b' ... 'c'],['O' 'O' 'O' 'O']\n",
        TAGS,
        r":2: the list .* cut short",
    ),
    "list broken": ("a.csv", "tokens,tags\n\"['a', 'b]\",\"['O', 'O']\"\n", TAGS, r":2: the list .* is broken"),
    "tags of speech": (
        "a.jsonl",
        '{"tokens": ["a", "b"], "tags": ["DET", "NOUN"]}',
        TAGS,
        "none is O, so these are no entity",
    ),
    "span outside": (
        "a.jsonl",
        '{"text": "ab", "entities": [[0, 5, "PER"]]}',
        TAGS,
        r":1: entity 'PER' is at 0 to 5; .* 2 char",
    ),
    "span backwards": (
        "a.jsonl",
        '{"text": "ab", "entities": [[1, 1, "PER"]]}',
        TAGS,
        r":1: entity 'PER' is at 1 to 1",
    ),
    "span without a label": ("a.jsonl", '{"text": "ab", "entities": [[0, 1]]}', TAGS, r":1: an entity is \[0, 1\]"),
    "span in words": (
        "a.jsonl",
        '{"text": "ab", "entities": [{"start": "0", "end": 1, "label": "PER"}]}',
        TAGS,
        ":1: an entity",
    ),
    "spans overlap": (
        "a.jsonl",
        '{"text": "a b c", "entities": [[0, 3, "PER"], [2, 5, "PER"]]}',
        TAGS,
        ":1: entities overlap at",
    ),
    "span of another text": (
        "a.jsonl",
        '{"text": "😀 anna", "entities": [{"start": 3, "end": 7, "label": "PER", "text": "anna"}]}',
        TAGS,
        r":1: entity 'PER' is at 3 to 7; the text has 6",
    ),
    "span of another place": (
        "a.jsonl",
        '{"text": "😀 anna left", "entities": [{"start": 3, "end": 7, "label": "PER", "text": "anna"}]}',
        TAGS,
        r":1: entity 'anna' is at 3 to 7, where the text has 'nna '",
    ),
    "span whose word stands elsewhere": (
        "a.jsonl",
        '{"text": "hi anna", "entities": [{"start": 0, "end": 2, "label": "PER", "word": "ANNA"}]}',
        TAGS,
        r":1: entity 'ANNA' is at 0 to 2, where the text has 'hi'",
    ),
    "span whose word stands elsewhere, in a list": (
        "a.jsonl",
        '{"text": "hi anna", "entities": [[0, 2, "PER", "ANNA"]]}',
        TAGS,
        r":1: entity 'ANNA' is at 0 to 2, where the text has 'hi'",
    ),
    "span that ends at its own beginning": (
        "a.jsonl",
        '{"text": "a b", "entities": [[0, 0, "PER"]]}',
        TAGS,
        r":1: entity 'PER' is at 0 to 0; .*an end is exclusive",
    ),
    "a number without its name": (
        "a.csv",
        "text,label,label_text\nx,1,\ny,0,neg\n",
        TEXT,
        r"a\.csv:2: column 'label_text', which names the numbers of column 'label', is empty here",
    ),
    "spans called by tags of words": (
        "a.jsonl",
        '{"text": "anna smith", "entities": [[0, 4, "B-PER"], [5, 10, "I-PER"]]}',
        TAGS,
        r":1: entities by position are called B-PER, I-PER, as single words are tagged: write whole entities",
    ),
    "JSON called CSV": ("a.csv", GOOD, TEXT, r"a\.csv: holds JSON: name it \.jsonl"),
    "JSON called TSV": ("a.tsv", f"[{GOOD}]", TEXT, r"a\.tsv: holds JSON: name it \.jsonl"),
    "rows behind a list": (
        "a.json",
        f"[{GOOD}]\n[{GOOD}]",
        TEXT,
        r"a\.json:3: more stands behind the end of the list",
    ),
    "a second list of rows": (
        "a.json",
        f'{{"data": [{GOOD}], "names": [{{"id": 1}}], "validation": [{GOOD}]}}',
        TEXT,
        r"a\.json: has a second list of rows under 'validation', which would not be read",
    ),
    "an object that is cut behind its rows": (
        "a.json",
        f'{{"data": [{GOOD}], "version": "1',
        TEXT,
        r"a\.json:2: not valid JSON behind the list of rows: Unterminated string",
    ),
    "an object that does not end": ("a.json", f'{{"data": [{GOOD}]', TEXT, r"does not end behind it; was the file cut"),
    "tokens of which no two of a sentence stand together": (
        "a.csv",
        "sentence_id,token,ner_tag\n" + "".join(f"{s},{t},O\n" for t in "abc" for s in (1, 2, 2, 3)),
        TAGS,
        r"a\.csv:6: a sentence of column 'sentence_id' comes back here, .*sort them",
    ),
    "a tar archive": ("a.tsv.gz", gzip.compress(b"a.tsv".ljust(257, b"\0") + b"ustar"), TEXT, "holds a tar archive"),
    "a sheet of an old Excel": ("a.csv", b"\xd0\xcf\x11\xe0\xa1", TEXT, r"a sheet of an old Excel \(\.xls\)"),
    "a list without rows": ("a.json", "[]", TEXT, r"a\.json: no text column found: it has no columns"),
    "span on a space": (
        "a.jsonl",
        '{"text": "a b", "entities": [[1, 2, "PER"]]}',
        TAGS,
        r":1: the entity 'PER' .* holds no word",
    ),
}


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def assert_clean(message: str) -> None:
    assert message.isprintable()
    assert len(message) < LONGEST_MESSAGE


@pytest.mark.parametrize("kind", BROKEN)
def test_one_line_with_its_place(tmp_path: Path, kind: str) -> None:
    name, content, task, expected = BROKEN[kind]
    with pytest.raises(InputError, match=expected) as caught:
        read_dataset(write(tmp_path, name, content), task)
    assert_clean(str(caught.value))


def test_a_key_twice_is_fine_where_it_is_not_read_or_is_inside_another(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "the \\"label\\" \'label\'", "label": "neg", "id": 1, "id": 2, "meta": {"label": 3}}\n')
    assert [(e.text, e.label) for e in read_dataset(str(source), TEXT).examples] == [("the \"label\" 'label'", 0)]


def test_utf8_that_is_broken_inside_parquet_names_its_row(tmp_path: Path) -> None:
    offsets = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    broken = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"ab\xff"))
    pq.write_table(pa.table({"text": broken, "label": [0, 1, 0]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: row 3: column 'text' is not UTF-8"):
        read_dataset(str(tmp_path / "a.parquet"), TEXT)


def test_bytes_in_parquet_are_text_if_they_are_utf8(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [b"a", "é".encode()], "label": [b"neg", b"pos"]}), tmp_path / "a.parquet")
    examples = read_dataset(str(tmp_path / "a.parquet"), TEXT).examples
    assert [(e.text, e.label) for e in examples] == [("a", 0), ("é", 1)]
    pq.write_table(pa.table({"text": [b"a", b"\xff"], "label": [0, 1]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="row 2: column 'text' holds bytes that are not UTF-8"):
        read_dataset(str(tmp_path / "b.parquet"), TEXT)


def test_a_value_that_python_cannot_hold_names_its_row(tmp_path: Path) -> None:
    late = pa.array([0, 253402300800000], pa.timestamp("ms"))
    pq.write_table(pa.table({"text": ["a", "b"], "label": late}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: row 2: column 'label'"):
        read_dataset(str(tmp_path / "a.parquet"), TEXT)


FORGERY = "x\nerror: all is well\x1b[2J\u202e\u2028\r"


@pytest.mark.parametrize("place", ["label", "column", "tag", "span"])
def test_nothing_in_a_file_forges_a_line(tmp_path: Path, place: str) -> None:
    rows = {
        "label": ({"text": "a", "label": FORGERY}, TEXT),
        "column": ({FORGERY: "a", "x": 0}, TEXT),
        "tag": ({"tokens": ["a"], "tags": [f"B-{FORGERY}"]}, TAGS),
        "span": ({"text": "a", "entities": [[0, 1, FORGERY]]}, TAGS),
    }
    row, task = rows[place]
    with pytest.raises(InputError) as caught:
        read_dataset(write(tmp_path, "a.jsonl", json.dumps(row)), task)
    assert_clean(str(caught.value))


@pytest.mark.parametrize("place", ["text", "label", "column", "tag", "labels"])
def test_nothing_in_a_file_floods_a_message(tmp_path: Path, place: str) -> None:
    huge = "long" * 500_000
    rows = {
        "text": ([{"text": [huge], "label": 0}], TEXT),
        "label": ([{"text": "a", "label": huge}], TEXT),
        "column": ([{f"{huge}{i}": 0 for i in range(3)}], TEXT),
        "tag": ([{"tokens": ["a"], "tags": [f"B-{huge}"]}], TAGS),
        "labels": ([{"text": "a", "label": f"{i} {'y' * 500}"} for i in range(2_000)], TEXT),
    }
    content, task = rows[place]
    with pytest.raises(InputError) as caught:
        read_dataset(write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, content))), task)
    assert len(str(caught.value)) < 2_500


def test_a_column_named_by_the_user_must_be_there(tmp_path: Path) -> None:
    source = write(tmp_path, "a.jsonl", GOOD)
    with pytest.raises(InputError, match=r"no column 'Text'; its columns: text, label"):
        read_dataset(source, TEXT, Columns(text="Text"))
