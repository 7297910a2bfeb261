"""Students of every kind of task at the budgets that phones have, their teachers made by `edgepack finetune`.

    python -m benchmarks kinds --shared ../shared --work WORK

The teachers begin with the shared base encoder and take what `finetune` chooses by itself; those of pairs and tags but
for the length, so that one CPU core can train them. They lie in `WORK/kind-teachers`. The teacher of embeddings is the
base itself. A teacher or a build that was stopped resumes; each build runs in a process of its own and is recorded when
it is done (`building.py`). Rewrites the table of docs/results.md from what is recorded.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.building import Result, run_all
from benchmarks.goals import Goal, goal_table
from benchmarks.runs import (
    AS_IT_IS,
    DEFAULT,
    KINDS,
    REPOSITORY,
    Run,
    TaskFiles,
    add_options,
    size_option,
)
from benchmarks.store import Store
from benchmarks.tables import write_table
from edgepack.console import Console
from edgepack.finetune.run import finetune
from edgepack.finetune.settings import Options
from edgepack.task.examples import Columns
from edgepack.task.similarity import EMBEDS
from edgepack.workspace import write_atomic

VARIANTS = {DEFAULT: AS_IT_IS}
PAGE = REPOSITORY / "docs" / "results.md"
BASE = "models/base-minilm"  # under the shared folder
TEXTS = (
    "stsb/train.tsv",
    "sick/train.tsv",
    "text/wiki-sentences.txt",
    "goemotions/train.tsv",
)  # unlabelled, for EMBEDS
SEED = 0
GOALS = {4_000_000: 0.99, 2_000_000: 0.98}
PAIRS: dict[str, Any] = {"epochs": 6}  # one training: what finetune chooses takes three hours of a CPU core
TAGS: dict[str, Any] = {"epochs": 15, "learning_rate": 1e-4}  # likewise; the best cell of docs/finetune.md


@dataclass(frozen=True)
class Kind(Goal):
    """A data set (files under the shared folder's data/), and what has to be said of it."""

    train: str
    evaluation: str
    columns: Columns = field(default_factory=Columns)
    options: dict[str, Any] = field(default_factory=dict)  # of finetune


SETS = {
    "goemotions": Kind("several labels: GoEmotions", GOALS, "goemotions/train.tsv", "goemotions/dev.tsv"),
    "stsb": Kind("score of a pair: STS-B", GOALS, "stsb/train.tsv", "stsb/dev.tsv", options=PAIRS),
    "sick-relatedness": Kind(
        "score of a pair: SICK relatedness",
        GOALS,
        "sick/train.tsv",
        "sick/dev.tsv",
        Columns(label="relatedness"),
        PAIRS,
    ),
    "sick-entailment": Kind(
        "label of a pair: SICK entailment", GOALS, "sick/train.tsv", "sick/dev.tsv", Columns(label="label"), PAIRS
    ),
    "tweeteval-emotion": Kind(
        "label of a text: TweetEval emotion", GOALS, "tweeteval-emotion/train.tsv", "tweeteval-emotion/dev.tsv"
    ),
    "wikigold-iobes": Kind(
        "entities, IOBES tags: WikiGold",
        GOALS,
        "ner-wikigold-bioes/train.conll",
        "ner-wikigold-bioes/dev.conll",
        options={"tag_scheme": "data", **TAGS},
    ),
    "wikigold-io": Kind(
        "entities, IO tags: WikiGold",
        GOALS,
        "ner-wikigold-iob1/train.conll",
        "ner-wikigold-iob1/dev.conll",
        options={"tag_scheme": "IO", **TAGS},
    ),
    "sec-iob1": Kind(
        "entities, IOB1 tags: SEC filings",
        GOALS,
        "ner-sec-iob1/train.conll",
        "ner-sec-iob1/test.conll",
        options={"tag_scheme": "IOB1", **TAGS},
    ),
    EMBEDS: Kind(
        "sentence embeddings: all-MiniLM-L6-v2, Spearman on STS-B",
        {8_000_000: 0.99, **{4_000_000: 0.98, 2_000_000: 0.96}},
        "",
        "stsb/dev.tsv",
    ),
}


def teacher_folder(name: str, work: Path) -> Path:
    """Where the teacher that `finetune` makes is."""
    return work / "kind-teachers" / name


def make_teacher(name: str, shared: Path, work: Path, console: Console) -> None:
    """Make the teacher where it is not there."""
    folder, record = teacher_folder(name, work), work / "kind-teachers" / f"{name}.json"
    if name == EMBEDS or record.exists():
        return
    if (folder / "config.json").exists():
        shutil.rmtree(folder)  # finished, but not recorded
    kind, options = SETS[name], Options(seed=SEED, **SETS[name].options)
    train, evaluation = (str(shared / "data" / part) for part in (kind.train, kind.evaluation))
    base, columns = str(shared / BASE), kind.columns
    result = finetune(base, train, evaluation, folder, columns=columns, options=options, console=console)
    write_atomic(record, (json.dumps(result.to_record(), indent=1) + "\n").encode())


def unlabelled_texts(shared: Path, work: Path) -> Path:
    """The texts that a student of embeddings learns from: those of training data and running text, each once."""
    path = work / "kind-data" / "texts.txt"
    if not path.exists():
        texts: list[str] = []
        for name in TEXTS:
            header, *lines = (shared / "data" / name).read_text(encoding="utf-8").removesuffix("\n").split("\n")
            if name.endswith(".tsv"):
                places = [
                    i for i, column in enumerate(header.split("\t")) if column in ("text", "sentence1", "sentence2")
                ]
                texts += [cells[i] for cells in (line.split("\t") for line in lines) for i in places]
            else:
                texts += [header, *lines]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, ("\n".join(dict.fromkeys(text for text in texts if text.strip())) + "\n").encode())
    return path


def task_files(name: str, shared: Path, work: Path) -> TaskFiles:
    """Whole paths of a kind's teacher and data."""
    kind, evaluation = SETS[name], str(shared / "data" / SETS[name].evaluation)
    if name == EMBEDS:
        texts = str(unlabelled_texts(shared, work))
        return TaskFiles(kind.title, str(shared / BASE), texts, evaluation, {"task": EMBEDS})
    named = {"columns": kind.columns}
    return TaskFiles(kind.title, str(teacher_folder(name, work)), str(shared / "data" / kind.train), evaluation, named)


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
