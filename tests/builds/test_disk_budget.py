"""Builds with little disk: the plan says bytes and passes beforehand, the build keeps to them, and no data is cut."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgepack.build.data_plan import DataPlan, free_space_problem, output_files, plan_data
from edgepack.build.flow import build as run_build
from edgepack.build.flow import plan_build
from edgepack.build.inputs import BuildRequest, Inputs, open_inputs
from edgepack.build.recipe import PASSES, RECIPES
from edgepack.build.search_space import make_search_space
from edgepack.bundle.manifest import load_build_manifest
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.general import General
from edgepack.errors import DiskFull, InputError
from edgepack.plan.search import search
from edgepack.train.teacher_outputs import load_teacher_outputs
from tests.builds.tiny import QUIET, TINY, Files, request

ONE = ("android-onnx",)
BARELY = replace(TINY, examples_seen=640, augmentation=Augmentation(0.3), importance_examples=64)


def asked(files: Files, output: Path, disk_budget: int, **changes: object) -> BuildRequest:
    return request(files, output, targets=ONE, recipe=BARELY, max_drop=1.0, disk_budget=disk_budget, **changes)


@pytest.fixture(scope="module")
def inputs(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return open_inputs(request(files, tmp_path_factory.mktemp("out"), targets=ONE, recipe=BARELY), QUIET)


def planned(inputs: Inputs, **changes: object) -> DataPlan:
    own = replace(inputs, request=replace(inputs.request, **changes))  # type: ignore[arg-type]
    space = make_search_space(own)
    return plan_data(own, search(space, own.request.budget_bytes).chosen, space.full)


def test_each_branch_is_built_as_planned(files: Files, inputs: Inputs, tmp_path: Path) -> None:
    """All in int8, a part of it and the teacher for others (fp16: other builds); bytes are the plan's exactly."""
    whole = planned(inputs)
    need = whole.bytes - whole.task.choice.bytes
    text = tmp_path / "text.txt"
    text.write_text("could you play the song now . please just dim my lamp . set a clock .\n\n" * 40)
    recipe = replace(BARELY, general=General(0.5))
    for disk_budget, form, stored in (
        (whole.bytes - 1, "int8", 1.0),
        (need + whole.task.choice.bytes // 4, "int8", 0.5),
    ):
        output = tmp_path / str(disk_budget)
        more = {"raw_text": text, "recipe": recipe} if stored < 1 else {}
        made = asked(files, output, disk_budget, keep_states=True)
        run_build(replace(made, **more), QUIET)  # type: ignore[arg-type]
        record = load_build_manifest(output).plan["training"]
        folders = [path for path in (output / ".edgepack" / "stages").glob("teacher-*") if "text" not in path.name]
        states, stages = record["states"], (output / ".edgepack" / "stages").glob("teacher*")
        assert record["disk_bytes"] == sum(output_files(path) for path in stages) <= disk_budget
        assert (states["format"], states["states"]) == (form, [0, 1, 2])
        assert states["stored_examples"] / states["examples"] == pytest.approx(stored, abs=0.1)
        assert states["examples"] == record["examples"] + record["synthetic"] > 480  # none is cut
        (folder,) = folders
        outputs = load_teacher_outputs(folder, [0, 1])
        assert len(outputs.logits) == states["examples"]
        assert (outputs.kept.loop_share > 0) == (stored < 1)
        assert ("general" in [stage["name"] for stage in load_build_manifest(output).stages]) == (stored < 1)


def test_the_plan_says_what_timing_a_large_teacher_takes(inputs: Inputs) -> None:
    large = replace(inputs, teacher=replace(inputs.teacher, tensors=replace(inputs.teacher.tensors, bytes=10**9)))
    said = "timing: to make the teacher's int8 file takes about 8.0 GB of memory"
    assert any(line.startswith(said) for line in planned(large, timed=True).lines())
    for plan in (planned(large, timed=False), planned(inputs, timed=True)):
        assert not any(line.startswith("timing") for line in plan.lines())


def test_the_plan_says_what_training_sees_and_takes(files: Files, tmp_path: Path) -> None:
    report = plan_build(asked(files, tmp_path / "out", 100_000), QUIET)
    table = report.table()
    assert "training data: 480 examples and 206 synthetic ones, each seen" in table
    assert "100.0 kB are allowed (--disk-budget), so the teacher runs on" in table
    assert "of disk, about" in table
    assert report.to_record()["training"]["disk_bytes"] <= 100_000


@pytest.mark.parametrize(
    ("disk_budget", "effort", "examples"),
    [(10**10, "quick", 40), (50_000, "standard", 480), (50_000, "max", 40), (10**10, "max", 480)],
)
def test_no_example_is_seen_too_often_whatever_the_disk(
    disk_budget: int, effort: str, examples: int, inputs: Inputs
) -> None:
    recipe = replace(RECIPES[effort], examples_seen=RECIPES[effort].examples_seen // 20)
    few = replace(inputs, train=inputs.train.select(np.arange(examples)))
    plan = planned(few, recipe=recipe, disk_budget=max(disk_budget, 20 * examples * 100))
    assert plan.task.views.passes <= PASSES * 1.01
    assert plan.task.views.all_steps.min() >= plan.task.views.all_steps.max() - 1  # all data, equally


def test_logits_alone_are_refused_where_they_do_not_fit(inputs: Inputs) -> None:
    with pytest.raises(InputError, match=r"disk budget is 2\.0 kB; with the teacher's logits of 686 examples at least"):
        planned(inputs, disk_budget=2_000)


def test_free_space_is_looked_at_before_the_teacher_runs(
    files: Files, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, made = planned(inputs), asked(files, tmp_path / "new" / "out", 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=plan.bytes))
    assert free_space_problem(made, plan) is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    monkeypatch.setattr("edgepack.build.flow.save_teacher_outputs", lambda *_, **__: pytest.fail("the teacher ran"))
    with pytest.raises(
        DiskFull, match=r"has 100\.0 kB free; make room, give -o on another disk, or --disk-budget 90kB"
    ):
        run_build(made, QUIET)
    written = tmp_path / "new" / "out" / ".edgepack" / "scratch" / "teacher-1234" / "hidden.npy"
    written.parent.mkdir(parents=True)
    written.write_bytes(b"x" * plan.bytes)  # by a build that was killed: it is written over
    assert free_space_problem(made, plan) is None
