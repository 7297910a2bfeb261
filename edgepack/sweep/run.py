"""A sweep from its file to its report: read, taken over, checked, run, written down.

What is finished is known by its results alone: a build counts where its result has the fingerprint of what is asked for
now and its folder is there. All others run, and resume in their folders as builds do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edgepack._version import __version__
from edgepack.bundle.manifest import MANIFEST_NAME, model_text
from edgepack.bundle.sweep import BUILDS, SWEEP_NAME, SweepBuild, SweepRecord
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.report import sweep_pages
from edgepack.sweep.check import plan_jobs
from edgepack.sweep.embedded import Division, divide, run_embedded
from edgepack.sweep.file import Sweep, read_sweep
from edgepack.sweep.job import Job, shared_outputs
from edgepack.sweep.on_ray import check_capacity, cluster, run_on_ray
from edgepack.sweep.result import DryRun, SweepResult, means_of
from edgepack.sweep.storage import Storage
from edgepack.sweep.worker import LENT, log_name, read_result
from edgepack.workspace import Workspace


@dataclass
class Progress:
    """The builds of a sweep as they end; written down each time."""

    storage: Storage
    division: Division
    ray: bool
    builds: dict[str, SweepBuild]
    console: Console
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def begun(self, job: Job) -> None:
        """Say that a build begins."""
        self.console.info(f"{job.name}: {'handed to Ray' if self.ray else 'begins'}; log: {log_name(job.name)}")

    def ended(self, build: SweepBuild) -> None:
        """Keep what a build came to, and say it."""
        self.builds[build.name] = build
        over = sum(each.status != "waiting" for each in self.builds.values())
        how = (
            f"failed: {build.error}" if build.status == "failed" else "passed" if build.passed else "built, not passed"
        )
        self.console.info(f"{build.name}: {how} ({over} of {len(self.builds)} builds)")
        sharing = [b for b in self.builds.values() if (b.teacher, b.seed) == (build.teacher, build.seed)]
        if all(each.status != "waiting" for each in sharing):
            self.storage.remove(f"{LENT}/{shared_outputs(build.teacher, build.seed)}")
        self.write()

    def write(self) -> SweepRecord:
        """sweep.json and the report as they are now."""
        builds = list(self.builds.values())
        record = SweepRecord(
            edgepack_version=__version__,
            created=self.created,
            jobs=self.division.jobs,
            threads=self.division.threads,
            ray=self.ray,
            builds=builds,
            means=means_of(builds),
        )
        self.storage.write(SWEEP_NAME, f"{model_text(record)}\n".encode())
        for name, text in sweep_pages(record).items():
            self.storage.write(name, text.encode(errors="replace"))
        return record


def run_sweep(file: Path, output: str, jobs: int | None, ray: str | None, console: Console) -> SweepResult:
    """Build all that is not built yet, here or on the cluster at `ray`; `output` may be a URL there."""
    sweep, storage = open_sweep(file, output, jobs, ray)
    with held(storage):
        builds, left = taken_over(sweep, storage, console)
        division = Division(1, sweep.ray.cpus, "Ray")
        if ray is None:
            division = checked(left, Path(output), jobs, recorded_jobs(storage), console)
        progress = Progress(storage, division, ray is not None, builds, console)
        progress.write()
        if left and ray is None:
            run_embedded(left, Path(output), division, progress.begun, progress.ended)
        elif left:
            with cluster(str(ray)) as connected:
                check_capacity(connected, sweep.ray)
                plan_jobs(left, "auto", console)
                run_on_ray(connected, left, shared_place(storage), sweep.ray, progress.begun, progress.ended)
        storage.remove(LENT)
        return SweepResult(progress.write(), output)


def open_sweep(file: Path, output: str, jobs: int | None, ray: str | None) -> tuple[Sweep, Storage]:
    """The file and where its results go; `InputError` for options that exclude each other."""
    sweep, storage = read_sweep(file), Storage(output)
    if ray is not None and jobs is not None:
        raise InputError(f"--jobs {jobs} and --ray are both given; Ray's scheduler decides: see [ray] of the file")
    if storage.local is None and ray is None:
        raise InputError(f"output is {output}; without --ray give a folder")
    return sweep, storage


def list_sweep(file: Path, output: str, jobs: int | None, ray: str | None, console: Console) -> DryRun:
    """The builds with their plans, and which are finished; every check is made and nothing is written."""
    sweep, storage = open_sweep(file, output, jobs, ray)
    builds, left = taken_over(sweep, storage, console)
    planned = plan_jobs(left, None if ray is None else "auto", console)
    return DryRun(tuple(builds.values()), {job.name: planned[job.group] for job in left})


def taken_over(sweep: Sweep, storage: Storage, console: Console) -> tuple[dict[str, SweepBuild], list[Job]]:
    """What every build came to so far, and those that are not built."""
    builds: dict[str, SweepBuild] = {}
    left = []
    for job in sweep.jobs:
        found = read_result(storage, job)
        whole = found is not None and found.status == "built" and not found.missing
        if whole and storage.read(f"{BUILDS}/{job.name}/{MANIFEST_NAME}") is None:
            whole = False  # somebody removed it
        builds[job.name] = found if found is not None and whole else job.begun()
        left += [] if whole else [job]
    console.info(f"{len(builds)} builds, {len(builds) - len(left)} of them finished before")
    return builds, left


def checked(left: Sequence[Job], output: Path, jobs: int | None, before: int | None, console: Console) -> Division:
    """What is left, planned, and how this machine is divided among it."""
    planned = plan_jobs(left, None, console)
    each = [planned[job.group] for job in left]
    division = divide(len(left), each, shutil.disk_usage(output).free, jobs, before)
    if left:
        console.info(f"{division.jobs} at a time, {division.threads} threads each ({division.reason})")
    return division


def recorded_jobs(storage: Storage) -> int | None:
    """How many builds ran at a time before a sweep was interrupted; None where none was, or where it was on Ray."""
    data = storage.read(SWEEP_NAME)
    try:
        found = None if data is None else SweepRecord.model_validate_json(data)
    except ValueError:
        return None
    interrupted = found is not None and not found.ray and any(each.status == "waiting" for each in found.builds)
    return found.jobs if found is not None and interrupted else None


@contextmanager
def held(storage: Storage) -> Iterator[None]:
    """Hold a folder for this process alone; at a URL nobody can."""
    if storage.local is None:
        yield
        return
    if (storage.local / MANIFEST_NAME).exists():
        raise InputError(f"output {storage.root} is a build's; give a new folder, or that of an earlier sweep")
    with Workspace(storage.local).lock():
        yield


def shared_place(storage: Storage) -> str:
    """The output as nodes are told it."""
    return storage.root if storage.local is None else os.path.abspath(storage.local)
