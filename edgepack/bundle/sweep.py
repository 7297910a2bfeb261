"""`sweep.json`: what a sweep's builds came to, build by build and target by target, and their means over seeds.

It is written when a sweep begins and after each build that ends, so that a reader of a sweep that runs, or was killed,
sees what is finished. Times are of the machines that built; `fingerprint` is of all that decides a build.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from edgepack.bundle.manifest import MetricRecord, read_model
from edgepack.bundle.record import Record
from edgepack.bundle.verdict import IntervalRecord, Status

SWEEP_NAME = "sweep.json"
BUILDS = "builds"  # the folder with a folder for each build


class SweepTarget(Record):
    """One target of one build, from its verdict."""

    target: str
    status: Status
    open_checks: list[str] = Field(default_factory=list)  # names of those that did not pass
    shipped_bytes: int
    metric: MetricRecord | None = None  # of the artifact
    teacher: MetricRecord | None = None
    retention: IntervalRecord | None = None
    divergence: float | None = None  # KL(teacher ‖ artifact) in nats
    p50_ms: dict[int, float] = Field(default_factory=dict)  # the artifact's median time, by token count


class SweepBuild(Record):
    """One build; `waiting` until it ends, `failed` where it ended without bundles."""

    left_out: ClassVar[tuple[str, ...]] = ("error",)
    name: str  # of its folder, and of its log
    teacher: str  # its name in the sweep's file
    budget_bytes: int
    recipe: str
    seed: int
    targets: list[str]
    fingerprint: str
    status: Literal["waiting", "built", "failed"] = "waiting"
    error: str | None = None
    seconds: float = 0.0  # of the run that ended it
    results: list[SweepTarget] = Field(default_factory=list)
    missing: dict[str, str] = Field(default_factory=dict)  # target → what it lacked where it was built

    @property
    def passed(self) -> bool:
        """Whether every target was built and its verdict passed."""
        return self.status == "built" and not self.missing and all(r.status == "passed" for r in self.results)


class SweepMean(Record):
    """One target of the builds that differ in the seed alone; intervals are those of `edgepack/sweep/seeds.py`."""

    teacher: str
    budget_bytes: int
    recipe: str
    targets: list[str]  # that were built together
    target: str
    seeds: list[int]
    shipped_bytes: int  # the largest
    metric: IntervalRecord | None = None
    teacher_metric: float | None = None
    retention: IntervalRecord | None = None
    p50_ms: dict[int, float] = Field(default_factory=dict)  # the mean
    statuses: list[Status] = Field(default_factory=list)  # by seed


class SweepRecord(Record):
    """`sweep.json` of a sweep's output folder."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    edgepack_version: str
    created: str
    jobs: int = Field(ge=1)  # builds at a time, which is what latencies were measured beside; on Ray its own affair: 1
    threads: int = Field(ge=1)  # of each
    ray: bool = False
    builds: list[SweepBuild]
    means: list[SweepMean] = Field(default_factory=list)


def load_sweep(folder: Path) -> SweepRecord:
    """The sweep's record; `InputError` where it does not read."""
    return read_model(folder / SWEEP_NAME, SweepRecord)
