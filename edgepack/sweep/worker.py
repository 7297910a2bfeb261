"""One build of a sweep in a process of its own, started by `run_apart` here or on a node of a cluster.

    python -m edgepack.sweep.worker JOB OUTPUT

The build's result stands in OUTPUT/results when the process ends; what it said, tracebacks too, in OUTPUT/logs. It
lives no longer than the process that started it, so that a sweep that is killed leaves nothing which runs on.

In a folder the build runs where its result belongs, and resumes there from its last checkpoint. At a URL it runs on the
node's own disk, and each stage that is finished is copied to the storage: another node resumes after the last one. The
teacher's outputs, gigabytes, are not; a node that needs them asks the teacher again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgepack._version import __version__
from edgepack.bundle.manifest import model_text
from edgepack.bundle.sweep import BUILDS, SweepBuild, SweepTarget
from edgepack.bundle.verdict import Status
from edgepack.errors import EdgepackError, InputError, one_line, printable
from edgepack.machine.extras import plain_error
from edgepack.machine.processes import end_with_parent, start_module, stop
from edgepack.report.records import BundleFacts
from edgepack.sweep.job import Job
from edgepack.sweep.lending import STAGES, lend, return_unused, set_aside, stages_of
from edgepack.sweep.storage import Storage

if TYPE_CHECKING:
    from edgepack.bundle.write import Bundle

RESULTS, LOGS, UNFINISHED, LENT = "results", "logs", "stages", "teacher-outputs"  # folders of a sweep's output
MODULE = "edgepack.sweep.worker"  # what is started


def result_name(job: str) -> str:
    """Where a build's result stands."""
    return f"{RESULTS}/{job}.json"


def log_name(job: str) -> str:
    """Where all that a build said stands."""
    return f"{LOGS}/{job}.log"


def read_result(storage: Storage, job: Job) -> SweepBuild | None:
    """What a job came to, if it ended; None for what another version, other data or other options came to."""
    data = storage.read(result_name(job.name))
    try:
        found = None if data is None else SweepBuild.model_validate_json(data)
    except ValueError:
        return None  # of an edgepack whose results were others
    return found if found is not None and found.fingerprint == job.fingerprint else None


def start(job: Job, output: str, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A process that builds `job`, and all that it starts, in a group of its own; what it says is added to `log`."""
    return start_module(MODULE, [job.to_json(), output], environment, log)


def outcome(job: Job, output: str, code: int, seconds: float) -> SweepBuild:
    """What a process that ended with `code` came to."""
    found = read_result(Storage(output), job)
    if found is not None and (found.status == "built" or code == 0):
        return found
    how = f"ended by signal {-code}" if code < 0 else f"ended with code {code} and no result"
    return job.failed(f"{how}; see {log_name(job.name)}", round(seconds, 1))


def run_apart(text: str, output: str, environment: Mapping[str, str], version: str) -> str:
    """On a node: build a job as JSON, wait for it, and give its result as JSON; the log goes to the storage too."""
    job, storage = Job.from_json(text), Storage(output)
    if version != __version__:
        return model_text(job.failed(f"the node has edgepack {__version__}, and the sweep {version}; install the same"))
    found = read_result(storage, job)
    if found is not None and found.status == "built":
        return model_text(found)  # a node that died, or was given up, had finished it
    with tempfile.TemporaryDirectory(prefix="edgepack-sweep-") as scratch:
        log = Path(scratch) / "log" if storage.local is None else storage.local / log_name(job.name)
        storage.remove(result_name(job.name))
        started = time.monotonic()
        process = start(job, output, environment, log)
        try:
            code = process.wait()
        finally:
            stop(process)
            if storage.local is None:
                storage.write(log_name(job.name), (storage.read(log_name(job.name)) or b"") + log.read_bytes())
    return model_text(outcome(job, output, code, time.monotonic() - started))


@dataclass
class Surroundings:
    """What goes on beside a build: its parent process is looked for, and what it finished is handed on."""

    job: Job
    storage: Storage
    folder: Path
    parent: int = field(default_factory=os.getppid)
    stored: set[str] = field(default_factory=set)

    @property
    def kept(self) -> Path | None:
        """Teacher outputs that builds of the same data share; none at a URL, where no two builds are on one disk."""
        return None if self.storage.local is None else self.storage.local / LENT / self.job.lends

    def watch(self, over: threading.Event) -> None:
        """Until the build is over: hand on what is finished, and end with the parent."""
        end_with_parent(self.parent, over, self.leave_nothing, self.try_to_hand_on)

    def leave_nothing(self) -> None:
        """Remove a build on a node's own disk, which nobody would find."""
        if self.storage.local is None:
            shutil.rmtree(self.folder.parent, ignore_errors=True)

    def try_to_hand_on(self) -> None:
        """`hand_on`, again and again: storage that is not there for a while must not cost the build."""
        try:
            self.hand_on()
        except Exception:
            traceback.print_exc()

    def hand_on(self) -> None:
        """Finished stages for other builds, or for another node."""
        if self.kept is not None:
            set_aside(self.folder, self.kept)
            return
        for stage in sorted(stages_of(self.folder).glob("*")):
            if stage.name not in self.stored and not stage.match(STAGES):
                self.storage.put_folder(stage, f"{UNFINISHED}/{self.job.name}/{stage.name}")
                self.stored.add(stage.name)


@contextmanager
def place_of(job: Job, storage: Storage) -> Iterator[Path]:
    """The folder to build in: where the result belongs, or a temporary one that takes up the stored stages."""
    if storage.local is not None:
        yield storage.local / BUILDS / job.name
        return
    with tempfile.TemporaryDirectory(prefix="edgepack-build-") as scratch:
        folder = Path(scratch) / job.name
        storage.get_stages(f"{UNFINISHED}/{job.name}", stages_of(folder))
        yield folder
        storage.put_folder(folder, f"{BUILDS}/{job.name}")


def build_job(job: Job, storage: Storage) -> SweepBuild:
    """The build with all that goes on beside it."""
    from edgepack.build.flow import build  # here: `run_apart` needs none of what trains
    from edgepack.console import Console

    started = time.monotonic()
    with place_of(job, storage) as folder:
        beside, over = Surroundings(job, storage, folder), threading.Event()
        request = job.request(folder)
        lent = [] if beside.kept is None else lend(folder, beside.kept)
        watcher = threading.Thread(target=beside.watch, args=(over,), daemon=True)
        watcher.start()
        try:
            result = build(request, Console())
        finally:
            over.set()
            watcher.join()
        return_unused(folder, lent)
    made = [target_result(bundle) for bundle in result.bundles]
    seconds = round(time.monotonic() - started, 1)
    changes = {"status": "built", "results": made, "missing": dict(result.missing), "seconds": seconds}
    return job.begun().model_copy(update=changes)


def target_result(bundle: Bundle) -> SweepTarget:
    """What the sweep keeps of a bundle's verdict."""
    verdict, facts = bundle.verdict, BundleFacts(bundle.manifest, bundle.verdict)
    speed = verdict.speed.get("artifact")
    return SweepTarget(
        target=facts.name,
        status=cast(Status, facts.status),
        open_checks=[check.name for check in facts.open_checks],
        shipped_bytes=verdict.shipped_bytes,
        metric=verdict.metrics.get("artifact"),
        teacher=verdict.metrics.get("teacher"),
        retention=verdict.retention,
        divergence=verdict.divergence,
        p50_ms={} if speed is None else dict(speed.p50_ms),
    )


def main(job: Job, storage: Storage) -> None:
    """Build, and leave the result; an error is one, and its traceback is in the log."""
    started = time.monotonic()
    print(f"=== {job.name}, edgepack {__version__}, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}", flush=True)
    try:
        found = build_job(job, storage)
    except Exception as e:  # whatever it is, the sweep goes on; it is printed whole
        traceback.print_exc()
        error: EdgepackError | None = plain_error(e, "a build")
        said = f"a defect of edgepack ({one_line(e)})" if error is None else printable(" ".join(str(error).split()))
        found = job.failed(said, round(time.monotonic() - started, 1))
    storage.write(result_name(job.name), f"{model_text(found)}\n".encode())
    if found.status == "built":
        storage.remove(f"{UNFINISHED}/{job.name}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise InputError("edgepack.sweep.worker is started by `edgepack sweep`; run that")
    main(Job.from_json(sys.argv[1]), Storage(sys.argv[2]))
