"""Accuracy against shipped bytes: real builds of six tasks at five budgets, beside cheaper models of the same bytes.

    python -m benchmarks frontier --shared ../shared --work WORK

Teachers that are not shared are made first (`kind_teachers.py`). Each build runs in a process of its own and is
recorded when it is done (`building.py`); the same command resumes where it was stopped. The metric is the exported
artifact's, run in ONNX Runtime over dev. Linear models, fastText and static embeddings are what `benchmarks linear`
and `benchmarks baselines` recorded.
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

from benchmarks import baselines, linear
from benchmarks.building import Result, run_all
from benchmarks.cells import SHAPE_HEADER, build_time, shape_words, with_bounds
from benchmarks.kind_teachers import SETS as MADE
from benchmarks.kind_teachers import make_teacher, task_files
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

__all__ = ["VARIANTS", "main", "task_files"]

VARIANTS = {DEFAULT: AS_IT_IS}
TITLES = {
    **{name: files.title for name, files in TASKS.items()},
    "banking77": "Banking77",
    "tweeteval-emotion": "TweetEval emotion",
    "sick-entailment": "SICK entailment",
    "wikigold-iobes": "WikiGold",
}
ALTERNATIVES = {  # the names that `linear` and `baselines` have for these tasks
    "sst2": "sst2",
    "snips": "snips-slots",
    "banking77": "banking77",
    "tweeteval-emotion": "tweeteval-emotion",
    "sick-entailment": "sick",
    "wikigold-iobes": "ner-wikigold-iob1",
}
GOALS = {  # of the mean over tasks, and of each: the least share of the teacher's metric
    4_000_000: (1.0, 0.993),
    2_000_000: (0.995, 0.985),
    1_000_000: (0.985, 0.975),
    500_000: (0.97, 0.955),
    250_000: (0.94, 0.0),
}
BUDGETS = tuple(GOALS)
SEVERAL_SEEDS_AT = 1_000_000
SEEDS = (0, 1, 2)  # there; elsewhere the first


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
    """The builds, the first seed of everything first; without `seeds`, three at 1 MB and one elsewhere."""

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
    order = sorted(groups, key=lambda place: (list(TITLES).index(place[0]), -place[1]))
    return [Point(*place, tuple(sorted(groups[place], key=lambda r: r.run.seed))) for place in order]


@dataclass(frozen=True)
class Alternative:
    """The best of the cheap classifiers at a budget: its mean over seeds, and its largest file."""

    name: str
    metric: float
    bytes: int

    def words(self) -> str:
        """In a cell."""
        return f"{self.metric:.4f} ({self.name}, {self.bytes / 1e6:.2f} MB)"


Alternatives = Mapping[tuple[str, int], Alternative]  # by task and budget


def read_alternatives(results: Path) -> Alternatives:
    """What `linear` and `baselines` recorded for the frontier's tasks."""
    found: dict[tuple[str, int, str], list[tuple[float, int]]] = {}
    for own in linear.recorded(Store(results / linear.NAME)):
        key = own.data, own.budget_bytes, "linear"
        found.setdefault(key, []).append((own.record.metric.value, own.record.bytes))
    for other in Store(results / baselines.NAME).load_all(baselines.Result).values():
        if other.accuracy is not None and other.bytes is not None:
            key = other.data, other.budget_bytes, baselines.METHODS[other.method]
            found.setdefault(key, []).append((other.accuracy, other.bytes))
    best: dict[tuple[str, int], Alternative] = {}
    for (data, budget, name), runs in found.items():
        mean = sum(metric for metric, _ in runs) / len(runs)
        for task in (task for task, own_name in ALTERNATIVES.items() if own_name == data):
            if (task, budget) not in best or best[task, budget].metric < mean:
                best[task, budget] = Alternative(name, mean, max(size for _, size in runs))
    return best


def means_table(found: Sequence[Point]) -> str:
    """Markdown: for each budget the mean over tasks beside its goal, with an interval of their dev parts and seeds."""
    rows = [["budget", "tasks", "mean retention (95 %)", "goal", "lowest", "goal of each"]]
    for budget, (goal, least) in GOALS.items():
        kept = {point.task: point.retention for point in found if point.budget_bytes == budget}
        if not kept:
            continue
        count, mean = len(kept), sum(each.value for each in kept.values()) / len(kept)
        below = math.hypot(*(each.value - each.low for each in kept.values())) / count
        above = math.hypot(*(each.high - each.value for each in kept.values())) / count
        worst = min(kept, key=lambda task: kept[task].value)
        rows.append(
            [
                size_name(budget),
                f"{count} of {len(TITLES)}",
                with_bounds(Interval(mean, mean - below, mean + above), ".1%"),
                f"{goal:.1%}",
                f"{kept[worst].value:.1%} ({TITLES[worst]})",
                f"{least:.1%}" if least else "above the linear model",
            ]
        )
    return markdown_table(rows)


def frontier_table(found: Sequence[Point], alternatives: Alternatives) -> str:
    """Markdown: a row for each task and budget."""
    header = ["task", "budget", "shipped bytes", "metric", "teacher", "retention (95 %)", "retention by seed"]
    header += [
        "best cheap classifier",
        f"speed, {TOKENS} tokens, by seed",
        SHAPE_HEADER,
        "build",
        "peak RSS of the last build",
    ]
    rows = [frontier_row(point, alternatives.get((point.task, point.budget_bytes))) for point in found]
    return markdown_table([header, *rows])


def frontier_row(point: Point, alternative: Alternative | None) -> list[str]:
    """One row; the time is the mean over seeds, the memory that of the last build: the code's, whatever the seed."""
    first = point.results[0]
    whole = [result for result in point.results if not result.resumed]
    return [
        TITLES[point.task],
        size_name(point.budget_bytes),
        f"{point.shipped_bytes:,}",
        f"{point.metric.value:.4f}",
        f"{first.teacher.value:.4f}",
        with_bounds(point.retention, ".1%"),
        " / ".join(f"{result.retention.value:.1%}" for result in point.results),
        alternative.words() if alternative else "none recorded",
        " / ".join(f"{ratio:.1f} ×" for ratio in point.ratios) or "-",
        shape_words(first.shape),
        build_time(point.results),
        f"{max(whole, key=lambda result: result.created).peak_rss_bytes / 1e9:.2f} GB" if whole else "-",
    ]


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
    parser.add_argument("--tasks", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--budgets", nargs="+", type=size_option, default=list(BUDGETS), metavar="SIZE")
    parser.add_argument("--seeds", nargs="+", type=int, help="[default: 0 1 2 at 1MB, 0 elsewhere]")
    parser.add_argument("--speed-only", action="store_true", help="time what the finished builds made again")
    options = parser.parse_args(arguments)
    store = Store(options.results / FRONTIER)
    runs = plan_runs(options.tasks, options.budgets, options.seeds, options.effort)
    if options.speed_only:
        measure_again(runs, store, options.shared.resolve(), options.work.resolve())
        failed = []
    else:
        for name in options.tasks if not options.table_only else ():
            if name in MADE:
                make_teacher(name, options.shared.resolve(), options.work.resolve(), Console())
        failed = run_all(runs, store, options)
    found = points(list(store.load_all(Result).values()), options.effort)
    if not found:
        raise InputError(f"no result in {store.folder.name}; run `python -m benchmarks frontier` without --table-only")
    print(f"{means_table(found)}\n\n{frontier_table(found, read_alternatives(options.results))}")
    if failed:
        sys.exit(1)
