"""What a sweep came to, for people and for machines: a line for each build and target, and means over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.bundle.sweep import SWEEP_NAME, SweepBuild, SweepMean, SweepRecord, SweepTarget
from edgepack.bundle.verdict import IntervalRecord
from edgepack.console import format_table
from edgepack.errors import CheckFailed, MissingDependency
from edgepack.report.sweep import BUILD_COLUMNS, MEAN_COLUMNS, build_rows, mean_rows
from edgepack.sweep.job import Planned
from edgepack.sweep.seeds import Figured, over_seeds


@dataclass(frozen=True, eq=False)
class SweepResult:
    """A sweep that is over: all of its builds have ended."""

    record: SweepRecord
    output: str

    @property
    def exit_code(self) -> int:
        """1 when a build failed or a verdict did not pass, else 3 when a target lacked something, else 0."""
        builds = self.record.builds
        statuses = {result.status for build in builds for result in build.results}
        if any(build.status != "built" for build in builds) or statuses - {"passed"}:
            return CheckFailed.exit_code
        return MissingDependency.exit_code if any(build.missing for build in builds) else 0

    def to_record(self) -> dict[str, Any]:
        """sweep.json."""
        return self.record.model_dump(mode="json", by_alias=True)

    def table(self) -> str:
        """A line for each build and target, then the means over seeds."""
        lines = [format_table([BUILD_COLUMNS, *build_rows(self.record)])]
        if self.record.means:
            lines += ["", "means over seeds:", format_table([MEAN_COLUMNS, *mean_rows(self.record)])]
        failed = [f"{build.name}: {build.error}" for build in self.record.builds if build.status == "failed"]
        lacking = [
            f"{b.name}: {target}: not built: {why}" for b in self.record.builds for target, why in b.missing.items()
        ]
        place = self.output.rstrip("/")
        return "\n".join([*lines, *failed, *lacking, f"report: {place}/report.html; record: {place}/{SWEEP_NAME}"])


@dataclass(frozen=True, eq=False)
class DryRun:
    """The builds of a file, and the plans of those that are not finished."""

    builds: tuple[SweepBuild, ...]
    planned: dict[str, Planned]

    def to_record(self) -> dict[str, Any]:
        """A record for each build."""
        return {"builds": [self.one(build) for build in self.builds]}

    def one(self, build: SweepBuild) -> dict[str, Any]:
        """A build with what its plan says."""
        plan = self.planned.get(build.name)
        said = {} if plan is None else {"bytes": plan.shipped_bytes, "memory_bytes": plan.memory_bytes}
        names = ("name", "teacher", "budget_bytes", "recipe", "seed", "targets", "status")
        return {**build.model_dump(mode="json", include=set(names)), **said}

    def table(self) -> str:
        """A line for each build."""
        rows = [["build", "budget", "targets", "planned bytes", "state"]]
        for build in self.builds:
            plan = self.planned.get(build.name)
            sizes = [] if plan is None else [f"{plan.shipped_bytes[name]:,}" for name in build.targets]
            state = "finished" if build.status == "built" else "to be built"
            rows.append([build.name, f"{build.budget_bytes:,}", " ".join(build.targets), " ".join(sizes) or "-", state])
        return "\n".join([format_table(rows), f"{len(self.planned)} of {len(self.builds)} builds are to be built"])


def means_of(builds: Sequence[SweepBuild]) -> list[SweepMean]:
    """Each target of the builds that differ in the seed alone and are built, where these are two or more."""
    groups: dict[tuple[str, int, str, tuple[str, ...], str], list[tuple[int, SweepTarget]]] = {}
    for build in builds:
        for result in build.results:
            key = (build.teacher, build.budget_bytes, build.recipe, tuple(build.targets), result.target)
            groups.setdefault(key, []).append((build.seed, result))
    return [mean_of(key, found) for key, found in groups.items() if len(found) > 1]


def mean_of(key: tuple[str, int, str, tuple[str, ...], str], found: Sequence[tuple[int, SweepTarget]]) -> SweepMean:
    """The mean of one target over seeds."""
    teacher, budget, recipe, targets, target = key
    seeds, results = [seed for seed, _ in found], [result for _, result in found]
    timed = set.intersection(*(set(result.p50_ms) for result in results))
    metrics = [result.teacher.value for result in results if result.teacher is not None]
    return SweepMean(
        teacher=teacher,
        budget_bytes=budget,
        recipe=recipe,
        targets=list(targets),
        target=target,
        seeds=seeds,
        shipped_bytes=max(result.shipped_bytes for result in results),
        metric=interval_of([result.metric for result in results]),
        teacher_metric=metrics[0] if metrics else None,
        retention=interval_of([result.retention for result in results]),
        p50_ms={count: math.fsum(r.p50_ms[count] for r in results) / len(results) for count in sorted(timed)},
        statuses=[result.status for result in results],
    )


def interval_of(figures: Sequence[Figured | None]) -> IntervalRecord | None:
    """The mean with its interval; None where a seed has no figure."""
    known = [figure for figure in figures if figure is not None]
    if len(known) < len(figures):
        return None
    found = over_seeds(known)
    return IntervalRecord(value=found.value, low=found.low, high=found.high)
