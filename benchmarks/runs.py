"""What a measured build is: its task, budget, seed and variant of the recipe, its key, and the request it becomes.

How builds are run and what is kept of them is in `building.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from benchmarks.held_out import hold_out
from benchmarks.store import RESULTS
from edgepack.build.inputs import BuildRequest
from edgepack.build.recipe import RECIPES, Recipe, find_recipe
from edgepack.errors import InputError
from edgepack.parameters import parse_size

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = "android-onnx"
FRONTIER, ENCODERS, KINDS, PLAN_SEARCH = "frontier", "encoders", "kinds", "plan-search"
DEFAULT = "default"
SHAPE = ("layers", "heads", "ffn", "embedding", "vocabulary", "body_bits", "embedding_bits")


@dataclass(frozen=True)
class TaskFiles:
    """Teacher and data of a task, under the shared folder; `named`: what a build is told of them."""

    title: str
    teacher: str
    train: str
    evaluation: str
    named: dict[str, Any] = field(default_factory=dict)


TASKS: dict[str, TaskFiles] = {
    "sst2": TaskFiles("SST-2", "models/teacher-sst2", "data/sst2/train.tsv", "data/sst2/dev.tsv"),
    "snips": TaskFiles("SNIPS", "models/teacher-snips", "data/snips/train.jsonl", "data/snips/dev.jsonl"),
}
TEXT = "data/text/wikitext2-valid.txt"  # running text, under the shared folder


@dataclass(frozen=True)
class Variant:
    """A change of the recipe, and a row's words for it; `text`: built with `--raw-text`; `tasks`: those it is for.

    `search`: how many of the plan's candidates are tried.
    """

    what: str
    change: Callable[[Recipe], Recipe]
    text: bool = False
    tasks: tuple[str, ...] = tuple(TASKS)
    search: int | None = None

    def differs(self, recipe: Recipe) -> bool:
        """Whether a build is another with this variant than with the recipe as it is."""
        return self.text or self.search is not None or self.change(recipe) != recipe


AS_IT_IS = Variant("the recipe as it is", lambda recipe: recipe)

# table → module with its VARIANTS
TABLES = {
    FRONTIER: "benchmarks.frontier",
    ENCODERS: "benchmarks.encoders",
    KINDS: "benchmarks.kinds",
    PLAN_SEARCH: "benchmarks.plan_search",
    "methods": "benchmarks.methods",
    "ablation": "benchmarks.ablation",
}


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


def task_files(run: Run, shared: Path, work: Path) -> TaskFiles:
    """Teacher and data of a run; paths are whole where the teachers of its table are made in `work`."""
    if run.task in TASKS:
        return TASKS[run.task]
    return cast(TaskFiles, import_module(TABLES[run.table]).task_files(run.task, shared, work))


def build_request(run: Run, shared: Path, work: Path, device: str) -> BuildRequest:
    """The build of a run. A bad student's bundle is written too: the allowed drop is the whole metric."""
    files = task_files(run, shared, work)
    train, evaluation = shared / files.train, shared / files.evaluation
    if run.held_out is not None:
        train, evaluation = hold_out(train, run.held_out, work / "held-out" / f"{run.task}-{run.held_out}")
    recipe = recipe_of(run)
    changed = dict(files.named)
    if recipe != find_recipe(run.effort):
        changed["recipe"] = recipe
    if variant_of(run).text:
        changed["raw_text"] = shared / TEXT
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
        search=variant_of(run).search,
        keep_states=run.table != FRONTIER,  # edgepack/sweep/lending.py hands them on
        **changed,
    )


def run_folder(run: Run, work: Path) -> Path:
    """Where a run is built."""
    return work / run.table / run.key


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark of builds has."""
    parser.add_argument("--shared", type=Path, required=True, help="folder with models/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="where builds run; gigabytes while one does")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--effort", choices=list(RECIPES), default="standard")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--again", nargs="+", default=[], metavar="KEY", help="forget these results, as 'sst2-*'")
    parser.add_argument("--table-only", action="store_true", help="build nothing")
