"""The cheap baseline on public data: a linear model of hashed n-grams at five sizes, with three seeds, judged on dev.

    python -m benchmarks linear --shared ../shared

It is the model that every build of labels, tags or scores trains (`edgepack/evidence/linear`), whose settings are
chosen on a part of the training data. Rewrites the table of docs/baseline.md from the results, which
benchmarks/results/linear holds; what is there is not run again. Without `--shared` only the table is written.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from benchmarks.finetune_data import LANGUAGES
from benchmarks.runs import REPOSITORY, size_name
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table, mean_interval, write_table
from edgepack.bundle.manifest import LinearRecord
from edgepack.evidence.linear.measure import LinearResult, measure_linear
from edgepack.evidence.linear.training import fills_no_more
from edgepack.task.dataset import Dataset, Example
from edgepack.task.examples import Columns, infer_task, read_both, read_labels
from edgepack.task.scoring import REGRESSION
from edgepack.task.task import Task

PAGE, NAME = REPOSITORY / "docs" / "baseline.md", "linear"
BUDGETS = (250_000, 500_000, 1_000_000, 2_000_000, 4_000_000)
SEEDS = (0, 1, 2)
BY_NAME = Columns()
SETS = {
    "sst2": "SST-2",
    "banking77": "77 intents (BANKING77)",
    "snips": "7 intents (SNIPS)",
    "tweeteval-emotion": "4 emotions (TweetEval)",
    "xlmt-sentiment": "sentiment in 8 languages (XLM-T)",
    "sick": "entailment of pairs (SICK)",
    "stsb": "score of a pair (STS-B), Pearson",
    "sick-relatedness": "score of a pair (SICK relatedness), Pearson",
    "snips-slots": "slots (SNIPS), entity F1",
    "ner-wikigold-iob1": "entities (Wikigold), entity F1",
    "ner-sec-iob1": "entities (SEC filings), entity F1",
}
FOLDERS = {"sick-relatedness": "sick", "snips-slots": "snips"}  # of those that are not named as their folder is
TAGGED = {
    "snips-slots": ("train.jsonl", "dev.jsonl"),
    "ner-wikigold-iob1": ("train.conll", "dev.conll"),
    "ner-sec-iob1": ("train.conll", "test.conll"),
}
SCORES = {"stsb": Columns(), "sick-relatedness": Columns(pair="sentence2", label="relatedness")}


class Result(BaseModel):
    """One training. `seconds`: of one core, features and choice of settings included."""

    data: str
    budget_bytes: int
    seed: int
    record: LinearRecord
    seconds: float


@dataclass(frozen=True, eq=False)
class Data:
    """A task with its two parts."""

    task: Task
    train: Dataset
    evaluation: Dataset


def open_data(name: str, shared: Path) -> Data:
    """A data set under the shared folder's data/."""
    folder = shared / "data" / FOLDERS.get(name, name)
    if name in SCORES:
        task = Task("text-classification", ("score",), pair=True, problem=REGRESSION)
        return Data(task, *read_both(str(folder / "train.tsv"), str(folder / "dev.tsv"), task, SCORES[name]))
    if name in TAGGED:
        sources = [str(folder / part) for part in TAGGED[name]]
        tags = Task("token-classification", read_labels(sources[0]))
        return Data(tags, *read_both(sources[0], sources[1], tags))
    if name == "snips":
        return _intents(folder)
    if name == "xlmt-sentiment":
        parts = [_tables(folder / language) for language in LANGUAGES]
        train, evaluation = (_joined([getattr(part, side) for part in parts]) for side in ("train", "evaluation"))
        return Data(parts[0].task, train, evaluation)
    return _tables(folder, Columns(pair="sentence2") if name == "sick" else BY_NAME)


def _tables(folder: Path, columns: Columns = BY_NAME) -> Data:
    train, evaluation = str(folder / "train.tsv"), str(folder / "dev.tsv")
    name, pair = infer_task(train, columns)
    task = Task(name, read_labels(train, columns), pair)
    return Data(task, *read_both(train, evaluation, task, columns))


def _intents(folder: Path) -> Data:
    """The intents of a data set whose rows have tags too."""
    rows = {
        part: [json.loads(line) for line in (folder / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()]
        for part in ("train", "dev")
    }
    labels = sorted({row["intent"] for row in rows["train"]})
    train, evaluation = (
        Dataset(tuple(Example(" ".join(r["tokens"]), None, None, labels.index(r["intent"])) for r in found), part, part)
        for part, found in rows.items()
    )
    return Data(Task("text-classification", tuple(labels)), train, evaluation)


def _joined(parts: Sequence[Dataset]) -> Dataset:
    return Dataset(tuple(e for part in parts for e in part.examples), parts[0].source, parts[0].sha256)


def key(data: str, budget_bytes: int, seed: int) -> str:
    """A result's name."""
    return f"{data}-{budget_bytes}-seed{seed}"


def run(data: Data, name: str, seed: int, store: Store) -> None:
    """All budgets, the smallest first; a larger one that gives the same file is not trained again."""
    before: tuple[LinearResult, float] | None = None
    for budget in BUDGETS:
        if store.has(key(name, budget, seed)):
            continue
        if before is None or not fills_no_more(before[0].data, budget):
            started = time.process_time()
            result = measure_linear(data.train, data.evaluation, data.task, budget, seed)
            before = result, time.process_time() - started
        result, seconds = before
        assert result.record is not None, result.reason
        found = Result(data=name, budget_bytes=budget, seed=seed, record=result.record, seconds=round(seconds, 1))
        store.save(key(name, budget, seed), found)
        print(
            f"{name} {size_name(budget)} seed {seed}: {result.record.metric.value:.4f}, {result.record.bytes:,} bytes"
        )


def table(results: Sequence[Result]) -> str:
    """A row for each data set, a cell for each budget: the mean of the seeds, bytes, then seconds of a core."""
    rows = [["task", "train / dev", *(size_name(budget) for budget in BUDGETS), "seconds"]]
    for name, title in SETS.items():
        own = [result for result in results if result.data == name]
        if not own:
            continue
        cells = []
        for budget in BUDGETS:
            found = [result for result in own if result.budget_bytes == budget]
            mean = mean_interval([result.record.metric.value for result in found]).value
            cells.append(f"{mean:.4f} ({max(result.record.bytes for result in found) / 1e6:.2f} MB)")
        counts = f"{_trained_on(own[0]):,} / {own[0].record.metric.n:,}"
        rows.append([title, counts, *cells, f"{np.median([result.seconds for result in own]):.0f}"])
    return markdown_table(rows)


def _trained_on(result: Result) -> int:
    """How many examples a record says that it was trained on."""
    words = result.record.trained.rsplit(" of ", 1)[-1]
    return int(words.removesuffix(" training examples").replace(",", ""))


def recorded(store: Store) -> list[Result]:
    """All results."""
    names = store.keys()
    return [store.load(name, Result) for name in names]


def main(arguments: Sequence[str]) -> None:
    """Run what is not recorded, print the table and one JSON line, write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks linear")
    parser.add_argument("--shared", type=Path, help="folder with data/; without it only what is recorded is shown")
    parser.add_argument("--data", nargs="*", default=list(SETS), choices=SETS, help="data sets [default: all]")
    chosen = parser.parse_args(arguments)
    store = Store(RESULTS / NAME)
    if chosen.shared is not None:
        for name in chosen.data:
            data = open_data(name, chosen.shared)
            for seed in SEEDS:
                run(data, name, seed, store)
    results = recorded(store)
    print(table(results))
    print(json.dumps([result.model_dump() for result in results]))
    write_table(PAGE, NAME, table(results))
