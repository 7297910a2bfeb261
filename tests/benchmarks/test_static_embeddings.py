"""The page shows what is recorded of static embeddings, which fit their budgets."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kinds import PAGE
from benchmarks.static_embeddings import BUDGETS, EVALUATION, NAME, StaticResult, static_table
from benchmarks.store import RESULTS, Store
from benchmarks.tables import with_table

RECORDED = list(Store(RESULTS / NAME).load_all(StaticResult).values())


def test_the_page_shows_what_is_recorded() -> None:
    page = Path(PAGE).read_text(encoding="utf-8")
    assert with_table(page, NAME, static_table(RECORDED)) == page


def test_each_model_fits_and_is_measured_on_each_data_set() -> None:
    assert {(each.data, each.budget_bytes) for each in RECORDED} == {(d, b) for d in EVALUATION for b in BUDGETS}
    assert [each for each in RECORDED if each.shipped_bytes > each.budget_bytes] == []
    for each in RECORDED:
        assert each.student is not None
        assert each.gain is not None
        assert abs(each.student.value - each.metric.value - each.gain.value) < 1e-9
        assert each.gain.low < each.gain.value < each.gain.high
