"""The kinds of tasks that are built: their files, what a build is told, the texts of embeddings, their rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks import kind_teachers, kinds
from benchmarks.building import Result
from benchmarks.kind_teachers import TEXTS
from benchmarks.runs import KINDS, Run, build_request
from benchmarks.store import RESULTS
from benchmarks.tables import with_table
from edgepack.task.similarity import EMBEDS


def test_a_build_gets_the_column_of_its_kind_and_the_teacher_that_was_made_for_it(tmp_path: Path) -> None:
    shared, work = tmp_path / "shared", tmp_path / "work"
    request = build_request(kinds.plan_runs(["sick-relatedness"], "quick")[0], shared, work, "cpu")
    assert request.columns.label == "relatedness"
    assert request.teacher == str(work / "kind-teachers/sick-relatedness")
    assert request.train == str(shared / "data/sick/train.tsv")
    assert request.budget_bytes == 4_000_000


def test_embeddings_learn_from_every_text_once_and_keep_the_base_as_teacher(tmp_path: Path) -> None:
    shared, work = tmp_path / "shared", tmp_path / "work"
    for name in TEXTS:
        path = shared / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tables = {"stsb": "score\tsentence1\tsentence2\n5\tone\ttwo\n", "goemotions": "text\tlabels\none\tjoy\n"}
        sick = "sentence1\tsentence2\tlabel\ntwo\tthree\tneutral\n"
        path.write_text("four\n" if path.suffix == ".txt" else tables.get(path.parent.name, sick))
    request = build_request(kinds.plan_runs([EMBEDS], "quick")[0], shared, work, "cpu")
    assert Path(request.train).read_text().split() == ["one", "two", "three", "four"]
    assert (request.task, request.teacher) == (EMBEDS, str(shared / kind_teachers.BASE))


def test_rows_stand_in_the_order_of_the_kinds(tmp_path: Path, result_of: Callable[..., Result]) -> None:
    runs = [Run(KINDS, name, 2_000_000, 0) for name in ("sec-iob1", "goemotions")]
    rows = kinds.goal_table([result_of(run) for run in runs], kinds.SETS).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| several labels: GoEmotions",
        "| entities, IOB1 tags: SEC filings",
    ]


def test_the_page_holds_what_is_recorded() -> None:
    page = kinds.PAGE.read_text(encoding="utf-8")
    if table := kinds.page_table(RESULTS):
        assert page == with_table(page, KINDS, table), "run `python -m benchmarks kinds --table-only`"
