"""Other cheap classifiers beside the linear model: quantized fastText, and static embeddings, of the same bytes.

    pip install fasttext-wheel "model2vec[distill]"
    python -m benchmarks baselines --shared ../shared --work WORK

Five budgets, three seeds, judged on dev; each chooses its settings on a part of the training data (`word_vectors.py`).
Writes the second table of docs/baseline.md from the results, which benchmarks/results/baselines holds; what is there
is not run again. Without `--shared` only the table is written. `benchmarks linear` has the linear model's results.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from benchmarks import linear
from benchmarks.linear import BUDGETS, PAGE, SCORES, SEEDS, TAGGED, Data, open_data
from benchmarks.runs import size_name
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table, mean_interval, write_table
from benchmarks.word_vectors import Parts, fit_fasttext, fit_static, static_vectors

NAME = "baselines"
FASTTEXT, STATIC = "fasttext", "static"
METHODS = {FASTTEXT: "fastText, quantized", STATIC: "static embeddings"}
PACKAGES = {FASTTEXT: ("fasttext-wheel",), STATIC: ("model2vec", "scikit-learn")}
SETS = {name: title for name, title in linear.SETS.items() if name not in (*SCORES, *TAGGED)}


class Result(BaseModel):
    """The best of a method that fits the budget; `bytes` and `accuracy` are None where nothing does."""

    data: str
    method: str
    budget_bytes: int
    seed: int
    bytes: int | None
    accuracy: float | None
    settings: str
    seconds: float
    versions: dict[str, str]


class Place(NamedTuple):
    """The shared folder, and one for files."""

    shared: Path
    work: Path


def key(method: str, data: str, budget_bytes: int, seed: int) -> str:
    """A result's name."""
    return f"{method}-{data}-{budget_bytes}-seed{seed}"


def run(method: str, data: Data, name: str, seed: int, store: Store, place: Place) -> None:
    """All budgets of a method: settings are chosen once, then each budget has its own file."""
    left = [budget for budget in BUDGETS if not store.has(key(method, name, budget, seed))]
    if not left:
        return
    started = time.process_time()
    parts = Parts(data.train.examples, data.evaluation.examples, len(data.task.labels), seed)
    place.work.mkdir(parents=True, exist_ok=True)
    fit = fit_fasttext(parts, place.work) if method == FASTTEXT else fit_static(parts, *static_vectors(*place))
    chosen = time.process_time() - started
    for budget in left:
        started = time.process_time()
        found = fit(budget)
        result = Result(
            data=name,
            method=method,
            budget_bytes=budget,
            seed=seed,
            bytes=found and found.bytes,
            accuracy=found and found.accuracy,
            settings="nothing fits" if found is None else found.settings,
            seconds=round(chosen + time.process_time() - started, 1),
            versions={package: version(package) for package in PACKAGES[method]},
        )
        store.save(key(method, name, budget, seed), result)
        print(f"{key(method, name, budget, seed)}: {result.accuracy}, {result.bytes} bytes", flush=True)


def table(results: Sequence[Result], of_linear: Sequence[linear.Result]) -> str:
    """A row for each data set and budget, a cell for each method: the mean of the seeds and the largest file."""
    rows = [["task", "budget", "hashed n-grams, linear", *METHODS.values()]]
    for name, title in SETS.items():
        for budget in BUDGETS:
            at = [r for r in results if (r.data, r.budget_bytes) == (name, budget)]
            if not at:
                continue
            own = [r.record for r in of_linear if (r.data, r.budget_bytes) == (name, budget)]
            cells = [_cell([r.metric.value for r in own], [r.bytes for r in own])]
            for method in METHODS:
                found = [r for r in at if r.method == method]
                accuracy = [r.accuracy for r in found if r.accuracy is not None]
                cells.append(_cell(accuracy, [r.bytes for r in found if r.bytes is not None]) if found else "not run")
            rows.append([title, size_name(budget), *cells])
    return markdown_table(rows)


def _cell(accuracy: Sequence[float], sizes: Sequence[int]) -> str:
    """Of the seeds that were run."""
    if not accuracy:
        return "does not fit"
    seeds = "" if len(accuracy) == len(SEEDS) else f", {len(accuracy)} of {len(SEEDS)} seeds"
    return f"{mean_interval(accuracy).value:.4f} ({max(sizes) / 1e6:.2f} MB{seeds})"


def main(arguments: Sequence[str]) -> None:
    """Run what is not recorded, print the table, write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks baselines")
    parser.add_argument("--shared", type=Path, help="folder with data/ and models/; without it nothing is trained")
    parser.add_argument(
        "--work", type=Path, default=Path("baselines-work"), help="a folder for files [default: %(default)s]"
    )
    parser.add_argument("--data", nargs="*", default=list(SETS), choices=SETS, help="data sets [default: all]")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS, help="[default: all]")
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS), help="[default: all three]")
    chosen = parser.parse_args(arguments)
    store = Store(RESULTS / NAME)
    if chosen.shared is not None:
        logging.getLogger("model2vec").setLevel(logging.ERROR)
        place = Place(chosen.shared.resolve(), chosen.work.resolve())
        for seed in chosen.seeds:
            for name in chosen.data:
                data = open_data(name, chosen.shared)
                for method in chosen.methods:
                    run(method, data, name, seed, store, place)
    found = table(list(store.load_all(Result).values()), linear.recorded(Store(RESULTS / linear.NAME)))
    print(found)
    write_table(PAGE, NAME, found)
