"""Does `--search 8` find a better student than the plan's first choice? Both are built whole and judged alike.

    python -m benchmarks plan-search --shared ../shared --work WORK

The judge is the artifact's divergence from the teacher (KL) on training examples that neither build nor search sees.
Builds resume and are recorded as those of the other tables are (`building.py`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from statistics import fmean

from benchmarks.building import Result, run_all
from benchmarks.cells import SHAPE_HEADER, build_time, shape_words
from benchmarks.kind_teachers import make_teacher, task_files
from benchmarks.runs import AS_IT_IS, DEFAULT, PLAN_SEARCH, TASKS, Run, Variant, add_options, size_option
from benchmarks.store import Store
from benchmarks.tables import markdown_table
from edgepack.console import Console

__all__ = ["VARIANTS", "main", "task_files"]

CANDIDATES = 8
SEARCHED = f"search-{CANDIDATES}"
VARIANTS = {
    DEFAULT: AS_IT_IS,
    SEARCHED: Variant(f"`--search {CANDIDATES}`", AS_IT_IS.change, search=CANDIDATES),
}
SETS = (*TASKS, "tweeteval-emotion", "sick-entailment")
BUDGET, HELD_OUT = 1_000_000, 1_000


def plan_runs(name: str, options: argparse.Namespace) -> list[Run]:
    """Both builds of a set for each seed."""
    return [
        Run(PLAN_SEARCH, name, options.budget, seed, options.effort, variant, held_out=options.held_out)
        for seed in options.seeds
        for variant in VARIANTS
    ]


def make_table(runs: Sequence[Run], results: Mapping[str, Result]) -> str:
    """Markdown: a row for each set and seed that has both builds, and how many of the sets the search won."""
    header = ["data", "seed", f"first choice: {SHAPE_HEADER}", "KL", "build"]
    rows = [[*header, f"`--search {CANDIDATES}`: {SHAPE_HEADER}", "KL", "build"]]
    ratios: dict[str, list[float]] = {}
    for first in (run for run in runs if run.variant == DEFAULT):
        searched = next(run for run in runs if (run.task, run.seed, run.variant) == (first.task, first.seed, SEARCHED))
        pair = [results.get(run.key) for run in (first, searched)]
        cells = [cell for result in pair if result is not None for cell in own_cells(result)]
        divergences = [result.divergence for result in pair if result is not None and result.divergence is not None]
        if len(divergences) == len(pair):
            rows.append([first.task, str(first.seed), *cells])
            ratios.setdefault(first.task, []).append(divergences[1] / divergences[0])
    won = sum(fmean(each) < 1 for each in ratios.values())
    said = ", ".join(f"{name} {fmean(each):.2f}" for name, each in ratios.items())
    summary = f"KL with the search, first choice = 1: {said}. Lower on {won} of {len(ratios)} sets."
    return f"{markdown_table(rows)}\n\n{summary}"


def own_cells(result: Result) -> list[str]:
    """One build's shape, divergence and time."""
    return [shape_words(result.shape), f"{result.divergence:.4f}", build_time([result])]


def main(arguments: Sequence[str]) -> None:
    """Make what is left and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plan-search")
    add_options(parser)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--budget", type=size_option, default=BUDGET, metavar="SIZE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--held-out", type=int, default=HELD_OUT, metavar="N", help="training examples that judge")
    options = parser.parse_args(arguments)
    store, runs, failed = Store(options.results / PLAN_SEARCH), [], []
    for name in options.sets:
        if name not in TASKS and not options.table_only:
            make_teacher(name, options.shared.resolve(), options.work.resolve(), Console())
        own = plan_runs(name, options)
        runs += own
        failed += run_all(own, store, options)
    print(make_table(runs, store.load_all(Result)))
    if failed:
        sys.exit(1)
