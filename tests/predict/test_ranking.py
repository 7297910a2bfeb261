"""Candidates in order of a query: by scores of pairs, by cosines of vectors, refused for other bundles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.predict import Answer, Bundle
from edgepack.predict.ranking import SIMILARITY, ranked
from edgepack.task.similarity import EMBEDS, Prompts
from edgepack.task.task import Task
from tests.evidence.conftest import bundle as bundle
from tests.evidence.conftest import copy as copy
from tests.evidence.conftest import world as world
from tests.evidence.vector_world import write_vector_bundle

VECTORS = {"up": (0.0, 2.0), "north": (0.0, 1.0), "right": (3.0, 0.0), "diagonal": (1.0, 1.0), "nowhere": (0.0, 0.0)}
RERANKER = Task("text-classification", ("score",), True, problem="regression")


def embed(text: str | tuple[str, str]) -> Answer:
    assert isinstance(text, str)
    return Answer(text, None, tokens=3, cut=text == "diagonal", unknown=0.0, vector=VECTORS[text])


def score(text: str | tuple[str, str]) -> Answer:
    query, candidate = text
    assert query == "query"
    return Answer(query, candidate, tokens=3, cut=False, unknown=0.0, label="score", score=float(len(candidate)))


def test_vectors_rank_by_their_cosine_whatever_their_length() -> None:
    found = ranked(Task(EMBEDS, (), vector_size=2), embed, "up", ["right", "diagonal", "nowhere", "north"])
    assert [each.pair for each in found] == ["north", "diagonal", "right", "nowhere"]
    assert [each.score for each in found] == pytest.approx([1, 0.5**0.5, 0, 0])
    assert {(each.text, each.label, each.vector) for each in found} == {("up", SIMILARITY, None)}
    assert [each.cut for each in found] == [False, True, False, False]


def test_prompts_stand_before_query_and_candidates_where_they_do_not_yet() -> None:
    asked: list[object] = []
    task = Task(EMBEDS, (), vector_size=2, prompts=Prompts("nor", "di"))
    found = ranked(task, lambda text: (asked.append(text), embed(text))[1], "th", ["agonal", "diagonal"])
    assert asked == ["north", "diagonal", "diagonal"]
    assert [(each.text, each.pair) for each in found] == [("th", "agonal"), ("th", "diagonal")]


def test_scores_rank_by_themselves_and_equal_ones_keep_their_order() -> None:
    found = ranked(RERANKER, score, "query", ["one", "three", "two", "six"])
    assert [each.pair for each in found] == ["three", "one", "two", "six"]
    assert [each.score for each in found] == [5, 3, 3, 3]


def test_other_bundles_and_what_is_no_list_of_texts_are_refused() -> None:
    for task in (
        Task("text-classification", ("no", "yes"), True),
        Task("text-classification", ("score",), False, problem="regression"),
        Task("token-classification", ("O", "B-X")),
    ):
        with pytest.raises(InputError, match=f"that scores pairs.* this one is of {task.name}"):
            ranked(task, score, "query", ["one"])
    for texts in ((each for each in ["one"]), np.array(["one"]), ("one",)):
        assert [each.pair for each in ranked(RERANKER, score, "query", texts)] == ["one"]  # type: ignore[arg-type]
    for texts in ([], "one", [1], {"one"}, {"one": 1}, None, 5):
        with pytest.raises(InputError, match="a list of one text or more is needed"):
            ranked(RERANKER, score, "query", texts)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="it is one text"):
        ranked(RERANKER, score, ("a", "b"), ["one"])  # type: ignore[arg-type]


def test_the_command_prints_the_best_first(tmp_path: Path) -> None:
    made, _ = write_vector_bundle(tmp_path)
    texts = ["a b", "c d e", "a c", "h"]

    def run(*arguments: str, given: str | None = None) -> str:
        told = CliRunner().invoke(main, ["predict", str(made.folder), "--rank", "a b", *arguments], input=given)
        assert told.exit_code == 0, told.stderr
        return told.stdout

    rows = [json.loads(line) for line in run("-", "--json", given="\n".join(texts)).splitlines()]
    expected = Bundle.load(made.folder).rank("a b", texts)
    assert rows == [json.loads(json.dumps(answer.to_record())) for answer in expected]
    assert [rows[0]["pair"], rows[0]["score"]] == ["a b", pytest.approx(1, abs=1e-3)]
    assert sorted((row["score"] for row in rows), reverse=True) == [row["score"] for row in rows]
    assert run(*texts).startswith(f"a b | a b\n  {SIMILARITY} {rows[0]['score']:.4f}\n")


def test_the_command_refuses_other_bundles_and_flags(copy: Path) -> None:
    for arguments, said in (
        (("good",), "ranking needs a bundle that embeds texts"),
        (("--data", "x.tsv"), "--rank goes with texts alone"),
        (("a", "--labels", "b,c"), "--rank goes with texts alone"),
    ):
        told = CliRunner().invoke(main, ["predict", str(copy), "--rank", "fine", *arguments])
        assert told.exit_code == 2
        assert said in told.stderr
