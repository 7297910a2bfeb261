"""What is left to run, what a run trains by, what is kept of it. No builds."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import ablation, building, frontier, methods, runs, speed
from benchmarks.building import Result
from benchmarks.runs import TASKS, Run, Variant
from benchmarks.speed import Speed
from benchmarks.store import Store
from edgepack.build.recipe import find_recipe, recipe_record
from edgepack.bundle.manifest import BuildManifest, MetricRecord, write_model
from edgepack.bundle.verdict import IntervalRecord, Verdict
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.errors import InputError
from edgepack.parameters import LEAST_BYTES, parse_size
from edgepack.plan.candidate import Candidate
from edgepack.plan.space import Vocabulary
from edgepack.runtime.onnxruntime import load
from edgepack.student.config import StudentConfig
from edgepack.train import Phase

Make = Callable[..., Result]
SHAPE = {"layers": 4, "heads": 1, "ffn": 64, "embedding": 32, "vocabulary": 9_000, "body_bits": 4, "embedding_bits": 2}


def keep(store: Store, *results: Result) -> None:
    for result in results:
        store.save(result.run.key, result)


def options(tmp_path: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    runs.add_options(parser)
    return parser.parse_args(["--shared", str(tmp_path), "--work", str(tmp_path / "work"), *words])


@given(st.integers(LEAST_BYTES, 200_000_000))
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


def test_the_frontier_runs_three_seeds_at_1_mb_and_one_elsewhere_first_seeds_first() -> None:
    planned = frontier.plan_runs(["sst2", "snips"], frontier.BUDGETS)
    assert [(r.task, r.budget_bytes, r.seed) for r in planned] == [
        *((task, budget, 0) for budget in frontier.BUDGETS for task in ("sst2", "snips")),
        *((task, 1_000_000, seed) for seed in (1, 2) for task in ("sst2", "snips")),
    ]
    asked = frontier.plan_runs(["snips"], [1_000_000], [7, 9], "max")
    assert [(r.seed, r.effort) for r in asked] == [(7, "max"), (9, "max")]


def test_only_runs_without_a_result_are_left(tmp_path: Path, result_of: Make) -> None:
    store = Store(tmp_path)
    planned = frontier.plan_runs(["sst2"], frontier.BUDGETS)
    keep(store, result_of(planned[0]), result_of(planned[3]))
    assert building.runs_left([*planned, *planned], store) == [*planned[1:3], *planned[4:]]


def test_a_stopped_benchmark_goes_on_with_what_is_missing(tmp_path: Path, result_of: Make, processes: Any) -> None:
    store, planned = Store(tmp_path / "frontier"), frontier.plan_runs(["snips"], frontier.BUDGETS)
    bad = planned[1].key
    processes.failing = (bad,)
    keep(store, result_of(planned[0]))
    # the process before was killed after its result was kept and before its stages were removed
    leftover = tmp_path / "work" / "frontier" / planned[0].key / ".edgepack" / "stages"
    leftover.mkdir(parents=True)
    building.run_all(planned, store, options(tmp_path, "--table-only"))
    assert leftover.exists()  # of a build that another process may run now
    assert building.run_all(planned, store, options(tmp_path)) == [bad]
    assert processes.started == [run.key for run in planned[1:]]
    assert not leftover.exists()

    processes.groups, processes.failing = [], ()
    assert building.run_all(planned, store, options(tmp_path)) == []
    assert processes.started == [bad]
    assert building.run_all(planned, store, options(tmp_path)) == []
    assert processes.started == [bad]


def test_the_frontiers_builds_have_a_process_each_and_others_one_for_the_same_inputs() -> None:
    timed = [Run("frontier", "sst2", budget, 0) for budget in (1_000_000, 500_000)]
    asked = [Run("methods", task, 2_000_000, seed, variant=v) for seed in (0, 1) for v in "ab" for task in TASKS]
    found = building.groups_of([*timed, *asked])
    assert [len(group) for group in found] == [1, 1, 2, 2, 2, 2]
    assert found[2] == [asked[0], asked[2]]
    assert sorted(run.key for group in found for run in group) == sorted(run.key for run in [*timed, *asked])


def test_a_build_that_fails_stops_none_of_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_one(run: Run, *rest: Any) -> str:
        opened.append(rest[-1])
        if run.seed == 0:
            raise RuntimeError("a defect")
        return "inputs"

    opened: list[Any] = []
    monkeypatch.setattr(building, "build_one", build_one)
    words = [json.dumps(Run("methods", "sst2", 2_000_000, seed).__dict__) for seed in (1, 0, 2)]
    with pytest.raises(SystemExit):
        building.main([*words, *(w for name in ("--shared", "--work", "--results") for w in (name, str(tmp_path)))])
    assert opened == [None, "inputs", "inputs"]


def test_again_forgets_the_result_and_the_folder_of_its_build(tmp_path: Path, result_of: Make, processes: Any) -> None:
    store, run = Store(tmp_path / "frontier"), Run("frontier", "snips", 1_000_000, 0)
    other = replace(run, seed=1)
    keep(store, result_of(run), result_of(other))
    folders = [runs.run_folder(r, tmp_path / "work") / "bundles" for r in (run, other)]
    for folder in folders:
        folder.mkdir(parents=True)
    asked = options(tmp_path, "--again", run.key, "--table-only")
    building.run_all([run, other], store, asked)
    assert (store.has(run.key), store.has(other.key)) == (False, True)
    assert [folder.exists() for folder in folders] == [False, True]
    assert processes.started == []


def test_results_of_another_recipe_are_called_stale(tmp_path: Path, result_of: Make) -> None:
    store, run = Store(tmp_path), Run("methods", "snips", 2_000_000, 0, examples=96_000)
    old = result_of(run)
    keep(store, old, result_of(replace(run, seed=1)))
    planned = [replace(run, seed=seed) for seed in range(3)]
    assert building.stale_keys(planned, store) == []
    keep(store, old.model_copy(update={"recipe": {**old.recipe, "peak_lr": 1.0}}))
    assert building.stale_keys(planned, store) == [run.key]


def test_a_run_trains_by_its_variant_of_the_effort_at_the_asked_length() -> None:
    run = Run("methods", "snips", 2_000_000, 0, "quick", "soft-targets", 5000)
    alone = (Phase(1.0, (SoftTargets(temperature=2.0),)),)
    assert runs.recipe_of(run) == replace(find_recipe("quick"), phases=alone, examples_seen=5000)
    assert runs.recipe_of(Run("frontier", "snips", 2_000_000, 0)) == find_recipe("standard")
    with pytest.raises(InputError, match="no-such"):
        runs.recipe_of(replace(run, variant="no-such"))


@pytest.mark.parametrize("table", [methods.VARIANTS, ablation.VARIANTS], ids=["methods", "ablation"])
def test_every_variant_but_those_that_the_recipe_has_changes_it_and_is_described(table: dict[str, Variant]) -> None:
    recipe = find_recipe("standard")
    kept = [name for name, variant in table.items() if not variant.differs(recipe)]
    assert kept[0] == "default"
    assert len(kept) <= 1 + 2  # augmentation is there, in one of its forms, or it is not; so is pruning
    assert all("augmentation" in name or "pruning" in name for name in kept[1:])
    records = [json.dumps([recipe_record(v.change(recipe)), v.text]) for v in table.values() if v.differs(recipe)]
    assert len(set(records)) == len(records)
    assert all(variant.what for variant in table.values())
    for name in table:
        Store(Path()).path(name)  # a name is part of a file's


def test_a_variant_of_the_default_itself_or_for_another_task_is_not_built() -> None:
    settings = methods.Settings("methods", ("sst2", "snips"), 2_000_000, (0,), "standard", None)
    table = {
        "default": runs.AS_IT_IS,
        "same": Variant("nothing", lambda recipe: replace(recipe)),
        "text": Variant("text", lambda recipe: recipe, text=True),
        "one": Variant("one task", lambda recipe: replace(recipe, batch_size=7), tasks=("sst2",)),
    }
    found = [(run.task, run.variant) for run in methods.plan_runs(settings, table)]
    assert found == [("sst2", "default"), ("sst2", "text"), ("sst2", "one"), ("snips", "default"), ("snips", "text")]


def test_a_part_that_is_taken_away_is_gone_and_the_rest_is_there() -> None:
    phases = (Phase(0.4, (HiddenStates(),)), Phase(1.0, (SoftTargets(temperature=3.0), HiddenStates(weight=5.0))))
    recipe = replace(find_recipe("standard"), phases=phases)
    bare = ablation.VARIANTS["no-hidden-states"].change(recipe)
    assert bare == replace(recipe, phases=(Phase(1.0, (SoftTargets(temperature=3.0),)),))
    cold = ablation.VARIANTS["temperature-1"].change(recipe)
    assert cold.phases == (phases[0], Phase(1.0, (SoftTargets(temperature=1.0), HiddenStates(weight=5.0))))


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
        Run("methods", "sst2", 4_000_000, 3, variant="soft-targets"), tmp_path, tmp_path / "w", "cpu"
    )
    assert changed.recipe.phases == (Phase(1.0, (SoftTargets(temperature=2.0),)),)
    assert not hasattr(changed, "raw_text")
    with_text = runs.build_request(
        Run("methods", "sst2", 4_000_000, 3, variant="general"), tmp_path, tmp_path / "w", "cpu"
    )
    assert with_text.raw_text == tmp_path / "data/text/wikitext2-valid.txt"
    assert changed.output != plain.output


def fake_build(request: Any, *_: Any) -> SimpleNamespace:
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
    monkeypatch.setattr(building, "build", fake_build)
    monkeypatch.setattr(building, "open_inputs", lambda *_: None)
    monkeypatch.setattr(speed, "measure_speed", lambda a, b, tokens: Speed(tokens=tokens, artifact_ms=1, int8_ms=4))
    monkeypatch.setattr(speed, "baseline", lambda *_: Path())
    store, run = Store(tmp_path / "frontier"), Run("frontier", "snips", 2_000_000, 0)
    folder = runs.run_folder(run, tmp_path / "work")

    def full(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="disk full"):
            building.build_one(run, tmp_path, tmp_path / "work", store)
    assert not store.has(run.key)
    assert (folder / ".edgepack").is_dir() is True

    building.build_one(run, tmp_path, tmp_path / "work", store)
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
    building.build_one(run, tmp_path, tmp_path / "work", store)
    assert store.load(run.key, Result).resumed is False


def test_a_bundle_that_is_gone_is_timed_by_a_student_of_its_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result_of: Make
) -> None:
    config = StudentConfig(
        vocab_size=300,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_heads=[2, 2],
        head_sizes=[8, 8],
        intermediate_sizes=[24, 24],
        max_position_embeddings=16,
        num_labels=2,
        body_bits=4,
        embedding_bits=2,
    )
    chosen = Candidate(config, (0, 1), Vocabulary(None, 300, 0, 0, 0.0), 0.0, 1.0, {})
    monkeypatch.setattr(frontier, "open_inputs", lambda *_: None)
    monkeypatch.setattr(frontier, "make_search_space", lambda *_: None)
    monkeypatch.setattr(frontier, "search", lambda *_: SimpleNamespace(chosen=chosen))
    seen: list[tuple[int, tuple[str, ...]]] = []

    def time_it(run: Run, artifact: Path, longest: int, *_: Any) -> Speed:
        seen.append((longest, load(artifact).input_names))
        return Speed(tokens=16, artifact_ms=1.0, int8_ms=7.0)

    monkeypatch.setattr(frontier, "artifact_speed", time_it)
    store, run = Store(tmp_path / "frontier"), Run("frontier", "snips", 2_000_000, 0)
    other = Run("frontier", "snips", 1_000_000, 0)
    shape = {name: chosen.describe()[name] for name in runs.SHAPE}
    keep(store, result_of(run).model_copy(update={"shape": shape, "speed": None}))
    keep(store, result_of(other).model_copy(update={"shape": {**shape, "layers": 3}, "speed": None}))
    frontier.measure_again([run, other], store, tmp_path, tmp_path / "work")
    assert seen == [(16, ("input_ids", "attention_mask"))]
    timed = store.load(run.key, Result).speed
    assert timed is not None
    assert timed.ratio == 7.0
    assert store.load(other.key, Result).speed is None  # the plan is another now
