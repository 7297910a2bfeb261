"""Measured builds: each run is built in a process of its own, and what is kept of it is one small document.

A build runs in `WORK/<table>/<key>` and resumes there when it was killed. When its result is in the store, the stages
(the teacher's outputs alone are gigabytes) are removed; the bundle, the student and the build's manifest stay.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import torch

from benchmarks.runs import FRONTIER, REPOSITORY, SHAPE, TARGET, Run, build_request, recipe_of, run_folder
from benchmarks.speed import Speed, artifact_speed
from benchmarks.store import Store
from edgepack.build.flow import build
from edgepack.build.inputs import Inputs, open_inputs
from edgepack.build.recipe import read_recipe, recipe_record
from edgepack.bundle.manifest import MetricRecord, load_build_manifest
from edgepack.bundle.record import Record
from edgepack.bundle.verdict import IntervalRecord
from edgepack.bundle.write import Bundle
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.measure import peak_memory_bytes
from edgepack.sweep.lending import lend, return_unused, set_aside
from edgepack.target import load_target
from edgepack.workspace import HIDDEN_FOLDER, source_hash


class Result(Record):
    """What is kept of a build."""

    run: Run
    shipped_bytes: int
    metric: MetricRecord  # of the artifact in ONNX Runtime
    teacher: MetricRecord
    stages: dict[str, float]  # the metric after each: student, quantized, artifact
    retention: IntervalRecord
    agreement: float | None
    divergence: float | None = None  # KL(teacher ‖ artifact) in nats; settings are chosen by it, on held-out examples
    shape: dict[str, Any]
    seconds: float
    stage_seconds: dict[str, float]
    resumed: bool  # whether the build was interrupted before: its seconds and peak are then of the last part
    peak_rss_bytes: int
    speed: Speed | None = None
    recipe: dict[str, Any]
    versions: dict[str, str]
    code: str
    machine: dict[str, Any]
    created: str


def runs_left(runs: Sequence[Run], store: Store) -> list[Run]:
    """The runs without a result, in order, each once."""
    return [run for run in dict.fromkeys(runs) if not store.has(run.key)]


def stale_keys(runs: Sequence[Run], store: Store) -> list[str]:
    """The finished runs that were trained by another recipe than they would be now."""
    done = [run for run in dict.fromkeys(runs) if store.has(run.key)]
    return [run.key for run in done if read_recipe(store.load(run.key, Result).recipe) != recipe_of(run)]


def build_one(
    run: Run, shared: Path, work: Path, store: Store, device: str = "auto", inputs: Inputs | None = None
) -> Inputs:
    """Build, measure, keep the result, remove the stages; the opened inputs, which the next build may use.

    The recorded peak of memory is the process's: a build of the frontier has one of its own.
    """
    request = build_request(run, shared, work, device)
    resumed = (request.output / HIDDEN_FOLDER).exists()
    if not resumed:
        shutil.rmtree(request.output, ignore_errors=True)  # a finished build whose result was dropped
    kept = work / "teacher-outputs" / run.task
    lent = lend(request.output, kept) if run.table != FRONTIER else []  # whose builds are timed whole
    started = time.perf_counter()
    if inputs is None:
        inputs = open_inputs(request, Console())
    bundle = build(request, Console(), inputs).bundles[0]
    seconds, peak = time.perf_counter() - started, peak_memory_bytes()
    speed = None
    if run.table == FRONTIER:
        artifact = request.output / "bundles" / TARGET / load_target(TARGET).file
        speed = artifact_speed(run, artifact, bundle.manifest.max_length, shared, work)
    store.save(run.key, describe(run, bundle, request.output, seconds, peak, resumed, speed))
    if run.table != FRONTIER:
        return_unused(request.output, lent)
        set_aside(request.output, kept)
    discard_stages(run, work)
    return inputs


def describe(
    run: Run, bundle: Bundle, output: Path, seconds: float, peak: int, resumed: bool, speed: Speed | None
) -> Result:
    """The result of a finished build."""
    verdict, manifest = bundle.verdict, load_build_manifest(output)
    if verdict.retention is None:
        raise InputError(f"{run.key}: the verdict has no retention; build it again")
    chosen = manifest.plan["candidates"][0]
    return Result(
        run=run,
        shipped_bytes=verdict.shipped_bytes,
        metric=verdict.metrics["artifact"],
        teacher=verdict.metrics["teacher"],
        stages={name: record.value for name, record in verdict.metrics.items() if name != "teacher"},
        retention=verdict.retention,
        agreement=verdict.agreement,
        divergence=verdict.divergence,
        shape={name: chosen[name] for name in SHAPE if name in chosen},
        seconds=round(seconds, 1),
        stage_seconds={stage["name"]: stage["seconds"] for stage in manifest.stages},
        resumed=resumed,
        peak_rss_bytes=peak,
        speed=speed,
        recipe=recipe_record(recipe_of(run)),
        versions=manifest.versions,
        code=source_hash(),
        machine={"processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def discard_stages(run: Run, work: Path) -> None:
    """Remove a finished run's stages; its bundle, student and manifest stay."""
    shutil.rmtree(run_folder(run, work) / HIDDEN_FOLDER, ignore_errors=True)


def run_all(runs: Sequence[Run], store: Store, options: argparse.Namespace) -> list[str]:
    """Build what is left, one process for each group after another; the keys of the builds that failed.

    `--again` first forgets results with their folders.
    """
    shared, work = options.shared.resolve(), options.work.resolve()
    for key in store.forget(options.again):
        shutil.rmtree(work / store.folder.name / key, ignore_errors=True)
    left: list[Run] = []
    if not options.table_only:  # a table alone may be made while another process builds
        left = runs_left(runs, store)
        for run in runs:
            if store.has(run.key):
                discard_stages(run, work)  # of a process that was killed between the two
    for group in groups_of(left):
        print(f"{len(left)} builds left, now {', '.join(run.key for run in group)}", file=sys.stderr, flush=True)
        words = [json.dumps(asdict(run)) for run in group]
        command = [sys.executable, "-m", "benchmarks", "build", *words, "--device", options.device]
        paths = {"--shared": shared, "--work": work, "--results": store.folder.resolve()}
        command += [str(word) for pair in paths.items() for word in pair]
        subprocess.run(command, cwd=REPOSITORY, check=False)
    failed = [run.key for run in left if not store.has(run.key)]
    if failed:
        print(f"failed: {' '.join(failed)}", file=sys.stderr, flush=True)
    stale = stale_keys(runs, store)
    if stale:
        print(f"trained by an earlier recipe; run them again with --again: {' '.join(stale)}", file=sys.stderr)
    return failed


def groups_of(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that one process builds: each of the frontier alone, others together while they have the same inputs."""
    groups: dict[tuple[str, str, int, int | None], list[Run]] = {}
    alone = [[run] for run in runs if run.table == FRONTIER]
    for run in runs:
        if run.table != FRONTIER:
            groups.setdefault((run.table, run.task, run.seed, run.held_out), []).append(run)
    return [*alone, *groups.values()]


def main(arguments: Sequence[str]) -> None:
    """`python -m benchmarks build JSON… …`: what the other benchmarks start; a build that fails stops no other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks build")
    parser.add_argument("runs", nargs="+", help="each a Run as JSON, all with the same inputs")
    for name in ("--shared", "--work", "--results"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    inputs, failed = None, False
    for text in options.runs:
        run = Run(**json.loads(text))
        try:
            inputs = build_one(run, options.shared, options.work, Store(options.results), options.device, inputs)
        except Exception:  # a defect of one method must not cost the rows of the others; it is printed whole
            traceback.print_exc()
            failed = True
    if failed:
        sys.exit(1)
