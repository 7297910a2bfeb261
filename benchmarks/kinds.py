"""Students of every kind of task at the budgets that phones have, their teachers made by `edgepack finetune`.

    python -m benchmarks kinds --shared ../shared --work WORK

A teacher (`kind_teachers.py`) or a build that was stopped resumes; each build runs in a process of its own and is
recorded when it is done (`building.py`). Rewrites the table of docs/results.md from what is recorded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import kind_teachers
from benchmarks.building import Result, run_all
from benchmarks.goals import Goal, goal_table
from benchmarks.kind_teachers import SEED, make_teacher, task_files
from benchmarks.runs import AS_IT_IS, DEFAULT, KINDS, REPOSITORY, Run, add_options, size_option
from benchmarks.store import Store
from benchmarks.tables import write_table
from edgepack.console import Console
from edgepack.task.similarity import EMBEDS

__all__ = ["PAGE", "SETS", "VARIANTS", "main", "page_table", "plan_runs", "task_files"]

VARIANTS = {DEFAULT: AS_IT_IS}
PAGE = REPOSITORY / "docs" / "results.md"
GOALS = {4_000_000: 0.99, 2_000_000: 0.98}
OF_EMBEDDINGS = {8_000_000: 0.99, 4_000_000: 0.98, 2_000_000: 0.96}
SETS = {
    name: Goal(data.title, OF_EMBEDDINGS if name == EMBEDS else GOALS)
    for name, data in kind_teachers.SETS.items()
    if name != "banking77"  # of the frontier alone; TweetEval has the kind
}


def plan_runs(names: Sequence[str], effort: str) -> list[Run]:
    """One build for each budget of each kind, in the order given."""
    return [Run(KINDS, name, budget, SEED, effort) for name in names for budget in SETS[name].goals]


def page_table(results: Path) -> str | None:
    """The page's table of what is recorded, if anything is."""
    found = list(Store(results / KINDS).load_all(Result).values())
    return goal_table(found, SETS) if found else None


def main(arguments: Sequence[str]) -> None:
    """Make what is left and rewrite the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks kinds")
    add_options(parser)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--budgets", nargs="+", type=size_option, metavar="SIZE", help="[default: each set's]")
    options = parser.parse_args(arguments)
    failed: list[str] = []
    for name in options.sets:
        planned = plan_runs([name], options.effort)
        runs = [run for run in planned if options.budgets is None or run.budget_bytes in options.budgets]
        if not options.table_only:
            make_teacher(name, options.shared.resolve(), options.work.resolve(), Console())
        failed += run_all(runs, Store(options.results / KINDS), options)
        if table := page_table(options.results):
            write_table(PAGE, KINDS, table)
    if failed:
        sys.exit(1)
