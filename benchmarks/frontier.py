"""Accuracy against shipped bytes: real builds at several budgets, for both tasks.

    python -m benchmarks frontier --shared ../shared --work WORK

Each build runs in a process of its own and is recorded when it is done (`building.py`); the same command resumes
where it was stopped. The metric is the exported artifact's, run in ONNX Runtime over dev.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.building import Result, run_all
from benchmarks.runs import (
    AS_IT_IS,
    DEFAULT,
    FRONTIER,
    SHAPE,
    TARGET,
    TASKS,
    Run,
    add_options,
    build_request,
    run_folder,
    size_name,
    size_option,
)
from benchmarks.speed import TOKENS, artifact_speed
from benchmarks.store import Store
from benchmarks.tables import markdown_table
from edgepack.build.inputs import open_inputs
from edgepack.build.search_space import make_search_space
from edgepack.bundle.manifest import load_manifest
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.export.onnx import export_onnx
from edgepack.plan.search import search
from edgepack.student.model import Student
from edgepack.sweep.seeds import over_seeds
from edgepack.target import load_target
from edgepack.task.intervals import Interval

VARIANTS = {DEFAULT: AS_IT_IS}
BUDGETS = (4_000_000, 2_000_000, 1_000_000, 500_000)
SEVERAL_SEEDS_AT = 4_000_000
SEEDS = (0, 1, 2)  # there; elsewhere the first
SHAPE_HEADER = "layers × heads × FFN, embedding, tokens, bits"


@dataclass(frozen=True)
class Point:
    """One budget of one task: the mean over its seeds."""

    task: str
    budget_bytes: int
    results: tuple[Result, ...]  # by seed

    @property
    def shipped_bytes(self) -> int:
        """The largest of the seeds'."""
        return max(result.shipped_bytes for result in self.results)

    @property
    def metric(self) -> Interval:
        """Over seeds, with an interval that holds what seeds and dev change; one seed's has dev's part."""
        return over_seeds([result.metric for result in self.results])

    @property
    def retention(self) -> Interval:
        """Over seeds, as the metric; the part that dev has is of a paired test."""
        return over_seeds([result.retention for result in self.results])

    @property
    def ratios(self) -> list[float]:
        """How many times as fast as the teacher's int8 model, by seed."""
        return [result.speed.ratio for result in self.results if result.speed is not None]


def plan_runs(
    tasks: Sequence[str], budgets: Sequence[int], seeds: Sequence[int] | None = None, effort: str = "standard"
) -> list[Run]:
    """The builds, the first seed of everything first; without `seeds`, three at 4 MB and one elsewhere."""

    def seeds_of(budget: int) -> Sequence[int]:
        return seeds if seeds is not None else SEEDS if budget == SEVERAL_SEEDS_AT else SEEDS[:1]

    rounds = max((len(seeds_of(budget)) for budget in budgets), default=0)
    return [
        Run(FRONTIER, task, budget, seeds_of(budget)[number], effort)
        for number in range(rounds)
        for budget in budgets
        for task in tasks
        if number < len(seeds_of(budget))
    ]


def points(results: Sequence[Result], effort: str = "standard") -> list[Point]:
    """Results of one effort by task and budget, the largest budget first."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        if result.run.effort == effort:
            groups.setdefault((result.run.task, result.run.budget_bytes), []).append(result)
    order = sorted(groups, key=lambda place: (list(TASKS).index(place[0]), -place[1]))
    return [Point(*place, tuple(sorted(groups[place], key=lambda r: r.run.seed))) for place in order]


def with_bounds(interval: Interval, pattern: str) -> str:
    """`99.4% (97.7% to 101.0%)`; without bounds where there are none."""
    value, low, high = (format(x, pattern) for x in (interval.value, interval.low, interval.high))
    return value if math.isnan(interval.low) else f"{value} ({low} to {high})"


def frontier_table(found: Sequence[Point]) -> str:
    """Markdown: a row for each task and budget."""
    header = ["task", "budget", "shipped bytes", "metric", "teacher", "retention (95 %)", "retention by seed"]
    header += [
        f"speed, {TOKENS} tokens, by seed",
        SHAPE_HEADER,
        "build",
        "peak RSS of the last build",
    ]
    return markdown_table([header, *(frontier_row(point) for point in found)])


def build_time(results: Sequence[Result]) -> str:
    """Minutes that a build took, in the mean over those that were not interrupted."""
    minutes = [result.seconds / 60 for result in results if not result.resumed]
    return f"{sum(minutes) / len(minutes):.0f} min" if minutes else "was interrupted"


def frontier_row(point: Point) -> list[str]:
    """One row; the time is the mean over seeds, the memory that of the last build: the code's, whatever the seed."""
    first = point.results[0]
    whole = [result for result in point.results if not result.resumed]
    return [
        TASKS[point.task].title,
        size_name(point.budget_bytes),
        f"{point.shipped_bytes:,}",
        f"{point.metric.value:.4f}",
        f"{first.teacher.value:.4f}",
        with_bounds(point.retention, ".1%"),
        " / ".join(f"{result.retention.value:.1%}" for result in point.results),
        " / ".join(f"{ratio:.1f} ×" for ratio in point.ratios) or "-",
        shape_words(first.shape),
        build_time(point.results),
        f"{max(whole, key=lambda result: result.created).peak_rss_bytes / 1e9:.2f} GB" if whole else "-",
    ]


def shape_words(shape: Mapping[str, Any]) -> str:
    """A student's shape in the order of `SHAPE_HEADER`."""
    return ", ".join(
        [
            " × ".join(str(shape.get(name, "?")) for name in ("layers", "heads", "ffn")),
            f"{shape.get('embedding', '?')}, {shape.get('vocabulary', '?'):,}",
            f"{shape.get('body_bits', '?')}/{shape.get('embedding_bits', '?')}",
        ]
    )


def measure_again(runs: Sequence[Run], store: Store, shared: Path, work: Path) -> None:
    """Time the bundles of finished runs anew; where one is gone, a student of its shape with random weights.

    Speed does not depend on what the weights are. A run that the plan gives another shape today keeps its figures.
    """
    for run in runs:
        if not store.has(run.key):
            continue
        bundle, result = run_folder(run, work) / "bundles" / TARGET, store.load(run.key, Result)
        with TemporaryDirectory() as folder:
            made: tuple[Path, int] | None
            if bundle.is_dir():
                made = bundle / load_target(TARGET).file, load_manifest(bundle).max_length
            else:
                made = planned_artifact(run, result.shape, Path(folder), shared, work)
            if made is None:
                print(f"{run.key}: the plan is another now; run it again", file=sys.stderr)
                continue
            speed = artifact_speed(run, *made, shared, work)
        store.save(run.key, result.model_copy(update={"speed": speed}))
        print(f"{run.key}: {speed.ratio:.2f} × faster than int8", file=sys.stderr)


def planned_artifact(
    run: Run, shape: Mapping[str, Any], folder: Path, shared: Path, work: Path
) -> tuple[Path, int] | None:
    """The ONNX file of the plan's student with random weights, and its longest input; None if `shape` is not its."""
    request = build_request(run, shared, work, "cpu")
    chosen = search(make_search_space(open_inputs(request, Console(quiet=True))), request.budget_bytes).chosen
    if any(chosen.describe()[name] != shape[name] for name in SHAPE):
        return None
    student = Student(chosen.config).eval()
    return export_onnx(student, load_target(TARGET), folder).path, chosen.config.max_position_embeddings


def main(arguments: Sequence[str]) -> None:
    """Run what is left and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks frontier")
    add_options(parser)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--budgets", nargs="+", type=size_option, default=list(BUDGETS), metavar="SIZE")
    parser.add_argument("--seeds", nargs="+", type=int, help="[default: 0 1 2 at 4MB, 0 elsewhere]")
    parser.add_argument("--speed-only", action="store_true", help="time what the finished builds made again")
    options = parser.parse_args(arguments)
    store = Store(options.results / FRONTIER)
    runs = plan_runs(options.tasks, options.budgets, options.seeds, options.effort)
    if options.speed_only:
        measure_again(runs, store, options.shared.resolve(), options.work.resolve())
        failed = []
    else:
        failed = run_all(runs, store, options)
    found = points(list(store.load_all(Result).values()), options.effort)
    if not found:
        raise InputError(f"no result in {store.folder.name}; run `python -m benchmarks frontier` without --table-only")
    print(frontier_table(found))
    if failed:
        sys.exit(1)
