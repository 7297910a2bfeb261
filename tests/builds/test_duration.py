"""The time that training will take: each part as often as the recipe asks for it, after a warm-up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edgepack.build import duration
from edgepack.build.data_plan import plan_data
from edgepack.build.duration import estimate_training, second_time
from edgepack.build.inputs import open_inputs
from edgepack.build.recipe import make_schedule, make_stages
from edgepack.build.results import PlanReport
from edgepack.build.search_space import make_search_space
from edgepack.plan.search import search
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from tests.builds.tiny import QUIET, TARGETS, TINY, Files, request

ONE = TARGETS[:1]


def test_each_part_counts_as_often_as_it_is_run(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(files, tmp_path / "out", targets=ONE)
    inputs = open_inputs(asked, QUIET)
    space = make_search_space(inputs)
    plan = search(space, asked.budget_bytes)

    def step_seconds(student: Student, batches: Any, _: torch.device) -> float:
        return 1.0 if student.config.body_bits == 32 else 10.0

    def teacher_seconds(_: Any, sample: Encoded, __: torch.device) -> float:
        return 1e6 * len(sample.input_ids)  # a second for a millionth of a token

    monkeypatch.setattr(duration, "step_seconds", step_seconds)
    monkeypatch.setattr(duration, "teacher_seconds", teacher_seconds)
    data = plan_data(inputs, plan.chosen, space.full)
    found = estimate_training(inputs, plan.chosen, data)
    speed = plan.chosen.estimated_speed
    schedule = make_schedule(TINY, speed)
    rounded = make_stages(TINY, schedule, plan.chosen.config)["quantize"]
    assert data.task.choice.loop_tokens == 0
    assert len(data.task.views.lengths) > len(inputs.train)  # with the synthetic ones
    teacher = 1e6 * data.task.views.lengths.sum()
    assert (found.steps, found.examples) == (schedule.total_steps, schedule.total_steps * schedule.batch_size)
    assert found.seconds == pytest.approx(teacher + rounded.first + 10 * (rounded.last - rounded.first))
    in_loop = plan_data(replace(inputs, request=replace(asked, disk_budget=60_000)), plan.chosen, space.full)
    assert in_loop.task.choice.loop_tokens > 0
    longer = estimate_training(inputs, plan.chosen, in_loop).seconds
    assert longer == pytest.approx(found.seconds + 1e6 * in_loop.task.choice.loop_tokens)
    assert "time" not in PlanReport(plan, data).to_record(), "a build's record is the same every time"


def test_the_warm_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    lasts = iter([100.0, 2.0])

    def work() -> None:
        now[0] += next(lasts)

    monkeypatch.setattr(duration.time, "perf_counter", lambda: now[0])
    assert second_time(work, torch.device("cpu")) == 2.0
