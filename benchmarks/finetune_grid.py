"""Is a teacher made without flags as good as the best of a grid? For each data set, epochs × peak rate, over seeds.

A cell of the grid is `edgepack finetune --epochs E --learning-rate R`, all else as it is without flags. Finished runs
stand in one JSON-lines file, appended by the main process, so a benchmark resumes where it was stopped; `--minutes`
stops it in time to keep what it has. Sets of more than `--rows` training rows are cut to a seeded sample of that size.

`--judge held-out` measures on a fifth of the training data, taken out before anything else sees it, in place of dev:
settings are chosen with that, dev only says what they are worth. `--also` compares other options in the same way.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from benchmarks.finetune_data import SETS, Files, files_of
from benchmarks.tables import markdown_table
from edgepack import finetune
from edgepack.errors import InputError
from edgepack.finetune import Options
from edgepack.machine.processes import end_with_parent
from edgepack.workspace import hash_json, sha256_file

RESULTS = Path(__file__).resolve().parent / "results" / "finetune-grid.jsonl"
EPOCHS = (3, 6, 12, 20)
RATES = (3e-5, 1e-4, 1.5e-4, 3e-4)
TOLERANCE = 0.005
DEFAULT: dict[str, Any] = {}


@dataclass(frozen=True)
class Run:
    """One training: a data set, the options given, a seed, and what it is judged by."""

    name: str
    options: str  # canonical JSON; {} is the default
    seed: int
    judge: str
    rows: int

    @property
    def work(self) -> float:
        """About how long it takes, in passes over all rows: long runs start first."""
        return float(json.loads(self.options).get("epochs", 35)) * min(self.rows, SETS[self.name].rows)


def main(arguments: Sequence[str]) -> None:
    """Train what is missing, then print the table and one JSON line."""
    options = _parse(arguments)
    runs = [
        Run(name, text, seed, options.judge, options.rows)
        for seed in range(options.seeds)
        for name in options.sets
        for text in _rows(options)
    ]
    done = read_results(options.results)
    left = sorted((run for run in runs if run not in done), key=lambda run: (run.seed, -run.work))
    failed = False if options.table_only else _train(left, options)
    summary = summarize(runs, read_results(options.results), options)
    print(json.dumps(summary))
    if failed:
        sys.exit(1)


def read_results(path: Path) -> dict[Run, dict[str, Any]]:
    """The finished runs; a line cut short by a kill is no result."""
    results = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        results[Run(**{field.name: record[field.name] for field in fields(Run)})] = record
    return results


def train_one(run: Run, files: Files, base: str, device: str) -> dict[str, Any]:
    """Train and measure one run; the record of it."""
    import torch

    from edgepack.console import Console
    from edgepack.finetune.head import load_with_new_head
    from edgepack.finetune.run import prepare, train_and_score
    from edgepack.task.examples import Columns
    from edgepack.train.processes import find_device, has_bf16

    console, started = Console(quiet=True), time.perf_counter()
    options, where = Options(**json.loads(run.options), seed=run.seed, device=device), find_device(device)
    prepared = prepare(base, str(files.train), str(files.evaluation), Columns(), options, console)
    beginning = load_with_new_head(prepared.checkpoint, prepared.task, run.seed)
    bf16 = has_bf16(where.type == "cpu")
    result = train_and_score(beginning, prepared, where, bf16, None, files.train.parent, console).to_record()
    del result["output"], result["classes"]
    return {
        **asdict(run),
        **result,
        "seconds": round(time.perf_counter() - started, 1),
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "code": code_hash(),
    }


def code_hash() -> str:
    """Of the fine-tuning's own files: results of others are compared, and said to be old."""
    return hash_json({path.name: sha256_file(path) for path in sorted(Path(finetune.__file__).parent.glob("*.py"))})[
        :16
    ]


def summarize(runs: Sequence[Run], results: dict[Run, dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """Print the tables of what is finished; the figures as plain data."""
    summary: dict[str, Any] = {"judge": options.judge, "seeds": options.seeds, "rows": options.rows, "sets": {}}
    rows = [("data set", "default", "best of the grid", "its cell", "default − best", "best, chosen on other seeds")]
    for name in options.sets:
        scores: dict[str, dict[int, float]] = {}
        for run in runs:
            if run.name == name and run in results:
                scores.setdefault(run.options, {})[run.seed] = results[run]["metric"]
        _print_cells(name, scores, [results[run] for run in runs if run.name == name and run in results])
        found = compare(scores)
        if found is not None:
            summary["sets"][name] = found
            rows.append((name, *_cells(found)))
    if len(rows) > 1:
        print(markdown_table(rows) + "\n")
    old = sum(results[run].get("code") != code_hash() for run in runs if run in results)
    if old:
        print(f"{old} results are of other code; drop their lines to train them again", file=sys.stderr)
    compared = summary["sets"].values()
    summary["all_within"] = len(compared) == len(options.sets) and all(each["within"] for each in compared)
    return summary


def compare(scores: dict[str, dict[int, float]]) -> dict[str, Any] | None:
    """The default against the best complete cell of the grid; None where either is missing.

    The best of many noisy cells is too high by chance. `crossed` is not: each seed is judged at the cell that is best
    on the other seeds.
    """
    own = scores.get(canonical(DEFAULT), {})
    grid = {text: by_seed for text, by_seed in scores.items() if is_cell(text) and set(by_seed) >= set(own)}
    if not own or not grid:
        return None
    seeds = sorted(own)
    best = max(grid, key=lambda text: fmean(grid[text][seed] for seed in seeds))
    differences = [own[seed] - grid[best][seed] for seed in seeds]
    crossed = []
    for seed in seeds if len(seeds) > 1 else []:
        others = [other for other in seeds if other != seed]
        crossed.append(grid[max(grid, key=lambda text: fmean(grid[text][o] for o in others))][seed])
    return {
        "default": fmean(own.values()),
        "best": fmean(grid[best][seed] for seed in seeds),
        "cell": json.loads(best),
        "difference": fmean(differences),
        "standard_error": stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None,
        "crossed": fmean(crossed) if crossed else None,
        "seeds": len(seeds),
        "cells": len(grid),
        "within": fmean(differences) >= -TOLERANCE,
    }


def is_cell(text: str) -> bool:
    """Whether options are a cell of the grid."""
    return set(json.loads(text)) == {"epochs", "learning_rate"}


def canonical(options: dict[str, Any]) -> str:
    """Options as the text that names them."""
    return json.dumps(options, sort_keys=True)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks finetune-grid")
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/ and models/base-minilm")
    parser.add_argument("--base", help="another base checkpoint")
    parser.add_argument("--work", type=Path, required=True, help="where data is written as finetune reads it")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines, appended to")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS), metavar="SET")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, nargs="*", default=list(EPOCHS))
    parser.add_argument("--rates", type=float, nargs="*", default=list(RATES))
    parser.add_argument("--also", nargs="+", default=[], metavar="JSON", help="other options, as '{\"patience\": 5}'")
    parser.add_argument("--rows", type=int, default=10_000, help="training rows at most, evaluation rows not counted")
    parser.add_argument("--judge", choices=["dev", "held-out"], default="dev")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="processes that train side by side, on one device")
    parser.add_argument("--minutes", type=float, default=7 * 24 * 60, help="stop after so long; what runs is lost")
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    return parser.parse_args(arguments)


def _rows(options: argparse.Namespace) -> list[str]:
    """The options to compare: the default, the grid, those asked for besides."""
    grid = [{"epochs": epochs, "learning_rate": rate} for epochs in options.epochs for rate in options.rates]
    try:
        return list(dict.fromkeys(map(canonical, [DEFAULT, *grid, *map(json.loads, options.also)])))
    except ValueError as e:
        raise InputError(f"--also: {e}; give options as one JSON object each") from e


def _train(left: Sequence[Run], options: argparse.Namespace) -> bool:
    """Train in processes that each take the next run; whether one failed."""
    deadline = time.monotonic() + 60 * options.minutes
    base = options.base or str(options.shared / "models" / "base-minilm")
    files = {
        name: files_of(name, options.shared, options.work, options.rows, options.judge)
        for name in sorted({run.name for run in left})
    }
    jobs = [(run, files[run.name], base, options.device) for run in left]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    failed = False
    with multiprocessing.get_context("spawn").Pool(options.workers, _start_worker, (os.getpid(),)) as pool:
        waiting = pool.imap_unordered(_guarded, jobs)
        for number in range(len(jobs)):
            try:
                run, record = waiting.next(max(0.0, deadline - time.monotonic()))
            except multiprocessing.TimeoutError:
                print(f"stopped after {options.minutes:g} minutes", file=sys.stderr)
                pool.terminate()
                break
            failed = failed or record is None
            if record is not None:
                _append(options.results, record)
            done = f"{record['metric']:.4f} in {record['seconds']:.0f} s" if record else "failed"
            print(f"{number + 1} of {len(jobs)}: {run.name} {run.options} seed {run.seed}: {done}", file=sys.stderr)
    return failed


def _start_worker(parent: int) -> None:
    """One thread to train in, and one that ends this process, a group of its own, with its parent."""
    import torch

    os.setpgrp()
    threading.Thread(target=end_with_parent, args=(parent, threading.Event()), daemon=True).start()
    torch.set_num_threads(1)


def _guarded(job: tuple[Run, Files, str, str]) -> tuple[Run, dict[str, Any] | None]:
    """A run's record, None where it failed: one must not cost the others."""
    try:
        return job[0], train_one(*job)
    except Exception:
        traceback.print_exc()
        return job[0], None


def _append(path: Path, record: dict[str, Any]) -> None:
    """Add a line, behind one that a kill cut short if need be."""
    cut = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut else "") + json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _print_cells(name: str, scores: dict[str, dict[int, float]], records: Iterable[dict[str, Any]]) -> None:
    """A row for each option: mean, spread over seeds, and how the trainings went."""
    by_options: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_options.setdefault(record["options"], []).append(record)
    rows = [(name, "metric", "spread", "seeds", "epochs", "kept after", "learning rate", "seconds")]
    for text, found in by_options.items():
        values = list(scores[text].values())
        epoch = fmean(r["history"][-1]["step"] / r["history"][-1]["epoch"] for r in found)
        rows.append(
            (
                "default" if text == canonical(DEFAULT) else text,
                f"{fmean(values):.4f}",
                f"{np.ptp(values):.4f}",
                str(len(values)),
                f"{fmean(r['training']['steps'] for r in found) / epoch:.1f}",
                f"{fmean(r['training']['kept_step'] for r in found) / epoch:.1f}",
                f"{found[0]['training']['learning_rate']:g}",
                f"{fmean(r['seconds'] for r in found):.0f}",
            )
        )
    if len(rows) > 1:
        print(markdown_table(rows) + "\n")


def _cells(found: dict[str, Any]) -> tuple[str, ...]:
    error = "" if found["standard_error"] is None else f" ± {found['standard_error']:.4f}"
    return (
        f"{found['default']:.4f}",
        f"{found['best']:.4f}",
        f"{found['cell']['epochs']} epochs, {found['cell']['learning_rate']:g}",
        f"{found['difference']:+.4f}{error}",
        "" if found["crossed"] is None else f"{found['crossed']:.4f}",
    )
