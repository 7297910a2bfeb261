"""Sweeps for tests: a file of one teacher, and results without builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgepack.bundle.manifest import MetricRecord
from edgepack.bundle.sweep import SweepBuild, SweepRecord, SweepTarget
from edgepack.bundle.verdict import IntervalRecord
from edgepack.sweep import worker
from edgepack.sweep.result import means_of

FAKE, SHORT = "tests.sweep.fake_worker", "tests.sweep.short_worker"
TEXT = """
budgets = ["2MB", 1000000]
targets = ["android-onnx"]
seeds = [0, 1]

[options]
max-drop = "3%"

[teachers.one]
model = "teacher"
data = "train.tsv"
eval = "dev.tsv"
"""


def write_sweep(folder: Path, text: str = TEXT) -> Path:
    """The file with the files that it names; what is in these is nothing that trains."""
    (folder / "teacher").mkdir(parents=True, exist_ok=True)
    for name in ("teacher/config.json", "train.tsv", "dev.tsv"):
        (folder / name).write_text(name)
    path = folder / "sweep.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fake_apart(text: str, output: str, environment: Mapping[str, str], version: str) -> str:
    """`run_apart` on a node of a cluster, of a build that `fake_worker` stands for."""
    worker.MODULE = FAKE
    return worker.run_apart(text, output, environment, version)


def short_apart(text: str, output: str, environment: Mapping[str, str], version: str) -> str:
    """`run_apart` on a node of a cluster, of a real build without times."""
    worker.MODULE = SHORT
    return worker.run_apart(text, output, environment, version)


def made_target(value: float = 0.98, **changes: Any) -> SweepTarget:
    """A target that passed with a retention of `value`."""
    metric = MetricRecord(name="accuracy", value=0.9 * value, n=500, low=0.9 * value - 0.02, high=0.9 * value + 0.02)
    known: dict[str, Any] = {
        "target": "android-onnx",
        "status": "passed",
        "shipped_bytes": 1_900_000,
        "metric": metric,
        "teacher": MetricRecord(name="accuracy", value=0.9, n=500, low=0.88, high=0.92),
        "retention": IntervalRecord(value=value, low=value - 0.015, high=value + 0.012),
        "p50_ms": {16: 0.5, 64: 1.5},
    }
    return SweepTarget(**{**known, **changes})


def made_build(seed: int = 0, results: list[SweepTarget] | None = None, **changes: Any) -> SweepBuild:
    """A build of the teacher `one` at 2 MB."""
    known: dict[str, Any] = {
        "name": f"one-2MB-standard-seed{seed}",
        "teacher": "one",
        "budget_bytes": 2_000_000,
        "recipe": "standard",
        "seed": seed,
        "targets": ["android-onnx"],
        "fingerprint": "f" * 64,
        "status": "built",
        "results": [made_target(0.98 + 0.01 * seed)] if results is None else results,
    }
    return SweepBuild(**{**known, **changes})


def made_record(*builds: SweepBuild, jobs: int = 2) -> SweepRecord:
    """The record of these builds."""
    return SweepRecord(
        edgepack_version="0.1.0",
        created="2026-11-28T12:00:00+00:00",
        jobs=jobs,
        threads=1,
        builds=list(builds),
        means=means_of(builds),
    )
