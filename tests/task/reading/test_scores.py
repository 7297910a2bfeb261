"""Data with scores: which columns, which numbers, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import InputError
from edgepack.task.examples import (
    Columns,
    infer_problem,
    infer_ranking,
    infer_task,
    read_both,
    read_dataset,
    read_labels,
)
from edgepack.task.identity import examples_sha256
from edgepack.task.task import Task

SCORE = Task("text-classification", ("score",), problem="regression")
RANKING = Task("text-classification", ("relevance",), pair=True, problem="regression", ranks=True)


def write(folder: Path, text: str, name: str = "data.tsv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def rows(folder: Path, *found: dict[str, Any]) -> str:
    return write(folder, "".join(f"{json.dumps(row)}\n" for row in found), "data.jsonl")


def test_numbers_are_scores(tmp_path: Path) -> None:
    source = write(tmp_path, "score\ttext\n5.000\ta plane\n 3 \tan air plane\n-.5\tboth\n1e-3\tnone\n")
    data = read_dataset(source, SCORE)
    assert [example.label for example in data.examples] == [5.0, 3.0, -0.5, 0.001]
    assert [note.text for note in data.notes] == [f"{source}: scores from column 'score': -0.5 to 5"]
    assert infer_problem(source) == "regression"
    assert read_labels(source) == ("score",)


def test_numbers_of_json_are_scores(tmp_path: Path) -> None:
    source = rows(tmp_path, {"text": "a", "label": 1}, {"text": "b", "label": 0.5})
    assert [example.label for example in read_dataset(source, SCORE).examples] == [1.0, 0.5]
    assert infer_problem(source) == "regression"
    assert read_labels(source) == ("score",)


@pytest.mark.parametrize("column", ["similarity", "Relatedness", "relevance", "rating"])
def test_well_known_names_of_pairs(tmp_path: Path, column: str) -> None:
    source = write(tmp_path, f"sentence1\tsentence2\t{column}\na\tb\t4\nc\td\t1\n")
    assert infer_task(source) == ("text-classification", True)
    assert infer_problem(source) == "regression"
    assert read_labels(source) == (column,)


def test_a_column_that_the_user_names(tmp_path: Path) -> None:
    source = write(tmp_path, "sentence1\tsentence2\tlabel\trelatedness\na\tb\tneutral\t3.6\nc\td\tentailment\t4\n")
    assert infer_problem(source) == "single_label_classification"
    columns = Columns(label="relatedness")
    assert infer_problem(source, columns) == "regression"
    assert read_labels(source, columns) == ("relatedness",)
    task = Task("text-classification", ("relatedness",), pair=True, problem="regression")
    assert [example.label for example in read_dataset(source, task, columns).examples] == [3.6, 4.0]


@pytest.mark.parametrize("values", [("1", "2"), ("1", "good"), ("1.0", "2.0")])
def test_whole_numbers_and_names_in_a_label_column_are_classes(tmp_path: Path, values: tuple[str, str]) -> None:
    source = write(tmp_path, "text\tlabel\n" + "".join(f"text\t{value}\n" for value in values))
    assert infer_problem(source) == "single_label_classification"


@pytest.mark.parametrize("value", ["good", "3,5", "", "nan", "inf", "1e10", "1e999", "0x10", "1_000", "٣"])
def test_what_is_no_score_is_refused_with_its_place(tmp_path: Path, value: str) -> None:
    source = write(tmp_path, f"text\tscore\na\t1.5\nb\t{value}\n")
    with pytest.raises(InputError, match=r"data\.tsv.*3.*a number from|data\.tsv.*3.*no value") as refused:
        read_dataset(source, SCORE)
    assert ("not a comma" in str(refused.value)) == (value == "3,5")


@pytest.mark.parametrize("value", [True, None, [1.0], {"score": 1}, float("nan"), 10**400])
def test_values_of_json_that_are_no_scores_are_refused(tmp_path: Path, value: Any) -> None:
    source = rows(tmp_path, {"text": "a", "score": 1.5}, {"text": "b", "score": value})
    with pytest.raises(InputError, match=r"data\.jsonl"):
        read_dataset(source, SCORE)


def test_evaluation_with_one_score_is_refused(tmp_path: Path) -> None:
    train = write(tmp_path, "text\tscore\na\t1.5\nb\t2\n")
    evaluation = write(tmp_path, "text\tscore\nc\t2.5\nd\t2.5\n", "eval.tsv")
    with pytest.raises(InputError, match=r"eval\.tsv: all evaluation examples have the same score, 2\.5"):
        read_both(train, evaluation, SCORE)


def test_the_hash_of_examples_knows_their_scores(tmp_path: Path) -> None:
    first, other = (
        read_dataset(write(tmp_path, f"text\tscore\na\t1.5\nb\t{value}\n", f"{value}.tsv"), SCORE) for value in (2, 3)
    )
    assert examples_sha256(first, SCORE) != examples_sha256(other, SCORE)


CANDIDATES = "query\tpassage\trelevance\n" + "".join(f"q{q}\tp{p}\t{int(p == q)}\n" for q in range(3) for p in range(3))


@pytest.mark.parametrize("candidate", ["passage", "document", "answer", "product_title"])
def test_a_query_with_several_candidates_is_a_ranking(tmp_path: Path, candidate: str) -> None:
    source = write(tmp_path, CANDIDATES.replace("passage", candidate))
    assert infer_task(source) == ("text-classification", True)
    assert infer_problem(source) == "regression"
    assert infer_ranking(source)
    assert [example.label for example in read_dataset(source, RANKING).examples][:4] == [1.0, 0.0, 0.0, 0.0]


def test_other_pairs_are_no_ranking(tmp_path: Path) -> None:
    alone = write(tmp_path, "query\tpassage\trelevance\nq0\tp0\t1\nq1\tp1\t0\n")
    assert not infer_ranking(alone)
    sentences = write(tmp_path, CANDIDATES.replace("query\tpassage", "sentence1\tsentence2"), "other.tsv")
    assert not infer_ranking(sentences)


def test_a_candidate_below_0_is_refused_with_its_place(tmp_path: Path) -> None:
    source = write(tmp_path, CANDIDATES.replace("q1\tp2\t0", "q1\tp2\t-1"))
    with pytest.raises(InputError, match=r"data\.tsv.*7.*score is -1\.0"):
        read_dataset(source, RANKING)


def test_queries_of_equal_candidates_judge_nothing(tmp_path: Path) -> None:
    train = write(tmp_path, CANDIDATES)
    evaluation = write(tmp_path, "query\tpassage\trelevance\nq7\tp1\t1\nq7\tp2\t1\nq8\tp1\t0\n", "eval.tsv")
    with pytest.raises(InputError, match="no query of it has candidates of different scores"):
        read_both(train, evaluation, RANKING)
