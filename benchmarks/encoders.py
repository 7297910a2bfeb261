"""Students of the encoder teachers: other tokenizers and architectures at the budgets that phones have.

    python -m benchmarks encoders --shared ../shared --work WORK

The teachers are those of `encoder_teachers.py`, which come first. A build runs in a process of its own and is recorded
when it is done (`building.py`); the same command resumes where it was stopped. Rewrites the tables of docs/results.md
from what is recorded. Of the student of several languages each language's metric is measured too, from its bundle: each
text through the bundle's own tokenizer and runtime.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.building import Result, run_all
from benchmarks.cells import with_bounds
from benchmarks.encoder_teachers import Files, make_files, teacher_folder
from benchmarks.finetune_data import LANGUAGES
from benchmarks.goals import Goal, goal_table
from benchmarks.runs import (
    AS_IT_IS,
    DEFAULT,
    ENCODERS,
    REPOSITORY,
    TARGET,
    Run,
    TaskFiles,
    add_options,
    run_folder,
    size_option,
)
from benchmarks.store import Store
from benchmarks.tables import markdown_table, write_table
from edgepack.build.recipe import RECIPES
from edgepack.bundle.manifest import MetricRecord
from edgepack.bundle.record import Record
from edgepack.console import Console
from edgepack.evidence.validate import metric_record
from edgepack.inference import predict
from edgepack.predict import Bundle
from edgepack.predict.data import run_data
from edgepack.task.examples import Columns, read_dataset
from edgepack.task.intervals import Interval
from edgepack.task.tokenize import encode
from edgepack.teacher import load_teacher

VARIANTS = {DEFAULT: AS_IT_IS}
PAGE = REPOSITORY / "docs" / "results.md"
SEVERAL, ONE_LANGUAGE = "xlmr-xlmt", "english"
SEED = 0


@dataclass(frozen=True)
class Task(Goal):
    """A teacher and data of its task, with what is to be kept of it."""

    teacher: str
    language: str | None = None  # of a teacher of several, the one that is asked for


TASKS = {
    "roberta-sst2": Task(
        "RoBERTa, byte-level BPE: SST-2", {4_000_000: 0.99, 2_000_000: 0.98, 1_000_000: 0.965}, "roberta-sst2"
    ),
    "modernbert-snips": Task("ModernBERT, byte-level BPE: SNIPS intents", {4_000_000: 0.985}, "modernbert-snips"),
    "deberta-snips": Task("DeBERTa-v2, Unigram: SNIPS intents", {4_000_000: 0.985}, "deberta-snips"),
    SEVERAL: Task("XLM-R, Unigram: sentiment in 8 languages", {4_000_000: 0.985}, SEVERAL),
    f"xlmr-{ONE_LANGUAGE}": Task("XLM-R, Unigram: sentiment in English", {2_000_000: 0.985}, SEVERAL, ONE_LANGUAGE),
}


class LanguageResult(Record):
    """The metric of one language, the teacher's and the artifact's."""

    language: str
    teacher: MetricRecord
    artifact: MetricRecord

    @property
    def points(self) -> float:
        """The artifact's metric less the teacher's, in points."""
        return 100 * (self.artifact.value - self.teacher.value)


class Languages(Record):
    """What is kept of a student of several languages."""

    key: str
    results: list[LanguageResult]

    @property
    def retention(self) -> float:
        """The mean of the languages' metrics, compared with the teacher's."""
        return sum(r.artifact.value for r in self.results) / sum(r.teacher.value for r in self.results)


def task_files(name: str, shared: Path, work: Path) -> TaskFiles:
    """Whole paths of a task's teacher and data."""
    task = TASKS[name]
    files = language_files(shared, task.language) if task.language else make_files(task.teacher, shared, work)
    return TaskFiles(task.title, str(teacher_folder(task.teacher, work)), str(files.train), str(files.evaluation))


def language_files(shared: Path, language: str) -> Files:
    """One language's own tables."""
    folder = shared / "data" / "xlmt-sentiment" / language
    return Files(folder / "train.tsv", folder / "dev.tsv")


def plan_runs(tasks: Sequence[str], effort: str) -> list[Run]:
    """One build for each budget of each task, in the order given."""
    return [Run(ENCODERS, name, budget, SEED, effort) for name in tasks for budget in TASKS[name].goals]


def measure_languages(run: Run, shared: Path, work: Path) -> Languages:
    """Teacher and artifact on every language's dev part."""
    bundle = Bundle.load(run_folder(run, work) / "bundles" / TARGET)
    teacher = load_teacher(str(teacher_folder(TASKS[run.task].teacher, work)))
    model, console, results = teacher.load_model(), Console(), []
    for language in LANGUAGES:
        data = read_dataset(str(language_files(shared, language).evaluation), teacher.task, Columns())
        encoded = encode(data, teacher.task, teacher.tokenizer, bundle.manifest.max_length)
        ran = run_data(bundle, data, teacher.task, console)
        both = (predict(model, encoded), encoded), (ran.logits, ran.encoded)
        found = [metric_record(teacher.task.statistics(*each), teacher.task) for each in both]
        results.append(LanguageResult(language=language, teacher=found[0], artifact=found[1]))
    return Languages(key=run.key, results=results)


def language_table(found: Languages) -> str:
    """Markdown: a row for each language, and their mean."""
    rows = [["language", "teacher", "artifact (95 %)", "difference in points"]]
    for result in found.results:
        artifact = result.artifact
        words = with_bounds(Interval(artifact.value, artifact.low, artifact.high), ".3f")
        rows.append([result.language.title(), f"{result.teacher.value:.3f}", words, f"{result.points:+.1f}"])
    count = len(found.results)
    means = [sum(getattr(r, side).value for r in found.results) / count for side in ("teacher", "artifact")]
    rows.append(["mean", f"{means[0]:.3f}", f"{means[1]:.3f}", f"{100 * (means[1] - means[0]):+.1f}"])
    return markdown_table(rows)


def page_tables(results: Path) -> dict[str, str]:
    """The page's tables by name, of what is recorded; of several efforts the languages' is the longest's."""
    found = list(Store(results / ENCODERS).load_all(Result).values())
    tables = {ENCODERS: goal_table(found, TASKS)} if found else {}
    by_key = Store(results / f"{ENCODERS}-languages").load_all(Languages)
    several = [result for result in found if result.run.key in by_key]
    if several:
        longest = max(several, key=lambda result: list(RECIPES).index(result.run.effort))
        tables[f"{ENCODERS}-languages"] = language_table(by_key[longest.run.key])
    return tables


def main(arguments: Sequence[str]) -> None:
    """Run what is left and rewrite the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks encoders")
    add_options(parser)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--budgets", nargs="+", type=size_option, metavar="SIZE", help="[default: each task's]")
    options = parser.parse_args(arguments)
    store, languages = Store(options.results / ENCODERS), Store(options.results / f"{ENCODERS}-languages")
    planned = plan_runs(options.tasks, options.effort)
    runs = [run for run in planned if options.budgets is None or run.budget_bytes in options.budgets]
    failed = run_all(runs, store, options)
    for run in runs:
        bundle = run_folder(run, options.work) / "bundles" / TARGET
        if run.task == SEVERAL and store.has(run.key) and not languages.has(run.key) and bundle.is_dir():
            languages.save(run.key, measure_languages(run, options.shared.resolve(), options.work.resolve()))
    for name, table in page_tables(options.results).items():
        write_table(PAGE, name, table)
    if failed:
        sys.exit(1)
