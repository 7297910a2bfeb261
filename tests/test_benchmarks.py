"""The benchmarks' machinery: results that survive being killed, what is left to run, tables, the plot. No builds."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks import ablation, frontier, methods, other_tools, plot, runs
from benchmarks.other_tools import OtherResult
from benchmarks.runs import Result, Run, Speed
from benchmarks.store import Store
from benchmarks.tables import markdown_table, mean_interval, with_table
from edgepack.errors import InputError, MissingDependency
from edgepack.manifest import BuildManifest, MetricRecord, write_model
from edgepack.parameters import parse_size
from edgepack.recipe import find_recipe
from edgepack.runtime.onnxruntime import load
from edgepack.verdict import IntervalRecord, Verdict

SHAPE = {
    "layers": 6,
    "heads": 2,
    "ffn": 128,
    "embedding": 64,
    "vocabulary": 12_000,
    "body_bits": 4,
    "embedding_bits": 4,
}


def result_of(run: Run, value: float = 0.88, **changes: Any) -> Result:
    """A finished run with this metric beside a teacher of 0.9."""
    fields: dict[str, Any] = {
        "run": run,
        "shipped_bytes": run.budget_bytes - 1000,
        "metric": MetricRecord(name="accuracy", value=value, n=872, low=value - 0.02, high=value + 0.02),
        "teacher": MetricRecord(name="accuracy", value=0.9, n=872, low=0.88, high=0.92),
        "stages": {"student": value, "quantized": value, "artifact": value},
        "retention": IntervalRecord(value=value / 0.9, low=value / 0.9 - 0.01, high=value / 0.9 + 0.01),
        "agreement": 0.97,
        "shape": SHAPE,
        "seconds": 600.0,
        "stage_seconds": {"distil": 500.0},
        "resumed": False,
        "peak_rss_bytes": 1_200_000_000,
        "speed": Speed(tokens=32, artifact_ms=0.5, int8_ms=2.0),
        "recipe": runs.recipe_record(runs.recipe_of(run)),
        "versions": {"edgepack": "0"},
        "code": "0",
        "machine": {},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Result(**{**fields, **changes})


def keep(store: Store, *results: Result) -> None:
    for result in results:
        store.save(result.run.key, result)


def options(tmp_path: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    runs.add_options(parser)
    return parser.parse_args(["--shared", str(tmp_path), "--work", str(tmp_path / "work"), *words])


# --- store


def test_a_result_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    store, run = Store(tmp_path / "frontier"), Run("frontier", "sst2", 500_000, 1)
    kept = result_of(run, 0.8123)
    assert not store.has(run.key)
    store.save(run.key, kept)
    assert store.has(run.key)
    assert store.load(run.key, Result) == kept
    assert store.load(run.key, Result).run == run
    assert (tmp_path / "frontier" / "sst2-0.5MB-standard-seed1.json").is_file()


def test_a_result_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, run = Store(tmp_path), Run("frontier", "sst2", 500_000, 0)
    other = replace(run, seed=1)
    keep(store, result_of(run, 0.8))

    def die(*_: Any) -> None:
        raise OSError("killed")

    monkeypatch.setattr(os, "replace", die)
    for broken in (run, other):
        with pytest.raises(OSError, match="killed"):
            keep(store, result_of(broken, 0.5))
    assert store.keys() == [run.key]
    assert store.load(run.key, Result).metric.value == 0.8
    assert not store.has(other.key)


def test_what_a_kill_leaves_beside_is_no_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / ".sst2-4MB.json.77.tmp").write_text("{")
    (tmp_path / ".hidden.json").write_text("{")
    assert store.keys() == []
    assert store.load_all(Result) == {}


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "a b"])
def test_a_key_is_a_plain_file_name(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match="not a result's name"):
        Store(tmp_path).path(key)


def test_a_damaged_result_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"shipped_bytes": "many"}')
    with pytest.raises(InputError, match=r"x\.json"):
        Store(tmp_path).load("x", Result)
    with pytest.raises(InputError, match="no result 'y'"):
        Store(tmp_path).load("y", Result)


def test_forgetting_takes_patterns_and_refuses_unknown_ones_before_it_drops_any(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keep(store, *(result_of(Run("frontier", task, 1_000_000, seed)) for task in ("sst2", "snips") for seed in (0, 1)))
    with pytest.raises(InputError, match="mrpc"):
        store.forget(["sst2-*", "mrpc-*"])
    assert len(store.keys()) == 4
    assert store.forget(["sst2-*", "*-seed1"]) == [
        "snips-1MB-standard-seed1",
        "sst2-1MB-standard-seed0",
        "sst2-1MB-standard-seed1",
    ]
    assert store.keys() == ["snips-1MB-standard-seed0"]


# --- runs


@given(st.integers(1, 200_000_000))
def test_a_size_is_named_as_it_would_be_asked_for(size_bytes: int) -> None:
    assert parse_size(runs.size_name(size_bytes)) == size_bytes


def test_runs_that_differ_have_keys_that_differ() -> None:
    base = Run("methods", "sst2", 2_000_000, 0)
    changed = [
        replace(base, task="snips"),
        replace(base, budget_bytes=2_000_001),
        replace(base, seed=10),
        replace(base, effort="max"),
        replace(base, variant="gradual-pruning"),
        replace(base, examples=96_000),
        replace(base, held_out=96_000),
    ]
    assert len({run.key for run in [base, *changed]}) == 8
    assert replace(base, table="frontier").key == "sst2-2MB-standard-seed0"
    assert replace(base, examples=96_000, held_out=500).key == "sst2-2MB-standard-96000ex-held500-default-seed0"


def test_the_frontier_runs_three_seeds_at_4_mb_and_one_elsewhere_first_seeds_first() -> None:
    planned = frontier.plan_runs(["sst2", "snips"], frontier.BUDGETS)
    assert [(r.task, r.budget_bytes, r.seed) for r in planned] == [
        *((task, budget, 0) for budget in frontier.BUDGETS for task in ("sst2", "snips")),
        *((task, 4_000_000, seed) for seed in (1, 2) for task in ("sst2", "snips")),
    ]
    asked = frontier.plan_runs(["snips"], [1_000_000], [7, 9], "max")
    assert [(r.seed, r.effort) for r in asked] == [(7, "max"), (9, "max")]


def test_only_runs_without_a_result_are_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    planned = frontier.plan_runs(["sst2"], frontier.BUDGETS)
    keep(store, result_of(planned[0]), result_of(planned[3]))
    assert runs.runs_left([*planned, *planned], store) == [planned[1], planned[2], planned[4], planned[5]]


class FakeProcesses:
    """Stands for `subprocess.run`: a build that records its result, or fails where it is told to."""

    def __init__(self, failing: tuple[str, ...] = ()) -> None:
        self.started: list[str] = []
        self.failing = failing

    def __call__(self, command: list[str], **_: Any) -> SimpleNamespace:
        run = Run(**json.loads(command[command.index("build-one") + 1]))
        self.started.append(run.key)
        if run.key in self.failing:
            return SimpleNamespace(returncode=2)
        keep(Store(Path(command[command.index("--results") + 1])), result_of(run))
        return SimpleNamespace(returncode=0)


def test_a_stopped_benchmark_goes_on_with_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, planned = Store(tmp_path / "frontier"), frontier.plan_runs(["snips"], frontier.BUDGETS)
    bad = planned[1].key
    processes = FakeProcesses((bad,))
    monkeypatch.setattr(runs.subprocess, "run", processes)
    keep(store, result_of(planned[0]))
    # the process before was killed after its result was kept and before its stages were removed
    leftover = tmp_path / "work" / "frontier" / planned[0].key / ".edgepack" / "stages"
    leftover.mkdir(parents=True)
    assert runs.run_all(planned, store, options(tmp_path)) == [bad]
    assert processes.started == [run.key for run in planned[1:]]
    assert not leftover.exists()

    processes.started, processes.failing = [], ()
    assert runs.run_all(planned, store, options(tmp_path)) == []
    assert processes.started == [bad]
    assert runs.run_all(planned, store, options(tmp_path)) == []
    assert processes.started == [bad]


def test_again_forgets_the_result_and_the_folder_of_its_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, run = Store(tmp_path / "frontier"), Run("frontier", "snips", 1_000_000, 0)
    other = replace(run, seed=1)
    keep(store, result_of(run), result_of(other))
    folders = [runs.run_folder(r, tmp_path / "work") / "bundles" for r in (run, other)]
    for folder in folders:
        folder.mkdir(parents=True)
    processes = FakeProcesses()
    monkeypatch.setattr(runs.subprocess, "run", processes)
    asked = options(tmp_path, "--again", run.key, "--table-only")
    runs.run_all([run, other], store, asked)
    assert (store.has(run.key), store.has(other.key)) == (False, True)
    assert [folder.exists() for folder in folders] == [False, True]
    assert processes.started == []


def test_results_of_another_recipe_are_called_stale(tmp_path: Path) -> None:
    store, run = Store(tmp_path), Run("methods", "snips", 2_000_000, 0, examples=96_000)
    old = result_of(run)
    keep(store, old, result_of(replace(run, seed=1)))
    planned = [replace(run, seed=seed) for seed in range(3)]
    assert runs.stale_keys(planned, store) == []
    keep(store, old.model_copy(update={"recipe": {**old.recipe, "peak_lr": 1.0}}))
    assert runs.stale_keys(planned, store) == [run.key]


def test_a_run_trains_by_its_variant_of_the_effort_at_the_asked_length() -> None:
    run = Run("methods", "snips", 2_000_000, 0, "quick", "no-hidden-states", 5000)
    assert runs.recipe_of(run) == replace(find_recipe("quick"), hidden_weight=0.0, examples_seen=5000)
    assert runs.recipe_of(Run("frontier", "snips", 2_000_000, 0)) == find_recipe("standard")
    with pytest.raises(InputError, match="no-such"):
        runs.recipe_of(replace(run, variant="no-such"))


@pytest.mark.parametrize("table", [methods.VARIANTS, ablation.VARIANTS], ids=["methods", "ablation"])
def test_every_variant_changes_the_recipe_and_is_described(table: dict[str, runs.Variant]) -> None:
    recipe = find_recipe("standard")
    changed = {name: variant.change(recipe) for name, variant in table.items()}
    assert changed.pop("default") == recipe
    assert all(other != recipe for other in changed.values())
    assert all(variant.what for variant in table.values())
    for name in table:
        Store(Path()).path(name)  # a name is part of a file's


def test_the_request_asks_for_the_recipe_only_where_it_is_not_the_efforts_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "BuildRequest", SimpleNamespace)
    plain = runs.build_request(Run("frontier", "sst2", 4_000_000, 3), tmp_path, tmp_path / "w", "cpu")
    assert not hasattr(plain, "recipe")
    assert plain.train == str(tmp_path / "data/sst2/train.tsv")
    assert plain.evaluation == str(tmp_path / "data/sst2/dev.tsv")
    assert (plain.seed, plain.budget_bytes, plain.targets) == (3, 4_000_000, ("android-onnx",))
    changed = runs.build_request(
        Run("methods", "sst2", 4_000_000, 3, variant="no-hidden-states"), tmp_path, tmp_path / "w", "cpu"
    )
    assert changed.recipe.hidden_weight == 0.0
    assert changed.output != plain.output


@pytest.mark.parametrize(("suffix", "header"), [(".tsv", ["sentence\tlabel"]), (".jsonl", [])])
def test_held_out_examples_are_a_part_of_training_and_not_trained_on(
    tmp_path: Path, suffix: str, header: list[str]
) -> None:
    examples = [f"text {i}\u2028of one line\t{i % 2}" for i in range(50)]
    path = tmp_path / f"data{suffix}"
    path.write_text("\n".join([*header, *examples]) + "\n", encoding="utf-8")
    train, held = runs.hold_out(path, 12, tmp_path / "out")
    found = [p.read_text(encoding="utf-8").removesuffix("\n").split("\n") for p in (train, held)]
    assert [lines[: len(header)] for lines in found] == [header, header]
    left, out = (lines[len(header) :] for lines in found)
    assert len(out) == 12
    assert out != examples[:12]
    assert sorted(left + out) == sorted(examples)
    again = runs.hold_out(path, 12, tmp_path / "again")
    assert again[1].read_bytes() == held.read_bytes()
    for count in (0, 50):
        with pytest.raises(InputError, match="50 examples"):
            runs.hold_out(path, count, tmp_path / "out")


def fake_build(request: Any, _: Any) -> SimpleNamespace:
    """Leaves what a build leaves, in small."""
    (request.output / ".edgepack" / "stages").mkdir(parents=True, exist_ok=True)
    (request.output / "bundles" / "android-onnx").mkdir(parents=True, exist_ok=True)
    metric = MetricRecord(name="entity_f1", value=0.9, n=700, low=0.88, high=0.92)
    names = ("teacher", "student", "quantized", "artifact")
    verdict = Verdict(
        target="android-onnx",
        passed=True,
        checks=[],
        metrics={name: metric.model_copy(update={"value": 0.95 - i / 100}) for i, name in enumerate(names)},
        retention=IntervalRecord(value=0.968, low=0.96, high=0.98),
        shipped_bytes=1_990_000,
        budget_bytes=request.budget_bytes,
    )
    manifest = BuildManifest(
        inputs={},
        plan={"candidates": [{**SHAPE, "bytes": {}}, {"layers": 1}]},
        stages=[{"name": "distil", "key": "k", "seconds": 12.5}],
        versions={"torch": "2"},
        seed=0,
        metrics={},
        artifacts=[],
        created="now",
    )
    write_model(request.output / "edgepack.json", manifest)
    return SimpleNamespace(bundles=(SimpleNamespace(verdict=verdict, manifest=SimpleNamespace(max_length=24)),))


def test_a_build_is_recorded_before_its_stages_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "build", fake_build)
    monkeypatch.setattr(runs, "measure_speed", lambda a, b, tokens: Speed(tokens=tokens, artifact_ms=1, int8_ms=4))
    monkeypatch.setattr(runs, "baseline", lambda *_: Path())
    store, run = Store(tmp_path / "frontier"), Run("frontier", "snips", 2_000_000, 0)
    folder = runs.run_folder(run, tmp_path / "work")

    def full(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="disk full"):
            runs.build_one(run, tmp_path, tmp_path / "work", store)
    assert not store.has(run.key)
    assert (folder / ".edgepack").is_dir() is True

    runs.build_one(run, tmp_path, tmp_path / "work", store)
    result = store.load(run.key, Result)
    assert result.resumed is True
    assert result.shipped_bytes == 1_990_000
    assert result.metric.value == pytest.approx(0.92)
    assert result.teacher.value == pytest.approx(0.95)
    assert result.stages == pytest.approx({"student": 0.94, "quantized": 0.93, "artifact": 0.92})
    assert result.shape == SHAPE
    assert result.stage_seconds == {"distil": 12.5}
    assert result.speed == Speed(tokens=24, artifact_ms=1, int8_ms=4)
    assert result.peak_rss_bytes > 50_000_000
    assert not (folder / ".edgepack").exists()
    assert (folder / "bundles" / "android-onnx").is_dir()
    assert str(tmp_path) not in store.path(run.key).read_text()

    # the result is dropped by hand: the finished folder gives way to a build from the start
    store.path(run.key).unlink()
    runs.build_one(run, tmp_path, tmp_path / "work", store)
    assert store.load(run.key, Result).resumed is False


# --- tables


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


def test_the_methods_table_gives_means_and_differences_paired_by_seed() -> None:
    values = {
        ("default", "sst2", 0): 0.88,
        ("default", "sst2", 1): 0.90,
        ("no-hidden-states", "sst2", 0): 0.86,
        ("no-hidden-states", "sst2", 1): 0.87,
        ("no-hidden-states", "snips", 1): 0.93,
    }
    found = [result_of(SETTINGS.run(*place), value) for place, value in values.items()]
    elsewhere = [result_of(replace(r.run, budget_bytes=1_000_000), 0.1) for r in found]
    results = {r.run.key: r for r in [*found, *elsewhere]}
    text = methods.make_table(SETTINGS, methods.VARIANTS, results)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0] == ["variant", "what it is", "SST-2", "difference", "seeds", "SNIPS", "difference", "seeds"]
    low, high = (f"{0.89 + sign * 0.127062:.4f}" for sign in (-1, 1))
    assert rows[2] == ["`default`", "the recipe as it is", f"0.8900 ({low} to {high})", "-", "2", "-", "-", "0"]
    # differences −2 and −3 points: mean −2.5, half-width 12.7062 · 0.5
    assert rows[3][0] == "`no-hidden-states`"
    assert rows[3][3:5] == ["-2.50 (-8.85 to +3.85)", "2"]
    # one seed: its bootstrap interval, and nothing to take a difference from
    assert rows[3][5:] == ["0.9300 (0.9100 to 0.9500)", "-", "1"]
    assert len(rows) == 4
    assert "2MB, recipe `standard`, 96,000 examples seen, seeds 0, 1" in text
    assert methods.make_table(SETTINGS, methods.VARIANTS, {}) == "No run is recorded yet."


def test_comparing_runs_what_is_left_and_rewrites_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "methods.md"
    page.write_text(methods.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(methods, "PAGE", page)
    processes = FakeProcesses()
    monkeypatch.setattr(runs.subprocess, "run", processes)
    words = ["--shared", str(tmp_path), "--work", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
    before = page.read_text(encoding="utf-8")
    methods.compare("ablation", [*words, "--held-out", "100", "--seeds", "0"], ("snips",))
    assert page.read_text(encoding="utf-8") == before  # figures for choosing are not reported
    processes.started = []
    ablation.main([*words, "--seeds", "0", "1"])
    assert len(processes.started) == 2 * len(ablation.VARIANTS)
    assert all(key.startswith("snips-2MB-standard-96000ex-") for key in processes.started)
    after = page.read_text(encoding="utf-8")
    block = after.split("<!-- table:ablation -->\n")[1].split("\n<!-- end -->")[0]
    assert block in capsys.readouterr().out
    assert all(f"| `{name}` |" in block for name in ablation.VARIANTS)
    assert after.split("<!-- table:ablation -->")[0] == before.split("<!-- table:ablation -->")[0]


def frontier_results() -> list[Result]:
    several = [result_of(Run("frontier", "sst2", 4_000_000, s), v) for s, v in enumerate((0.891, 0.900, 0.909))]
    single = result_of(Run("frontier", "sst2", 1_000_000, 0), 0.873, resumed=True, speed=None)
    other_effort = result_of(Run("frontier", "sst2", 1_000_000, 0, "quick"), 0.5)
    return [single, *several[::-1], other_effort, result_of(Run("frontier", "snips", 2_000_000, 0), 0.889)]


def other_result(task: str, tool: str, shipped_bytes: int, value: float) -> OtherResult:
    base = result_of(Run("frontier", task, 4_000_000, 0), value)
    return OtherResult(
        task=task,
        tool=tool,
        model_bytes=shipped_bytes - 60_000,
        shipped_bytes=shipped_bytes,
        metric=base.metric,
        teacher=base.teacher,
        retention=base.retention,
        speed=Speed(tokens=32, artifact_ms=4.0, int8_ms=2.0) if tool != "int8" else None,
        versions={},
        created="now",
    )


def test_the_frontier_table_says_seeds_intervals_and_what_was_interrupted() -> None:
    found = frontier.points(frontier_results())
    assert [(p.task, p.budget_bytes, len(p.results)) for p in found] == [
        ("sst2", 4_000_000, 3),
        ("sst2", 1_000_000, 1),
        ("snips", 2_000_000, 1),
    ]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in frontier.frontier_table(found).splitlines()]
    half = 4.302653 * 0.01 / math.sqrt(3)  # t(2) · s / √n, of the retentions 0.99, 1.00, 1.01
    assert rows[2][:7] == [
        "SST-2",
        "4MB",
        "3,999,000",
        "0.9000",
        "0.9000",
        f"100.0% ({1 - half:.1%} to {1 + half:.1%})",
        "99.0% / 100.0% / 101.0%",
    ]
    assert rows[2][7:] == [
        "4.0 × faster / 4.0 × faster / 4.0 × faster",
        "6 × 2 × 128, 64, 12,000, 4/4",
        "10 min",
        "1.20 GB",
    ]
    assert rows[3][5:8] == ["97.0% (96.0% to 98.0%)", "97.0%", "-"]
    assert rows[3][9:] == ["was interrupted", "-"]


def test_the_summary_holds_both_tables() -> None:
    others = [other_result("sst2", "int8", 23_000_000, 0.89), other_result("sst2", "4-bit", 14_000_000, 0.9)]
    page = plot.summary(frontier.points(frontier_results()), others)
    lines = [line for line in page.splitlines() if line.startswith(("| SST-2 | int8", "| SST-2 | 4-bit"))]
    assert lines[0].startswith("| SST-2 | int8 | 23,000,000 | 0.8900 | 0.9000 | 98.9% (97.9% to 99.9%) | 1 |")
    assert lines[1].endswith("| 0.50 × as fast |")
    assert "## edgepack" in page


# --- the plot


def test_without_matplotlib_the_line_that_installs_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependency, match=r'pip install "edgepack\[plot\]"'):
        plot.draw(frontier.points(frontier_results()), [])


def test_the_plot_is_the_same_bytes_from_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='matplotlib is not installed: pip install "edgepack[plot]"')
    results, others = frontier_results(), [other_result("snips", "4-bit", 14_000_000, 0.9)]
    folder = tmp_path / "results"
    keep(Store(folder / "frontier"), *results)
    for other in others:
        Store(folder / "other-tools").save(f"{other.task}-{other.tool}", other)
    images = [tmp_path / name / "frontier.svg" for name in ("a", "b")]
    for image in images:
        plot.main(["--results", str(folder), "--image", str(image)])
    assert images[0].read_bytes() == images[1].read_bytes()
    text = images[0].read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "<dc:date>" not in text
    assert all(f"<!-- {title} -->" in text for title in ("SST-2", "SNIPS", "edgepack"))
    assert (folder / "frontier.md").read_text(encoding="utf-8") == plot.summary(frontier.points(results), others)
    moved = [r.model_copy(update={"shipped_bytes": r.shipped_bytes // 2}) for r in results]
    assert plot.draw(frontier.points(moved), others) != images[0].read_bytes()


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='matplotlib is not installed: pip install "edgepack[plot]"')
    with pytest.raises(InputError, match="no result to draw"):
        plot.main(["--results", str(tmp_path)])


# --- other tools


def test_without_onnx_ir_the_line_that_installs_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "onnxruntime.quantization.matmul_nbits_quantizer", raising=False)
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    with pytest.raises(MissingDependency, match="pip install onnx-ir"):
        other_tools.quantize_4_bits(tmp_path)


def test_the_4_bit_model_holds_products_and_tables_in_4_bits(tmp_path: Path) -> None:
    pytest.importorskip("onnx_ir", reason="onnx-ir is not installed: pip install onnx-ir")
    generator = np.random.default_rng(0)
    table, weight = (generator.standard_normal(shape).astype(np.float32) for shape in ((256, 64), (64, 32)))
    helper, flt, int64 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"], name="gather"),
            helper.make_node("MatMul", ["rows", "weight"], ["logits"], name="product"),
        ],
        "tiny",
        [helper.make_tensor_value_info("input_ids", int64, ["batch", "seq"])],
        [helper.make_tensor_value_info("logits", flt, ["batch", "seq", 32])],
        [onnx.numpy_helper.from_array(table, "table"), onnx.numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "teacher.onnx")
    path = other_tools.quantize_4_bits(tmp_path)
    quantized = onnx.load(path)
    assert {node.op_type for node in quantized.graph.node} == {"MatMulNBits", "GatherBlockQuantized"}
    assert path.stat().st_size < (table.nbytes + weight.nbytes) / 4
    ids = np.arange(40, dtype=np.int64).reshape(2, 20)
    expected = table[ids] @ weight
    error = np.linalg.norm(load(path, 1).run({"input_ids": ids}) - expected) / np.linalg.norm(expected)
    assert 0 < error < 0.2
