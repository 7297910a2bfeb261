"""Compression methods, one at a time, beside the default recipe: same budget, same effort, same seeds, both tasks.

    python -m benchmarks methods --shared ../shared --work WORK

Rewrites its table in docs/methods.md from the recorded runs (`benchmarks/results/methods`), so that every figure
there comes from a run. `--held-out N` judges on N training examples that are kept out of training instead of dev:
the way to choose settings, since dev is what the results are reported on.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.building import Result, run_all
from benchmarks.frontier import over_seeds, with_bounds
from benchmarks.runs import (
    DEFAULT,
    REPOSITORY,
    TASKS,
    Run,
    Variant,
    add_options,
    size_name,
    size_option,
    variants_of,
)
from benchmarks.store import Store
from benchmarks.tables import markdown_table, mean_interval, write_table
from benchmarks.variants import METHODS
from edgepack.build.recipe import find_recipe
from edgepack.task.metric import Interval

PAGE = REPOSITORY / "docs" / "methods.md"
BUDGET = 2_000_000
SEEDS = (0, 1)
EXAMPLES = 16_000  # an effort that two cores can bear for every row
VARIANTS = METHODS


@dataclass(frozen=True)
class Settings:
    """What all rows of a table have in common."""

    table: str
    tasks: tuple[str, ...]
    budget_bytes: int
    seeds: tuple[int, ...]
    effort: str
    examples: int | None
    held_out: int | None = None

    def run(self, variant: str, task: str, seed: int) -> Run:
        """One cell's build with one seed."""
        return Run(
            table=self.table,
            task=task,
            budget_bytes=self.budget_bytes,
            seed=seed,
            effort=self.effort,
            variant=variant,
            examples=self.examples,
            held_out=self.held_out,
        )

    def sentence(self) -> str:
        """The settings in words."""
        seen = "" if self.examples is None else f", {self.examples:,} examples seen"
        where = "dev" if self.held_out is None else f"{self.held_out:,} training examples kept out of training"
        seeds = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"seeds {', '.join(map(str, self.seeds))}"
        return (
            f"{size_name(self.budget_bytes)}, recipe `{self.effort}`{seen}, {seeds}; the exported artifact in ONNX "
            f"Runtime on {where}. In brackets: 95 %, of a mean over seeds by Student's t, of one seed by bootstrap. "
            "Differences are in points, paired by seed."
        )


def plan_runs(settings: Settings, variants: Mapping[str, Variant]) -> list[Run]:
    """Builds in the order in which rows become comparable: every variant with the first seed, then the next.

    A variant that changes nothing, since it is in the default recipe, has no build and so no row.
    """
    recipe = find_recipe(settings.effort)
    return [
        settings.run(name, task, seed)
        for seed in settings.seeds
        for task in settings.tasks
        for name, variant in variants.items()
        if task in variant.tasks and (name == DEFAULT or variant.differs(recipe))
    ]


def difference(variant: Sequence[Result], base: Sequence[Result]) -> Interval | None:
    """The mean difference of the metric over the seeds that both have, with its t interval; None without such seeds."""
    by_seed = {result.run.seed: result.metric.value for result in base}
    found = [r.metric.value - by_seed[r.run.seed] for r in variant if r.run.seed in by_seed]
    return mean_interval(found) if found else None


def make_table(settings: Settings, variants: Mapping[str, Variant], results: Mapping[str, Result]) -> str:
    """Markdown, with the settings above it; a variant without a finished run has no row, `results` is by key."""
    header = ["variant", "what it is"]
    for task in settings.tasks:
        header += [TASKS[task].title, "difference", "seeds"]
    rows = [row for name, v in variants.items() if (row := make_row(settings, name, v, results))]
    if not rows:
        return "No run is recorded yet."
    return f"{settings.sentence()}\n\n{markdown_table([header, *rows])}"


def make_row(settings: Settings, name: str, variant: Variant, results: Mapping[str, Result]) -> list[str] | None:
    """One variant's row; None if none of its runs is finished."""

    def finished(name: str, task: str) -> list[Result]:
        keys = [settings.run(name, task, seed).key for seed in settings.seeds]
        return [results[key] for key in keys if key in results]

    cells, empty = [], True
    for task in settings.tasks:
        own = finished(name, task)
        empty &= not own
        change = difference(own, finished(DEFAULT, task)) if name != DEFAULT else None
        cells += [with_bounds(over_seeds([r.metric for r in own]), ".4f") if own else "-"]
        cells += [signed(change) if change else "-", str(len(own))]
    return None if empty else [f"`{name}`", variant.what, *cells]


def signed(change: Interval) -> str:
    """A difference in points (hundredths of the metric), with its sign."""
    value, low, high = (f"{100 * x:+.2f}" for x in (change.value, change.low, change.high))
    return value if math.isnan(change.low) else f"{value} ({low} to {high})"


def compare(table: str, arguments: Sequence[str], tasks: Sequence[str], examples: int = EXAMPLES) -> None:
    """Run what is left of a table of variants, print it and put it into docs/methods.md."""
    variants = variants_of(table)
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {table}")
    add_options(parser)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(tasks))
    parser.add_argument("--budget", type=size_option, default=BUDGET, metavar="SIZE")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--examples", type=int, default=examples, help="examples seen in training, for every row")
    parser.add_argument("--held-out", type=int, metavar="N", help="judge on N training examples instead of dev")
    parser.add_argument("--variants", nargs="+", choices=list(variants), help="build only these, and the default")
    options = parser.parse_args(arguments)
    settings = Settings(
        table,
        tuple(options.tasks),
        options.budget,
        tuple(options.seeds),
        options.effort,
        options.examples,
        options.held_out,
    )
    store = Store(options.results / table)
    wanted = list(dict.fromkeys([DEFAULT, *(options.variants or variants)]))
    failed = run_all(plan_runs(settings, {name: variants[name] for name in wanted}), store, options)
    text = make_table(settings, variants, store.load_all(Result))
    print(text)
    if settings.held_out is None:
        write_table(PAGE, table, text)
    if failed:
        sys.exit(1)


def main(arguments: Sequence[str]) -> None:
    """Run what is left, print the table and put it into the page."""
    compare("methods", arguments, tasks=tuple(TASKS))
