"""Means over seeds, the tables of variants, and the page that they stand in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from benchmarks import ablation, methods
from benchmarks.building import Result
from benchmarks.runs import TASKS
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table, mean_interval, seed_error, with_table
from edgepack.build.recipe import find_recipe
from edgepack.errors import InputError

Make = Callable[..., Result]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda values: np.std(values) > 1e-6))
def test_the_interval_over_seeds_is_students(values: list[float]) -> None:
    found, expected = mean_interval(values), stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.value == pytest.approx(np.mean(values))
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


def test_the_interval_of_two_and_of_one() -> None:
    two = mean_interval([0.90, 0.92])  # t(1) = 12.706, s / sqrt(2) = 0.01
    assert (two.low, two.high) == (pytest.approx(0.91 - 0.12706, abs=1e-5), pytest.approx(0.91 + 0.12706, abs=1e-5))
    one = mean_interval([0.9])
    assert one.value == 0.9
    assert math.isnan(one.low)
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


def test_a_table_is_replaced_between_its_own_markers_only() -> None:
    page = "a\n<!-- table:x -->\nold\n<!-- end -->\nb\n<!-- table:y -->\nother\n<!-- end -->\n"
    table = markdown_table([["h|1", "h2"], ["\\1", "2"]])
    assert table == "| h\\|1 | h2 |\n|---|---|\n| \\1 | 2 |"
    new = with_table(page, "x", table)
    assert new == page.replace("old", table)
    assert with_table(new, "x", table) == new
    with pytest.raises(InputError, match="table:z"):
        with_table(page, "z", table)


SETTINGS = methods.Settings("methods", ("sst2", "snips"), 2_000_000, (0, 1), "standard", 96_000)


def test_the_methods_table_gives_two_seeds_values_and_their_differences(result_of: Make) -> None:
    values = {
        ("default", "sst2", 0): 0.88,
        ("default", "sst2", 1): 0.90,
        ("soft-targets", "sst2", 0): 0.86,
        ("soft-targets", "sst2", 1): 0.87,
        ("soft-targets", "snips", 1): 0.93,
    }
    found = [result_of(SETTINGS.run(*place), value) for place, value in values.items()]
    elsewhere = [result_of(replace(r.run, budget_bytes=1_000_000), 0.1) for r in found]
    results = {r.run.key: r for r in [*found, *elsewhere]}
    text = methods.make_table(SETTINGS, methods.VARIANTS, results)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0] == ["variant", "what it is", "SST-2", "difference", "SNIPS", "difference", "seen"]
    assert rows[2] == ["`default`", "the recipe as it is", "0.8800 / 0.9000", "-", "-", "-", "-"]
    assert rows[3][:4] == ["`soft-targets`", rows[3][1], "0.8600 / 0.8700", "-2.00 / -3.00"]
    # one seed: its bootstrap interval, and nothing to take a difference from
    assert rows[3][4:] == ["0.9300 (0.9100 to 0.9500)", "-", "no difference seen"]
    assert len(rows) == 4
    assert "2MB, recipe `standard`, 96,000 examples seen, seeds 0, 1" in text
    assert "(n = 2, no interval)" in text
    assert methods.make_table(SETTINGS, methods.VARIANTS, {}) == "No run is recorded yet."


def test_a_difference_is_seen_where_the_seeds_do_not_explain_it(result_of: Make) -> None:
    spread = {"default": (0.900, 0.904), "soft-targets": (0.850, 0.852), "hard-labels": (0.899, 0.903)}
    found = [
        result_of(SETTINGS.run(name, "sst2", seed), value)
        for name, own in spread.items()
        for seed, value in enumerate(own)
    ]
    results = {r.run.key: r for r in found}
    text = methods.make_table(SETTINGS, methods.VARIANTS, results)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:1] == "|"}
    assert lines["`soft-targets`"].endswith("| SST-2 -5.1 |")
    assert lines["`hard-labels`"].endswith("| no difference seen |")
    # one seed has no error, so nothing is judged
    single = methods.make_table(replace(SETTINGS, seeds=(0,)), methods.VARIANTS, results)
    assert "seen |" not in single


@given(st.lists(st.lists(st.floats(-3, 3), min_size=2, max_size=2), min_size=2, max_size=5))
def test_the_pooled_error_of_two_groups_gives_students_test(groups: list[list[float]]) -> None:
    """With two groups the pooled test is the ordinary t-test of equal variances."""
    one, two = np.asarray(groups[0]), np.asarray(groups[1])
    assume(max(np.ptp(one), np.ptp(two)) > 1e-3)
    error = seed_error([list(one), list(two)])
    assert error is not None
    assert error.p_value(one.mean() - two.mean(), 2) == pytest.approx(stats.ttest_ind(one, two).pvalue, abs=1e-9)


def test_power_is_what_simulation_finds() -> None:
    """A difference of that size is found in four of five draws."""
    draws = np.random.default_rng(0)
    groups = [list(draws.normal(0, 1, 2)) for _ in range(400)]  # many groups: the deviation is near 1
    error = seed_error(groups)
    assert error is not None
    size = error.found_with(0.8, 2)
    changes = [draws.normal(size, 1, 2).mean() - draws.normal(0, 1, 2).mean() for _ in range(2000)]
    found = [error.p_value(change, 2) < 0.05 for change in changes]
    assert 0.76 < np.mean(found) < 0.84
    assert seed_error([[1.0, 1.0], [2.0]]) is None


def test_three_seeds_have_a_mean_and_an_interval(result_of: Make) -> None:
    settings = replace(SETTINGS, seeds=(0, 1, 2))
    values = {("default", s): 0.88 + s / 100 for s in range(3)} | {("soft-targets", s): 0.87 + s / 50 for s in range(3)}
    found = [result_of(settings.run(name, "sst2", seed), value) for (name, seed), value in values.items()]
    text = methods.make_table(settings, methods.VARIANTS, {r.run.key: r for r in found})
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)  # both the metric's spread and the difference's are a point
    assert f"| 0.8900 ({0.89 - half:.4f} to {0.89 + half:.4f}) | -" in text
    assert f"| +0.00 ({-100 * half:+.2f} to {100 * half:+.2f}) |" in text
    assert "the mean of 3 seeds" in text


def test_variants_with_raw_text_stand_in_a_table_of_their_own_with_their_steps_and_shapes(result_of: Make) -> None:
    names = ("default", "soft-targets", "general")
    settings = replace(SETTINGS, examples=16_000)
    found = [result_of(settings.run(name, "sst2", 0), 0.88) for name in names]
    results = {r.run.key: r for r in found}
    table = methods.make_table(settings, methods.VARIANTS, results)
    assert "`soft-targets`" in table
    assert "`general`" not in table
    lines = methods.text_table(settings, methods.VARIANTS, results).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[:2] for row in rows[2:]] == [["SST-2", "`default`"], ["SST-2", "`general`"]]
    assert [row[3] for row in rows[2:]] == ["0", "25"]  # a tenth of 16,000 examples, 64 a step
    assert rows[2][4] == "6 × 2 × 128, 64, 12,000, 4/4"


@pytest.mark.parametrize(("module", "examples"), [(methods, methods.EXAMPLES), (ablation, ablation.EXAMPLES)])
def test_the_page_holds_the_tables_of_the_recorded_runs(module: ModuleType, examples: int) -> None:
    table = module.__name__.split(".")[-1]
    tasks = tuple(TASKS) if module is methods else ("snips",)
    settings = methods.Settings(table, tasks, methods.BUDGET, methods.SEEDS, "standard", examples)
    page = methods.PAGE.read_text(encoding="utf-8")
    results = Store(RESULTS / table).load_all(Result)
    assert page == with_table(page, table, methods.make_table(settings, module.VARIANTS, results))
    if module is methods:
        assert page == with_table(page, methods.WITH_TEXT, methods.text_table(settings, module.VARIANTS, results))


def test_comparing_runs_what_is_left_and_rewrites_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], processes: Any
) -> None:
    page = tmp_path / "methods.md"
    page.write_text(methods.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(methods, "PAGE", page)
    words = ["--shared", str(tmp_path), "--work", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
    before = page.read_text(encoding="utf-8")
    methods.compare("ablation", [*words, "--held-out", "100", "--seeds", "0"], ("snips",))
    assert page.read_text(encoding="utf-8") == before  # figures for choosing are not reported
    processes.groups = []
    ablation.main([*words, "--seeds", "0", "1"])
    recipe = find_recipe("standard")
    built = [name for name, v in ablation.VARIANTS.items() if name == "default" or v.differs(recipe)]
    assert len(processes.started) == 2 * len(built)
    assert all(key.startswith(f"snips-2MB-standard-{ablation.EXAMPLES}ex-") for key in processes.started)
    after = page.read_text(encoding="utf-8")
    block = after.split("<!-- table:ablation -->\n")[1].split("\n<!-- end -->")[0]
    assert block in capsys.readouterr().out
    assert all(f"| `{name}` |" in block for name in built)
    assert after.split("<!-- table:ablation -->")[0] == before.split("<!-- table:ablation -->")[0]
