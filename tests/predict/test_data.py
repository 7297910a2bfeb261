"""A bundle on a data set: the gate's metric, texts without labels, and which token of a word counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack import predict_data
from edgepack.bundle.write import Bundle as Written
from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.evidence.gate import gate
from edgepack.predict import Bundle, DataAnswers
from edgepack.predict.answer import Answer, Entity
from edgepack.predict.data import token_labels
from edgepack.predict.data_answers import Compared, Disagreement
from edgepack.task.dataset import Dataset, Example
from edgepack.task.intervals import Interval
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.tokenizer.asset import asset_bytes
from edgepack.tokenizer.reader import read_tokenizer_asset
from tests.evidence.conftest import bundle as bundle
from tests.evidence.conftest import world as world
from tests.evidence.world import World, make_tokenizer

TAGS = Task("token-classification", ("O", "B-X", "I-X"))
TOKENIZER = make_tokenizer()
READER = read_tokenizer_asset(asset_bytes(TOKENIZER))


@pytest.fixture(scope="module")
def folder(bundle: Written) -> Path:
    return bundle.folder


def call(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["predict", *map(str, arguments)])


def test_the_metric_is_the_gates(folder: Path, world: World) -> None:
    found = predict_data(folder, world.data, quiet=True)
    (judged,) = gate([folder], evaluation=str(world.data)).bundles
    (metric,) = (check.value for check in judged.checks if check.name == "metric")
    assert found.metric is not None
    assert (found.metric_name, found.metric.value) == ("accuracy", metric)
    assert found.metric.low <= found.metric.value <= found.metric.high


def test_answers_are_those_of_single_texts(folder: Path, world: World) -> None:
    bundle = Bundle.load(folder)
    found = predict_data(bundle, world.data, quiet=True)
    rows = [line.split("\t") for line in world.data.read_text().splitlines()[1:]]
    assert found.truths == tuple(label for _, label in rows)
    assert [answer.text for answer in found.answers] == [text for text, _ in rows]
    assert [answer.to_record() for answer in found.answers[:5]] == [bundle(text).to_record() for text, _ in rows[:5]]
    assert sum(found.counts.values()) == len(rows)
    assert list(found.counts.values()) == sorted(found.counts.values(), reverse=True)


@pytest.mark.parametrize("name", ["texts.tsv", "texts.jsonl", "texts.csv", "texts.txt"])
def test_texts_without_labels_are_answered_and_not_measured(folder: Path, tmp_path: Path, name: str) -> None:
    texts, path = ["a b", "good good", "c " * 40], tmp_path / name
    if name.endswith("jsonl"):
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    elif name.endswith("txt"):
        path.write_text("".join(f"{text}\n\n" for text in texts))  # blank lines are no texts
    else:
        path.write_text(
            "".join(f"{text}\t1\n" for text in ["text", *texts]).replace("\t1", "" if "csv" in name else "\tx")
        )
    found = predict_data(folder, path, quiet=True)
    assert [answer.text.strip() for answer in found.answers] == [text.strip() for text in texts]
    assert (found.metric, found.truths, found.cut) == (None, (), 1)
    assert "not measured: the data have no label column" in found.table()
    assert "1 texts are longer than the model's input" in found.table()
    assert "truth" not in found.to_record()["answers"][0]


def test_a_text_file_whose_first_line_names_columns_is_a_table(folder: Path, world: World, tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text(world.data.read_text())
    found = predict_data(folder, path, quiet=True)
    assert found.truths == predict_data(folder, world.data, quiet=True).truths
    path.write_text("text\na b\n")
    assert [answer.text for answer in predict_data(folder, path, quiet=True).answers] == ["a b"]


def test_the_command_prints_a_summary_or_everything(folder: Path, world: World) -> None:
    told = call(folder, "--data", world.data, "--quiet")
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("texts     ")
    assert "accuracy  " in told.stdout
    record = json.loads(call(folder, "--data", world.data, "--json").stdout)
    assert record == json.loads(json.dumps(predict_data(folder, world.data, quiet=True).to_record()))
    assert record["n"] == len(record["answers"]) == 75
    assert {"text", "label", "probabilities", "warnings", "truth"} <= set(record["answers"][0])


def test_columns_are_named_as_in_a_build(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "field.csv"
    path.write_text("kind,body\n0,a b\n1,good\n")
    options = ("--text-column", "body", "--label-column", "kind", "--labels", "negative,positive", "--json")
    record = json.loads(call(folder, "--data", path, *options).stdout)
    assert [answer["truth"] for answer in record["answers"]] == ["negative", "positive"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--compare-teacher", "teacher"], "--compare-teacher goes with --data"),
        (["--label-column", "kind", "a text"], "add --data FILE"),
        (["--data", "eval.tsv", "a text"], "text is 'a text' beside --data"),
        (["--data", "nowhere.tsv"], "nowhere.tsv: no such file"),
    ],
)
def test_what_does_not_go_together_is_one_line(folder: Path, arguments: list[str], said: str) -> None:
    told = call(folder, *arguments)
    assert told.exit_code == 2
    assert said in told.stderr
    assert told.stderr.count("\n") == 1


def told_columns(folder: Path, to: Path, columns: dict[str, str]) -> Path:
    """A bundle whose build was told these columns."""
    copy = Path(shutil.copytree(folder, to))
    document = json.loads((copy / "edgepack.json").read_text())
    document["evaluation"]["columns"] = columns
    (copy / "edgepack.json").write_text(json.dumps(document))
    return copy


def test_a_column_that_the_build_was_told_is_said_to_be_its(folder: Path, tmp_path: Path) -> None:
    bundle = told_columns(folder, tmp_path / "bundle", {"text": "body", "label": "kind"})
    data = tmp_path / "other.tsv"
    data.write_text("text\tlabel\na b\tnegative\ngood\tpositive\n")
    with pytest.raises(
        InputError,
        match=r"no column 'body', which the bundle's build was told; name another with text_column; its columns: text",
    ):
        predict_data(bundle, data, quiet=True)
    assert len(predict_data(bundle, data, text_column="text", quiet=True).answers) == 2
    (tmp_path / "other.txt").write_text("a b\ngood\n")
    assert len(predict_data(bundle, tmp_path / "other.txt", quiet=True).answers) == 2
    with pytest.raises(InputError, match=r"no column 'words'; its columns: text"):
        predict_data(bundle, tmp_path / "other.txt", text_column="words", quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a", "b"]}, r"texts\.txt: labels goes with labels, and it has no column of them: leave"),
        ({"out_of_scope": "oos"}, r"texts\.txt: out_of_scope goes with labels, and it has no column of them"),
    ],
)
def test_names_of_labels_that_are_not_there_are_refused(
    folder: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "texts.txt").write_text("a b\ngood\n")
    with pytest.raises(InputError, match=message):
        predict_data(folder, tmp_path / "texts.txt", quiet=True, **options)


def test_threads_of_a_bundle_that_is_loaded_are_refused(folder: Path, world: World) -> None:
    loaded = Bundle.load(folder)
    with pytest.raises(InputError, match=r"threads is 4, and the bundle is loaded: give it to Bundle\.load"):
        predict_data(loaded, world.data, threads=4, quiet=True)


def test_a_label_out_of_scope_that_no_row_has_is_refused(folder: Path, world: World) -> None:
    with pytest.raises(InputError, match=r"has the label 'oos' of out_of_scope"):
        predict_data(folder, world.data, out_of_scope="oos", quiet=True)


def test_labels_that_the_bundle_does_not_know_are_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.tsv"
    path.write_text("text\tlabel\na\tred\nb\tblue\n")
    with pytest.raises(InputError, match="red"):
        predict_data(folder, path, quiet=True)
    (tmp_path / "none.tsv").write_text("nothing\tknown\na\tb\n")
    with pytest.raises(InputError, match="no text column found"):
        predict_data(folder, tmp_path / "none.tsv", quiet=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab'.-é中\u0301\u200b9"), min_size=1, max_size=6), min_size=1, max_size=9),
    st.integers(3, 24),
)
def test_the_token_that_counts_is_that_of_the_gates_encoding(words: list[str], max_length: int) -> None:
    """Words joined by spaces, read by the asset, have their labels at the same tokens as words given one by one."""
    tags = tuple(number % 3 for number, _ in enumerate(words))
    example = Example(" ".join(words), None, tuple(words), tags)
    expected = encode(Dataset((example,), "made", "0"), TAGS, TOKENIZER, max_length)
    encoding = READER.encode(example.text, None, max_length)
    labels, places = token_labels(example, encoding.own_offsets, str.isspace)
    assert encoding.input_ids == expected.input_ids.tolist()
    assert labels == expected.labels.tolist()
    assert [tags[place] for place in places] == [label for label in labels if label >= 0]


def test_a_table_of_disagreements_over_words() -> None:
    rows = tuple(Disagreement(n, "fly to oslo", None, "oslo", "B-LOC", "B-LOC", 0.9, "O", 0.51) for n in range(30))
    answer = Answer("fly to oslo", None, 5, False, 0.0, entities=(Entity("LOC", 7, 11, "oslo", 0.9),))
    compared = Compared("teacher", Interval(0.9, 0.8, 1.0), Interval(0.95, 0.9, 1.0), 100, 30, rows)
    found = DataAnswers("dev.tsv", (answer,), (("O", "O", "B-LOC"),), "entity_f1", Interval(1, 1, 1), compared)
    table = found.table().splitlines()
    assert compared.agreement == pytest.approx(0.7)
    assert "agreement            70.00%: 30 of 100 decisions differ" in table
    assert "word  label  teacher    bundle  text" in table
    assert "oslo  B-LOC  B-LOC 90%  O 51%   fly to oslo" in table
    assert table[-1] == "and 10 others; --json has them all"
    assert len(json.loads(json.dumps(found.to_record()))["teacher"]["disagreements"]) == 30
    assert found.counts == {"LOC": 1}


def test_what_text_classification_counts(folder: Path) -> None:
    assert token_labels(Example("a", None, None, 1), [None, (0, 1), None], str.isspace) == ([1], [0])
    assert np.asarray(token_labels(Example("", None, (), ()), [None, None], str.isspace)[0]).tolist() == [-100, -100]


def test_pairs_are_no_single_texts(folder: Path, tmp_path: Path) -> None:
    """As a build and the gate have it: one text of two is not answered in silence."""
    (tmp_path / "pairs.tsv").write_text("sentence1\tsentence2\nplay\tstop\n")
    result = call(folder, "--data", tmp_path / "pairs.tsv")
    assert result.exit_code == 2
    assert "its texts come in pairs (sentence1, sentence2)" in result.stderr
    assert call(folder, "--data", tmp_path / "pairs.tsv", "--text-column", "sentence1").exit_code == 0
