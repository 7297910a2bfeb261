"""How well the plan's score ranks shapes: on recorded builds, by today's constants and by ones fitted without the task.

    python -m benchmarks plan-errors --shared ../shared --work WORK

A build's score is a sum of terms, each a constant times a figure of its shape (`edgepack/plan/losses.py`). The figures
are found by opening a task's teacher and data once, and kept in benchmarks/results/plan-errors; without `--shared`
nothing is opened. What a build lost is 1 − retention of its record. For each task the constants are fitted anew to the
builds of all other tasks (least squares, none below zero), and rank and estimate this task's. Prints a table and one
JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.stats import spearmanr

from benchmarks.building import Result
from benchmarks.runs import ENCODERS, FRONTIER, KINDS, PLAN_SEARCH, SHAPE, Run, build_request, task_files
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table
from edgepack.build.inputs import open_inputs
from edgepack.build.search_space import make_search_space
from edgepack.bundle.record import Record
from edgepack.console import Console
from edgepack.plan import losses
from edgepack.plan.space import SearchSpace

NAME = "plan-errors"
TABLES = (FRONTIER, KINDS, ENCODERS, PLAN_SEARCH)
TODAY = {  # each term's constant
    "body": losses.BODY_LOSS,
    "depth": losses.DEPTH_LOSS,
    "table": losses.SPECTRUM_LOSS,
    "unknown": losses.UNKNOWN_LOSS,
    "rounding": losses.BODY_ROUNDING,
    "new": losses.NEW_BODY_LOSS,
}
LEAST_SHAPES = 3  # of a task: fewer have no rank to speak of


class Terms(Record):
    """What each constant is multiplied with for one recorded build, and what the build lost of the metric."""

    task: str
    effort: str
    shape: dict[str, Any]
    terms: dict[str, float]
    lost: float


@dataclass(frozen=True)
class Judged:
    """One task's builds: rank correlation and mean absolute error of today's constants and of those of other tasks."""

    task: str
    shapes: int
    rank: float
    error: float
    left_out_rank: float | None
    left_out_error: float | None

    def row(self) -> tuple[str, ...]:
        """In the table; errors in points."""
        left_out = "-" if self.left_out_rank is None else f"{self.left_out_rank:.2f}"
        error = "-" if self.left_out_error is None else f"{100 * self.left_out_error:.1f}"
        return self.task, str(self.shapes), f"{self.rank:.2f}", f"{100 * self.error:.1f}", left_out, error


def terms_of(space: SearchSpace, shape: Mapping[str, Any]) -> dict[str, float]:
    """The figures that the score's constants are multiplied with, for a shape as records have it.

    The head's dense layer is left out: records do not say its width, and the term is at most 0.0005.
    """
    full = space.full
    share = losses.compute_share(full, shape["layers"], shape["heads"], shape["ffn"])
    vocabulary = next(each for each in space.vocabularies if each.size == shape["vocabulary"])
    width, bits = shape["embedding"], shape["embedding_bits"]
    whole = losses.table_loss(space.spectrum, width, bits, 0.0) / losses.SPECTRUM_LOSS
    return {
        "body": share**-losses.BODY_POWER - 1,
        "depth": (1 - shape["layers"] / full.num_hidden_layers) ** losses.DEPTH_POWER,
        "table": whole,
        "unknown": vocabulary.unknown_share,
        "rounding": losses.ROUNDING_ERROR[shape["body_bits"]],
        "new": float(space.new_body),
    }


def find_terms(results: Sequence[Result], store: Store, shared: Path, work: Path) -> None:
    """Keep the terms of the builds that have none; each task is opened once. Builds of no plan today are named."""
    spaces: dict[tuple[str, str], SearchSpace | None] = {}
    for result in results:
        key = f"{result.run.table}-{result.run.key}"
        if store.has(key):
            continue
        place = result.run.table, result.run.task
        if place not in spaces:
            spaces[place] = open_space(result.run, shared, work)
        space = spaces[place]
        if space is None:
            continue
        try:
            terms = terms_of(space, result.shape)
        except StopIteration:
            print(f"{key}: the plan has no such vocabulary today", file=sys.stderr)
            continue
        lost = 1 - result.retention.value
        shape = {name: result.shape[name] for name in SHAPE}
        store.save(key, Terms(task=result.run.task, effort=result.run.effort, shape=shape, terms=terms, lost=lost))


def open_space(run: Run, shared: Path, work: Path) -> SearchSpace | None:
    """What a plan of this task is chosen from; None, said, where its teacher is not there."""
    if not (shared / task_files(run, shared, work).teacher).is_dir():
        print(f"{run.table} {run.task}: its teacher is not in {work.name}; make it first", file=sys.stderr)
        return None
    return make_search_space(open_inputs(build_request(run, shared, work, "cpu"), Console(quiet=True)))


def judge(found: Sequence[Terms]) -> list[Judged]:
    """Each task that has enough shapes; builds that differ in their seed alone are one, with their mean loss."""
    tasks: dict[str, dict[str, list[Terms]]] = {}
    for each in found:
        shape = json.dumps(each.shape, sort_keys=True)
        tasks.setdefault(each.task, {}).setdefault(shape, []).append(each)
    columns = {task: columns_of(list(shapes.values())) for task, shapes in tasks.items()}
    columns = {task: pair for task, pair in columns.items() if len(pair[1]) >= LEAST_SHAPES}
    constants = np.array(list(TODAY.values()))
    judged = []
    for task, (terms, lost) in columns.items():
        today = terms @ constants
        others = [pair for name, pair in columns.items() if name != task]
        estimate = None
        if others:
            fitted, _ = nnls(np.concatenate([x for x, _ in others]), np.concatenate([y for _, y in others]))
            estimate = terms @ fitted
        judged.append(
            Judged(
                task,
                len(lost),
                rank_correlation(today, lost),
                float(np.abs(today - lost).mean()),
                None if estimate is None else rank_correlation(estimate, lost),
                None if estimate is None else float(np.abs(estimate - lost).mean()),
            )
        )
    return judged


def columns_of(shapes: Sequence[Sequence[Terms]]) -> tuple[np.ndarray, np.ndarray]:
    """Terms `(shapes, terms)` and losses `(shapes,)`."""
    terms = np.array([[same[0].terms[name] for name in TODAY] for same in shapes])
    return terms, np.array([fmean(each.lost for each in same) for same in shapes])


def rank_correlation(estimate: np.ndarray, lost: np.ndarray) -> float:
    """Spearman's; 0 where all estimates are alike."""
    return 0.0 if np.ptp(estimate) == 0 else float(spearmanr(estimate, lost).statistic)


def main(arguments: Sequence[str]) -> None:
    """Find what is missing, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plan-errors")
    parser.add_argument("--shared", type=Path, help="folder with models/ and data/; without it nothing is opened")
    parser.add_argument(
        "--work", type=Path, default=Path("work"), help="where made teachers are [default: %(default)s]"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--effort", default="standard", help="which builds are judged")
    options = parser.parse_args(arguments)
    store = Store(options.results / NAME)
    if options.shared is not None:
        recorded = [each for name in TABLES for each in Store(options.results / name).load_all(Result).values()]
        recorded = [each for each in recorded if each.run.effort == options.effort]
        find_terms(recorded, store, options.shared.resolve(), options.work.resolve())
    judged = judge([each for each in store.load_all(Terms).values() if each.effort == options.effort])
    header = ("task", "shapes", "rank correlation", "mean error", "without the task: rank correlation", "mean error")
    print(markdown_table([header, *(each.row() for each in judged)]) + "\n")
    print(json.dumps({each.task: each.__dict__ for each in judged}))
