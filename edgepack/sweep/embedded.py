"""Builds as processes on this machine: so many at a time, cores and GPUs divided among them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.machine.memory import free_memory
from edgepack.machine.processes import gpu_names, share_of_machine, stop, usable_cores
from edgepack.parameters import format_size
from edgepack.sweep.job import Job, Planned, Told
from edgepack.sweep.worker import log_name, outcome, result_name, start

CORES_EACH = 2  # of a build: small matrices leave further cores waiting
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Division:
    """How many builds run at a time with how many threads each, and why."""

    jobs: int
    threads: int
    reason: str


def divide(builds: int, planned: Sequence[Planned], free_disk: int, asked: int | None, before: int | None) -> Division:
    """The division of this machine among the builds that are left.

    `asked`: what the user wants; `before`: what an interrupted sweep had, whose builds resume with as many threads.
    """
    cores = usable_cores()
    if asked is not None or before is not None:
        jobs = asked or before or 1
        return Division(jobs, max(1, cores // jobs), "--jobs" if asked is not None else "as before")
    memory = max((each.memory_bytes for each in planned), default=0)
    disk = max((each.disk_bytes for each in planned), default=0)
    limits = {
        f"{builds} builds": builds,
        f"{cores} cores": cores // CORES_EACH,
        f"{format_size(memory)} of memory each": free_memory() // max(1, memory),
        f"{format_size(disk)} of disk each": free_disk // max(1, disk),
    }
    why, jobs = min(limits.items(), key=lambda limit: limit[1])
    return Division(max(1, jobs), max(1, cores // max(1, jobs)), why)


def run_embedded(
    jobs: Sequence[Job], output: Path, division: Division, begun: Callable[[Job], None], ended: Told
) -> None:
    """Build all jobs; each that ends is told, whatever it came to. Those that run end with this process."""
    gpus = gpu_names()
    left, running = list(jobs), dict[int, tuple[Job, subprocess.Popen[bytes], float]]()
    try:
        while left or running:
            for slot in range(division.jobs):
                if slot not in running and left:
                    job = left.pop(0)
                    (output / result_name(job.name)).unlink(missing_ok=True)
                    begun(job)
                    told = share_of_machine(division.threads, slot, gpus)
                    process = start(job, str(output), told, output / log_name(job.name))
                    running[slot] = (job, process, time.monotonic())
            time.sleep(POLL_SECONDS)
            for slot, (job, process, started) in list(running.items()):
                if (code := process.poll()) is not None:
                    del running[slot]
                    ended(outcome(job, str(output), code, time.monotonic() - started))
    finally:
        for _, process, _ in running.values():
            stop(process)
