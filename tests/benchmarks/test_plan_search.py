"""A search beside the plan's first choice: what both builds are told, and their rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.building import Result
from benchmarks.plan_search import CANDIDATES, SEARCHED, make_table
from benchmarks.runs import DEFAULT, PLAN_SEARCH, Run, build_request


def run_of(task: str, variant: str) -> Run:
    return Run(PLAN_SEARCH, task, 1_000_000, 0, "quick", variant)


def test_both_builds_differ_in_the_search_alone(tmp_path: Path) -> None:
    first, searched = (
        build_request(run_of("sst2", variant), tmp_path, tmp_path, "cpu") for variant in (DEFAULT, SEARCHED)
    )
    assert (first.search, searched.search) == (None, CANDIDATES)
    assert first.recipe == searched.recipe
    assert first.train == searched.train


def test_a_set_counts_as_won_where_the_divergence_is_lower(result_of: Callable[..., Result]) -> None:
    found = {("sst2", DEFAULT): 0.2, ("sst2", SEARCHED): 0.1, ("snips", DEFAULT): 0.1, ("snips", SEARCHED): 0.15}
    runs = [run_of(*which) for which in found]
    results = {
        run.key: result_of(run, divergence=divergence) for run, divergence in zip(runs, found.values(), strict=True)
    }
    table = make_table(runs, results)
    assert "sst2 0.50, snips 1.50. Lower on 1 of 2 sets." in table
    assert table.splitlines()[2].startswith("| sst2 | 0 | ")
    del results[runs[1].key]
    assert "snips 1.50. Lower on 0 of 1 sets." in make_table(runs, results)
