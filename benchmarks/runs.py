"""One measured build: what it is asked for, how it is run in a process of its own, what is kept of it.

A build runs in `WORK/<table>/<key>`; a killed one goes on there. When its result is in the store, the stages (the
teacher's outputs alone are gigabytes) are removed; the bundle, the student and the build's manifest stay.
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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, cast

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import torch

from benchmarks import teacher_cache
from benchmarks.held_out import hold_out
from benchmarks.latency import RUNS, export_baseline
from benchmarks.store import RESULTS, Store
from benchmarks.timing import median_times
from edgepack.build.flow import build
from edgepack.build.inputs import BuildRequest, Inputs, open_inputs
from edgepack.build.recipe import RECIPES, Recipe, find_recipe, read_recipe, recipe_record
from edgepack.bundle.manifest import MetricRecord, Record, load_build_manifest
from edgepack.bundle.verdict import IntervalRecord
from edgepack.bundle.write import Bundle
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.measure import peak_memory_bytes
from edgepack.parameters import parse_size
from edgepack.runtime.onnxruntime import load
from edgepack.target import load_target
from edgepack.teacher import load_teacher
from edgepack.workspace import HIDDEN_FOLDER, beside_folder, publish_folder, source_hash

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = "android-onnx"
FRONTIER = "frontier"
DEFAULT = "default"
TOKENS = 32  # the length at which speed is compared
SHAPE = ("layers", "heads", "ffn", "embedding", "vocabulary", "body_bits", "embedding_bits")


@dataclass(frozen=True)
class TaskFiles:
    """Teacher and data of a task, under the shared folder."""

    title: str
    teacher: str
    train: str
    evaluation: str


TASKS: dict[str, TaskFiles] = {
    "sst2": TaskFiles("SST-2", "models/teacher-sst2", "data/sst2/train.tsv", "data/sst2/dev.tsv"),
    "snips": TaskFiles("SNIPS", "models/teacher-snips", "data/snips/train.jsonl", "data/snips/dev.jsonl"),
}


TEXT = "data/text/wikitext2-valid.txt"  # running text, under the shared folder


@dataclass(frozen=True)
class Variant:
    """A change of the recipe, and a row's words for it; `text`: built with `--text`; `tasks`: those that it is for."""

    what: str
    change: Callable[[Recipe], Recipe]
    text: bool = False
    tasks: tuple[str, ...] = tuple(TASKS)

    def differs(self, recipe: Recipe) -> bool:
        """Whether a build is another with this variant than with the recipe as it is."""
        return self.text or self.change(recipe) != recipe


AS_IT_IS = Variant("the recipe as it is", lambda recipe: recipe)

# table → module with its VARIANTS
TABLES = {FRONTIER: "benchmarks.frontier", "methods": "benchmarks.methods", "ablation": "benchmarks.ablation"}


@dataclass(frozen=True)
class Run:
    """One build of a table."""

    table: str
    task: str
    budget_bytes: int
    seed: int
    effort: str = "standard"
    variant: str = DEFAULT
    examples: int | None = None  # `examples_seen` in place of the effort's
    held_out: int | None = None  # judge on this many training examples, which are then not trained on; None: on dev

    @property
    def key(self) -> str:
        """The result's name in the table's store."""
        parts = [self.task, size_name(self.budget_bytes), self.effort]
        parts += [f"{self.examples}ex"] if self.examples else []
        parts += [f"held{self.held_out}"] if self.held_out else []
        parts += [self.variant] if self.table != FRONTIER else []
        return "-".join([*parts, f"seed{self.seed}"])


class Speed(Record):
    """Median milliseconds of an inference, one thread, batch 1, the two models by turns in one process."""

    tokens: int
    artifact_ms: float
    int8_ms: float  # the teacher by `quantize_dynamic`, per channel
    load_average: float | None = (
        None  # the machine's, over the minute before: much above 1, measure again when it is idle
    )

    @property
    def ratio(self) -> float:
        """How many times faster than the teacher's int8 model."""
        return self.int8_ms / self.artifact_ms


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


def size_name(size_bytes: int) -> str:
    """`4MB`, `0.5MB`."""
    return f"{Decimal(size_bytes) / 10**6:f}MB"


def size_option(text: str) -> int:
    """A size on the command line."""
    try:
        return parse_size(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def variants_of(table: str) -> dict[str, Variant]:
    """The variants of a table by name."""
    if table not in TABLES:
        raise InputError(f"table is {table!r}; allowed: {', '.join(TABLES)}")
    return cast(dict[str, Variant], import_module(TABLES[table]).VARIANTS)


def variant_of(run: Run) -> Variant:
    """The variant that a run builds."""
    variants = variants_of(run.table)
    if run.variant not in variants:
        raise InputError(f"variant is {run.variant!r}; {run.table} has: {', '.join(variants)}")
    return variants[run.variant]


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run trains by."""
    recipe = find_recipe(run.effort)
    if run.examples is not None:
        recipe = replace(recipe, examples_seen=run.examples)
    return variant_of(run).change(recipe)


def runs_left(runs: Sequence[Run], store: Store) -> list[Run]:
    """The runs without a result, in order, each once."""
    return [run for run in dict.fromkeys(runs) if not store.has(run.key)]


def stale_keys(runs: Sequence[Run], store: Store) -> list[str]:
    """The finished runs that were trained by another recipe than they would be now."""
    done = [run for run in dict.fromkeys(runs) if store.has(run.key)]
    return [run.key for run in done if read_recipe(store.load(run.key, Result).recipe) != recipe_of(run)]


def build_request(run: Run, shared: Path, work: Path, device: str) -> BuildRequest:
    """The build of a run. Nothing stands in the way of a bad student's bundle: the drop allowed is all of it."""
    files = TASKS[run.task]
    train, evaluation = shared / files.train, shared / files.evaluation
    if run.held_out is not None:
        train, evaluation = hold_out(train, run.held_out, work / "held-out" / f"{run.task}-{run.held_out}")
    recipe = recipe_of(run)
    changed: dict[str, Any] = {"recipe": recipe} if recipe != find_recipe(run.effort) else {}
    if variant_of(run).text:
        changed["text"] = shared / TEXT
    return BuildRequest(
        teacher=str(shared / files.teacher),
        train=str(train),
        evaluation=str(evaluation),
        budget_bytes=run.budget_bytes,
        targets=(TARGET,),
        output=run_folder(run, work),
        max_drop=1.0,
        effort=run.effort,
        seed=run.seed,
        device=device,
        timed=run.table == FRONTIER,
        keep_states=run.table != FRONTIER,  # benchmarks/teacher_cache.py hands them on
        **changed,
    )


def run_folder(run: Run, work: Path) -> Path:
    """Where a run is built."""
    return work / run.table / run.key


def baseline(task: str, shared: Path, work: Path) -> Path:
    """A folder with the teacher as `teacher.onnx` (fp32) and `teacher-int8.onnx`, made once."""
    folder = work / "teachers" / task
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = beside_folder(folder)
        beside.mkdir()
        export_baseline(load_teacher(str(shared / TASKS[task].teacher)), beside)
        publish_folder(beside, folder)
    return folder


def measure_speed(artifact: Path, int8: Path, tokens: int) -> Speed:
    """Time two ONNX files, one thread, batch 1."""
    times = median_times({path: (load(path, 1), tokens) for path in (artifact, int8)}, RUNS)
    busy = round(os.getloadavg()[0], 2)
    ours, theirs = (round(times[path], 4) for path in (artifact, int8))
    return Speed(tokens=tokens, artifact_ms=ours, int8_ms=theirs, load_average=busy)


def artifact_speed(run: Run, artifact: Path, max_length: int, shared: Path, work: Path) -> Speed:
    """Speed of an ONNX file beside the teacher's int8 model."""
    return measure_speed(artifact, baseline(run.task, shared, work) / "teacher-int8.onnx", min(TOKENS, max_length))


def build_one(
    run: Run, shared: Path, work: Path, store: Store, device: str = "auto", inputs: Inputs | None = None
) -> Inputs:
    """Build, measure, keep the result, remove the stages; the opened inputs, which the next build may take.

    The recorded peak of memory is the process's: a build of the frontier has one of its own.
    """
    request = build_request(run, shared, work, device)
    resumed = (request.output / HIDDEN_FOLDER).exists()
    if not resumed:
        shutil.rmtree(request.output, ignore_errors=True)  # a finished build whose result was dropped
    kept = work / "teacher-outputs" / run.task
    if run.table != FRONTIER:  # whose builds are timed whole
        teacher_cache.lend(request.output, kept)
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
        teacher_cache.set_aside(request.output, kept)
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


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark of builds has."""
    parser.add_argument("--shared", type=Path, required=True, help="folder with models/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="where builds run; gigabytes while one does")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--effort", choices=list(RECIPES), default="standard")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--again", nargs="+", default=[], metavar="KEY", help="forget these results, as 'sst2-*'")
    parser.add_argument("--table-only", action="store_true", help="build nothing")


def run_all(runs: Sequence[Run], store: Store, options: argparse.Namespace) -> list[str]:
    """Build what is left, one process for each group after another; the keys of the builds that failed.

    `--again` first forgets results with their folders.
    """
    shared, work = options.shared.resolve(), options.work.resolve()
    for key in store.forget(options.again):
        shutil.rmtree(work / store.folder.name / key, ignore_errors=True)
    left = [] if options.table_only else runs_left(runs, store)
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
        print(f"trained by an earlier recipe, redo with --again: {' '.join(stale)}", file=sys.stderr)
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
