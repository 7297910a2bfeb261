"""Compression methods, one at a time, compared with the default recipe: one budget, one effort, the same seeds.

    python -m benchmarks methods --shared ../shared --work WORK

Rewrites its tables in docs/methods.md from the recorded runs (`benchmarks/results/methods`), so that every figure
there comes from a run; a row says which differences are more than the seeds explain. `--held-out N` judges on N
training examples that are held out instead of on dev: the way to choose settings, since dev is what the results are
reported on.

Two seeds have no interval worth the name (Student's t is 12.7 there), so a cell holds what each seed
gave; from `MEAN_FROM` seeds on it holds their mean and its interval. Variants that are built with `--raw-text` stand in
a table of their own: raw text also decides which tokens are kept, so their students may have another shape.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.building import Result, run_all
from benchmarks.cells import SHAPE_HEADER, shape_words, with_bounds
from benchmarks.runs import (
    DEFAULT,
    REPOSITORY,
    TASKS,
    Run,
    Variant,
    add_options,
    recipe_of,
    size_name,
    size_option,
    variants_of,
)
from benchmarks.store import Store
from benchmarks.tables import SeedError, markdown_table, mean_interval, seed_error, write_table
from benchmarks.variants import METHODS
from edgepack.build.recipe import find_recipe, general_schedule
from edgepack.evidence.slices import holm
from edgepack.sweep.seeds import CONFIDENCE, over_seeds

PAGE = REPOSITORY / "docs" / "methods.md"
BUDGET = 2_000_000
SEEDS = (0, 1)
EXAMPLES = 16_000  # an effort that two cores can bear for every row
MEAN_FROM = 3  # seeds
POWER = 0.8
WITH_TEXT = "general"  # the table of the variants that are built with raw text
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
        where = "dev" if self.held_out is None else f"{self.held_out:,} held-out training examples"
        seeds = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"seeds {', '.join(map(str, self.seeds))}"
        return (
            f"{size_name(self.budget_bytes)}, recipe `{self.effort}`{seen}, {seeds}; the exported artifact in ONNX "
            f"Runtime on {where}. {self.cells()} Differences are in points, from the default with the same seed."
        )

    def cells(self) -> str:
        """What a cell holds, in words."""
        count = len(self.seeds)
        if count == 1:
            return "In brackets: the 95 % interval of a bootstrap."
        if count < MEAN_FROM:
            return f"A cell holds the value of each seed (n = {count}, no interval)."
        return f"A cell holds the mean of {count} seeds and its 95 % interval by Student's t."


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


def differences(variant: Sequence[Result], base: Sequence[Result]) -> list[float]:
    """The metric less the base's, in points, for each seed that both have."""
    by_seed = {result.run.seed: result.metric.value for result in base}
    return [100 * (r.metric.value - by_seed[r.run.seed]) for r in variant if r.run.seed in by_seed]


def over_few(values: Sequence[float], pattern: str) -> str:
    """Each seed's value, or from `MEAN_FROM` seeds on their mean with its t interval."""
    if not values:
        return "-"
    if len(values) < MEAN_FROM:
        return " / ".join(format(value, pattern) for value in values)
    return with_bounds(mean_interval(values), pattern)


def metric_cell(results: Sequence[Result]) -> str:
    """The metric of a row's builds; of a single one with its bootstrap interval."""
    if len(results) == 1:
        return with_bounds(over_seeds([results[0].metric]), ".4f")
    return over_few([result.metric.value for result in results], ".4f")


def make_table(settings: Settings, variants: Mapping[str, Variant], results: Mapping[str, Result]) -> str:
    """Markdown, with the settings above it; a variant without a finished run has no row, `results` is by key."""
    header = ["variant", "what it is"]
    for task in settings.tasks:
        header += [TASKS[task].title, "difference"]
    comparable = {name: variant for name, variant in variants.items() if not variant.text}
    rows = {name: row for name, v in comparable.items() if (row := make_row(settings, name, v, results))}
    if not rows:
        return "No run is recorded yet."
    sentence, judged = settings.sentence(), [judge_task(settings, comparable, task, results) for task in settings.tasks]
    if any(each.error is not None for each in judged):
        header.append("seen")
        for name, row in rows.items():
            row.append("-" if name == DEFAULT else seen_text(name, judged))
        sentence = "\n\n".join([sentence, power_text(settings, judged)])
    return f"{sentence}\n\n{markdown_table([header, *rows.values()])}"


@dataclass(frozen=True)
class Judged:
    """Which differences of one task are more than its seeds explain. Differences in points, by variant."""

    task: str
    error: SeedError | None  # None: no variant has all seeds
    differences: Mapping[str, float]
    seen: frozenset[str]


def judge_task(settings: Settings, names: Iterable[str], task: str, results: Mapping[str, Result]) -> Judged:
    """Student's t with the deviation pooled over all variants that have every seed, corrected by Holm's method."""
    every = {name: finished(settings, name, task, results) for name in names}
    values = {
        name: [100 * result.metric.value for result in own]
        for name, own in every.items()
        if len(own) == len(settings.seeds) > 1
    }
    error = seed_error(list(values.values()))
    if error is None or DEFAULT not in values:
        return Judged(task, None, {}, frozenset())
    changes = {name: fmean(own) - fmean(values[DEFAULT]) for name, own in values.items() if name != DEFAULT}
    corrected = holm([error.p_value(change, len(settings.seeds)) for change in changes.values()])
    seen = {name for name, p in zip(changes, corrected, strict=True) if p < 1 - CONFIDENCE}
    return Judged(task, error, changes, frozenset(seen))


def seen_text(name: str, judged: Sequence[Judged]) -> str:
    """The differences that were seen, by task."""
    compared = [each for each in judged if name in each.differences]
    seen = [f"{TASKS[each.task].title} {each.differences[name]:+.1f}" for each in compared if name in each.seen]
    return ", ".join(seen) or ("no difference seen" if compared else "not compared")


def power_text(settings: Settings, judged: Sequence[Judged]) -> str:
    """What `seen` means, and how large a difference has to be."""
    parts = [
        f"{each.error.found_with(POWER, len(settings.seeds)):.1f} points on {TASKS[each.task].title} "
        f"(a run's deviation over seeds: {each.error.deviation:.2f}, {each.error.degrees} degrees of freedom)"
        for each in judged
        if each.error is not None
    ]
    return (
        "`seen`: the mean difference is more than the seeds explain, by a t-test at 5 % over all rows of a task "
        "together (Holm's method). It does not cover what other evaluation examples would change. A single "
        f"comparison finds, {POWER:.0%} of the time, a difference of {' and '.join(parts)}."
    )


def make_row(settings: Settings, name: str, variant: Variant, results: Mapping[str, Result]) -> list[str] | None:
    """One variant's row; None if none of its runs is finished."""
    cells, empty = [], True
    for task in settings.tasks:
        own = finished(settings, name, task, results)
        empty &= not own
        change = differences(own, finished(settings, DEFAULT, task, results)) if name != DEFAULT else []
        cells += [metric_cell(own) if own else "-", over_few(change, "+.2f")]
    return None if empty else [f"`{name}`", variant.what, *cells]


def finished(settings: Settings, name: str, task: str, results: Mapping[str, Result]) -> list[Result]:
    """A variant's finished builds of one task, by seed."""
    keys = [settings.run(name, task, seed).key for seed in settings.seeds]
    return [results[key] for key in keys if key in results]


def text_table(settings: Settings, variants: Mapping[str, Variant], results: Mapping[str, Result]) -> str:
    """Markdown: the variants with raw text and the default, each with its steps on raw text and its shape."""
    rows = [["task", "variant", "what it is", "steps on raw text", SHAPE_HEADER, "metric", "KL to the teacher"]]
    for task in settings.tasks:
        for name in (DEFAULT, *(name for name, variant in variants.items() if variant.text)):
            own = finished(settings, name, task, results)
            if own:
                steps = str(text_steps(own[0])) if variants[name].text else "0"
                row = [TASKS[task].title, f"`{name}`", variants[name].what, steps, shape_words(own[0].shape)]
                divergence = [result.divergence for result in own if result.divergence is not None]
                rows.append([*row, metric_cell(own), over_few(divergence, ".3f")])
    return markdown_table(rows)


def text_steps(result: Result) -> int:
    """How many steps the stage on raw text has in a run."""
    recipe = recipe_of(result.run)
    return general_schedule(recipe, recipe.general).total_steps if recipe.general else 0


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
        if any(variant.text for variant in variants.values()):
            write_table(PAGE, WITH_TEXT, text_table(settings, variants, store.load_all(Result)))
    if failed:
        sys.exit(1)


def main(arguments: Sequence[str]) -> None:
    """Run what is left, print the table and put it into the page."""
    compare("methods", arguments, tasks=tuple(TASKS))
