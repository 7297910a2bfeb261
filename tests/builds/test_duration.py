"""The time that training will take: each part as often as the recipe asks for it, after a warm-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgepack.build import duration
from edgepack.build.duration import estimate_training, second_time
from edgepack.build.inputs import make_search_space, open_inputs
from edgepack.build.recipe import make_augmentation, make_schedule, make_stages
from edgepack.build.results import PlanReport
from edgepack.plan.search import search
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from tests.builds.tiny import QUIET, TARGETS, TINY, Files, request

ONE = TARGETS[:1]


def test_each_part_counts_as_often_as_it_is_run(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(files, tmp_path / "out", targets=ONE)
    inputs = open_inputs(asked, QUIET)
    plan = search(make_search_space(inputs), asked.budget_bytes)

    def step_seconds(student: Student, batches: Any, _: torch.device) -> float:
        return 1.0 if student.config.body_bits == 32 else 10.0

    def teacher_seconds(_: Any, sample: Encoded, __: torch.device) -> float:
        return 1e6 * len(sample.input_ids)  # a second for a millionth of a token

    monkeypatch.setattr(duration, "step_seconds", step_seconds)
    monkeypatch.setattr(duration, "teacher_seconds", teacher_seconds)
    found = estimate_training(inputs, plan.chosen)
    speed = plan.chosen.estimated_speed
    schedule = make_schedule(TINY, speed)
    rounded = make_stages(TINY, schedule, plan.chosen.config)["quantize"]
    augmentation = make_augmentation(TINY, speed, len(inputs.train))
    assert augmentation is not None
    teacher = 1e6 * len(inputs.train.input_ids) / (1 - augmentation.share)
    assert (found.steps, found.examples) == (schedule.total_steps, schedule.total_steps * schedule.batch_size)
    assert found.seconds == pytest.approx(teacher + rounded.first + 10 * (rounded.last - rounded.first))
    assert "training" not in PlanReport(plan).to_record(), "a build's record is the same every time"


def test_the_warm_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    lasts = iter([100.0, 2.0])

    def work() -> None:
        now[0] += next(lasts)

    monkeypatch.setattr(duration.time, "perf_counter", lambda: now[0])
    assert second_time(work, torch.device("cpu")) == 2.0
