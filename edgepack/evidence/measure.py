"""Load time, latency and peak memory of one model, in a process that holds nothing else.

`python -m edgepack.evidence.measure artifact|teacher PATH …` loads one model; for each line that it reads it runs the
model at each token count with one thread and batch 1, and prints one JSON line. `measure` asks such processes in turn
(artifact, teacher, artifact, …) so that a change in the machine's load falls on both, and takes medians. An artifact
has a fresh process each time. A teacher keeps its own, whose start takes far longer than a sample. Sequence lengths
are interleaved inside a process, as models are among processes.

Peak memory is the process's highest resident size (`VmHWM`; elsewhere `ru_maxrss`, which on Linux would
count the parent's memory before `exec`); `baseline_bytes` is what the interpreter and its libraries took before
the model, `resident_bytes` the resident size between loading and the first run: what an idle app keeps. The first run
(`first_ms`) is at the first of the token counts; three warm-ups follow, which count for nothing. Each length is run 30
times, a slow model's down to 10. A runtime that runs in a process of its own (`runtime.ProcessSession`) is measured
there. Figures are this machine's: they compare models, they do not predict a phone.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Timer
from typing import IO, Any

import numpy as np
import psutil

from edgepack.bundle.verdict import Speed
from edgepack.errors import CheckFailed

log = logging.getLogger(__name__)

TOKEN_COUNTS = (16, 32, 64, 128)
RUNS, WARM_UPS, REPEATS = 30, 3, 3
FEWEST_RUNS, SAMPLE_S = 10, 2.0  # a slow model is run less often: no new run after so many runs and seconds
TIMEOUT_S = 300  # of one sample, with loading
ENDS_IN_S = 10
TOKEN_ID = 5  # any id that every vocabulary has; the time does not depend on it
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Loaded:
    """A model that runs: `run` takes a token count and gives the milliseconds of one inference."""

    run: Callable[[int], float]
    load_ms: float
    process_id: int | None = None  # where it runs; None: in this process
    baseline_bytes: int | None = None


@dataclass(frozen=True)
class Subject:
    """A model to measure: an artifact with its target, or a teacher's folder with its task."""

    kind: str  # artifact | teacher
    path: Path
    name: str  # of the target, or of the task


@dataclass(eq=False)
class Teachers:
    """Processes of teachers, each started when it is first asked for a sample; a context, which ends them."""

    running: dict[tuple[Subject, tuple[int, ...], int], Callable[[], dict[str, Any]]] = field(default_factory=dict)
    ends: ExitStack = field(default_factory=ExitStack)

    def sample(self, subject: Subject, token_counts: Sequence[int], runs: int) -> dict[str, Any]:
        """One more sample of this teacher."""
        key = subject, tuple(token_counts), runs
        if key not in self.running:
            self.running[key] = self.ends.enter_context(started(subject, token_counts, runs))
        return self.running[key]()

    def __enter__(self) -> Teachers:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.clear()
        self.ends.close()


def measure(
    subjects: Mapping[str, Subject],
    token_counts: Sequence[int] = TOKEN_COUNTS,
    runs: int | None = None,
    repeats: int | None = None,
    teachers: Teachers | None = None,
) -> dict[str, Speed]:
    """Measure each subject `repeats` (3) times, one at a time, in turn; medians by subject.

    `teachers` stay for other calls; without it they end with this one.
    """
    if teachers is None:
        with Teachers() as own:
            return measure(subjects, token_counts, runs, repeats, own)
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in subjects}
    asked = token_counts, runs or RUNS
    for _ in range(repeats or REPEATS):
        for name, subject in subjects.items():
            sample = teachers.sample if subject.kind == "teacher" else measure_once
            samples[name].append(sample(subject, *asked))
    return {name: median_speed(found) for name, found in samples.items()}


def measure_once(subject: Subject, token_counts: Sequence[int], runs: int) -> dict[str, Any]:
    """In a fresh process; `CheckFailed` with its last words if it dies."""
    with started(subject, token_counts, runs) as sample:
        return sample()


@contextmanager
def started(subject: Subject, token_counts: Sequence[int], runs: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """A process with the model, which ends with the block; calling what this gives measures there once more.

    `CheckFailed` with the process's last words if it dies, or takes more than `TIMEOUT_S` for one sample.
    """
    lengths = ",".join(map(str, token_counts))
    command = [sys.executable, "-m", "edgepack.evidence.measure", subject.kind, str(subject.path), subject.name]
    command += ["--tokens", lengths, "--runs", str(runs)]
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "ORT_DISABLE_TELEMETRY": "1"}
    pipe = subprocess.PIPE
    with (
        TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=environment) as process,
    ):
        try:
            yield partial(next_sample, process, subject.path, errors)
        finally:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()  # which ends it, and what it has started
            try:
                process.wait(ENDS_IN_S)
            except subprocess.TimeoutExpired:
                process.kill()


def next_sample(process: subprocess.Popen[str], path: Path, errors: IO[str]) -> dict[str, Any]:
    """Ask the process that measures `path` for one more; `errors`: what it says where it fails."""
    assert process.stdin is not None
    assert process.stdout is not None
    late = Event()

    def give_up() -> None:
        late.set()
        process.kill()

    timer = Timer(TIMEOUT_S, give_up)
    timer.start()
    try:
        with suppress(BrokenPipeError):
            print(file=process.stdin, flush=True)
        answer = next((line for line in process.stdout if line.startswith("{")), None)
    finally:
        timer.cancel()
    if answer is None and late.is_set():
        raise CheckFailed(f"measuring {path} took more than {TIMEOUT_S} s; measure fewer tokens or runs")
    if answer is None:
        code = process.wait()
        errors.seek(0)
        last = (errors.read().strip().splitlines() or ["no message"])[-1]
        raise CheckFailed(f"measuring {path} ended with code {code}: {last}")
    found: dict[str, Any] = json.loads(answer)
    log.debug("%s: %s", path, found)
    return found


def median_speed(samples: Sequence[dict[str, Any]]) -> Speed:
    """The median of each figure over repeats."""

    def median(pick: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(pick(sample) for sample in samples)

    lengths = [int(length) for length in samples[0]["p50_ms"]]
    return Speed(
        load_ms=median(lambda s: s["load_ms"]),
        p50_ms={n: median(lambda s, n=n: s["p50_ms"][str(n)]) for n in lengths},  # type: ignore[misc]
        peak_bytes=int(median(lambda s: s["peak_bytes"])),
        baseline_bytes=int(median(lambda s: s["baseline_bytes"])),
        resident_bytes=int(median(lambda s: s["resident_bytes"])),
        first_ms=median(lambda s: s["first_ms"]),
    )


def measure_here(load: Callable[[], Loaded], token_counts: Sequence[int], runs: int) -> Iterator[dict[str, Any]]:
    """Load in this process, then run for each figure that is taken from this; all as plain JSON."""
    own_bytes = peak_memory_bytes()
    loaded = load()
    resident_bytes = psutil.Process(loaded.process_id).memory_info().rss
    first_ms = loaded.run(token_counts[0])
    while True:
        for _ in range(WARM_UPS):
            for count in token_counts:
                loaded.run(count)
        times_ms: dict[int, list[float]] = {count: [] for count in token_counts}
        started_s = time.perf_counter()
        for done in range(runs):
            if done >= FEWEST_RUNS and time.perf_counter() - started_s > SAMPLE_S:
                break
            for count in token_counts:
                times_ms[count].append(loaded.run(count))
        yield {
            "load_ms": loaded.load_ms,
            "first_ms": first_ms,
            "p50_ms": {count: float(np.percentile(times, 50)) for count, times in times_ms.items()},
            "peak_bytes": peak_memory_bytes(loaded.process_id),
            "resident_bytes": resident_bytes,
            "baseline_bytes": own_bytes if loaded.baseline_bytes is None else loaded.baseline_bytes,
        }


def peak_memory_bytes(process_id: int | None = None) -> int:
    """The highest resident size so far of this process, or on Linux of another one."""
    status = Path(f"/proc/{process_id or 'self'}/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def artifact_loader(path: Path, target_name: str) -> Callable[[], Loaded]:
    """How to load an artifact in its runtime, whose library is imported now: that is not load time."""
    from importlib import import_module

    from edgepack.runtime import LIBRARIES, RUNTIMES, ProcessSession, load
    from edgepack.target import load_target

    target = load_target(target_name)
    import_module(RUNTIMES[target.runtime].split(":")[0])
    if target.runtime in LIBRARIES:
        import_module(LIBRARIES[target.runtime])

    def loader() -> Loaded:
        started = time.perf_counter()
        session = load(path, target, threads=1)
        load_ms = since_ms(started)

        def run(count: int) -> float:
            inputs = sample_inputs(count)
            started = time.perf_counter()
            session.run(inputs)
            return session.run_ms if isinstance(session, ProcessSession) else since_ms(started)

        if isinstance(session, ProcessSession):
            return Loaded(run, session.load_ms, session.process_id, session.baseline_bytes)
        return Loaded(run, load_ms)

    return loader


def sample_inputs(count: int) -> dict[str, np.ndarray]:
    """A text of so many tokens, int64 `(1, count)` by input name."""
    ids = np.full((1, count), TOKEN_ID, dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def teacher_loader(folder: Path, task_name: str) -> Callable[[], Loaded]:
    """How to load a teacher in torch, fp32."""
    import torch

    from edgepack.teacher import load_weights, open_checkpoint

    torch.set_num_threads(1)

    def loader() -> Loaded:
        started = time.perf_counter()
        model = load_weights(open_checkpoint(str(folder)), task_name)[0].eval()
        load_ms = since_ms(started)

        def run(count: int) -> float:
            started = time.perf_counter()
            with torch.inference_mode():
                ids = torch.full((1, count), TOKEN_ID)
                model(input_ids=ids, attention_mask=torch.ones_like(ids))
            return since_ms(started)

        return Loaded(run, load_ms)

    return loader


def since_ms(started: float) -> float:
    """Milliseconds since a reading of `time.perf_counter`."""
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    """Measure one model in this process, and print one JSON line, for each line of the standard input."""
    parser = argparse.ArgumentParser(prog="python -m edgepack.evidence.measure", description=main.__doc__)
    parser.add_argument("kind", choices=("artifact", "teacher"))
    parser.add_argument("path", type=Path)
    parser.add_argument("name", help="the artifact's target, or the teacher's task")
    parser.add_argument("--tokens", default=",".join(map(str, TOKEN_COUNTS)))
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    loaders = {"artifact": artifact_loader, "teacher": teacher_loader}
    loader = loaders[options.kind](options.path, options.name)
    samples = measure_here(loader, [int(n) for n in options.tokens.split(",")], options.runs)
    for _ in sys.stdin:
        print(json.dumps(next(samples)), flush=True)


if __name__ == "__main__":
    main()
