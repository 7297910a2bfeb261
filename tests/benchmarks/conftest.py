"""Results as builds would leave them, and a stand-in for the processes that make them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import building, runs
from benchmarks.building import Result
from benchmarks.runs import Run
from benchmarks.speed import Speed
from benchmarks.store import Store
from edgepack.build.recipe import recipe_record
from edgepack.bundle.manifest import MetricRecord
from edgepack.bundle.verdict import IntervalRecord

SHAPE = {
    "layers": 6,
    "heads": 2,
    "ffn": 128,
    "embedding": 64,
    "vocabulary": 12_000,
    "body_bits": 4,
    "embedding_bits": 4,
}


def make_result(run: Run, value: float = 0.88, **changes: Any) -> Result:
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
        "recipe": recipe_record(runs.recipe_of(run)),
        "versions": {"edgepack": "0"},
        "code": "0",
        "machine": {},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Result(**{**fields, **changes})


@pytest.fixture
def result_of() -> Callable[..., Result]:
    """`result_of(run, metric, **changes)`: a finished run beside a teacher of 0.9."""
    return make_result


class FakeProcesses:
    """Stands for `subprocess.run`: a build that records its result, or fails where it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.failing: tuple[str, ...] = ()

    def __call__(self, command: list[str], **_: Any) -> SimpleNamespace:
        group = [Run(**json.loads(word)) for word in command[command.index("build") + 1 : command.index("--device")]]
        self.groups.append([run.key for run in group])
        store = Store(Path(command[command.index("--results") + 1]))
        for run in group:
            if run.key not in self.failing:
                store.save(run.key, make_result(run))
        return SimpleNamespace(returncode=int(any(run.key in self.failing for run in group)))

    @property
    def started(self) -> list[str]:
        """All builds in order."""
        return [key for group in self.groups for key in group]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> FakeProcesses:
    """In place of the processes that builds would run in."""
    fake = FakeProcesses()
    monkeypatch.setattr(building.subprocess, "run", fake)
    return fake
