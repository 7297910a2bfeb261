"""Opening an ONNX model: as it ships, and from the folder that keeps it unpacked, once and twenty times in a process.

    python -m benchmarks opens [--student OUT/student] [--rounds N]

Fresh processes with one thread, the two ways in turn, medians over rounds. Memory is resident memory above what the
process had with the libraries imported. Prints a table; the result is kept. Only the ratios mean anything elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from pydantic import BaseModel

from benchmarks.onnx_graph import SHAPE, TOKENS, make_student
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table
from benchmarks.timing import in_fresh_process, time_once
from edgepack.evidence.measure import peak_memory_bytes, since_ms
from edgepack.runtime.onnxruntime import load

ROUNDS, OPENS, RUNS = 7, 20, 100
BODY_BITS, WORD_BITS = 4, 3
WAYS = {"shipped": "as it ships", "kept": "from the kept files"}
NAME = "opens"


class Opening(BaseModel):
    """Figures of one process, or their medians; bytes are above what the libraries took, `processor_ms` of one open."""

    open_ms: float
    processor_ms: float
    first_ms: float
    p50_ms: float
    resident_bytes: float
    peak_bytes: float
    last_open_ms: float
    resident_after_bytes: float


class OpensResult(BaseModel):
    """Both ways of opening one file."""

    file_bytes: int
    kept_bytes: int
    shape: str
    load_average: float
    versions: dict[str, str]
    ways: dict[str, Opening]


def make_file(student_folder: Path | None, folder: Path) -> Path:
    """The ONNX file of a student, or of random weights where no folder is given: what opening takes is the same."""
    from edgepack.export.onnx import export_onnx
    from edgepack.target import load_target

    student = make_student(student_folder)
    if not student_folder:
        student.set_bits(BODY_BITS, WORD_BITS)
    return export_onnx(student, load_target("linux-onnx"), folder / "model").path


def open_here(path: Path, cache: Path | None) -> Opening:
    """What one process sees; the libraries are imported before anything is measured."""
    process = psutil.Process()
    before = process.memory_info().rss
    began, spent = time.perf_counter(), time.process_time()
    session = load(path, 1, cache)
    open_ms, processor_ms = since_ms(began), (time.process_time() - spent) * 1e3
    resident, peak = process.memory_info().rss - before, peak_memory_bytes() - before
    first_ms = time_once(session, TOKENS)
    p50_ms = float(np.median([time_once(session, TOKENS) for _ in range(RUNS)]))
    last = []
    del session  # an app closes one before it opens the next
    for _ in range(OPENS - 1):
        began = time.perf_counter()
        load(path, 1, cache)
        last.append(since_ms(began))
    return Opening(
        open_ms=open_ms,
        processor_ms=processor_ms,
        first_ms=first_ms,
        p50_ms=p50_ms,
        resident_bytes=resident,
        peak_bytes=peak,
        last_open_ms=float(np.median(last)),
        resident_after_bytes=process.memory_info().rss - before,
    )


def measure(path: Path, cache: Path, rounds: int) -> dict[str, Opening]:
    """Medians over rounds of each way; the first open with a cache, which fills it, is not measured."""
    load(path, 1, cache)
    found: dict[str, list[Opening]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, options in (("shipped", ()), ("kept", ("--cache", str(cache)))):
            found[way].append(Opening(**in_fresh_process(NAME, "--open", str(path), *options)))
    return {
        way: Opening(**{name: float(np.median([getattr(o, name) for o in own])) for name in Opening.model_fields})
        for way, own in found.items()
    }


def opens_table(result: OpensResult) -> str:
    """Markdown: a row for each way."""
    header = [
        "opened",
        "file, MB",
        "open, ms",
        "of one processor, ms",
        "first inference, ms",
        f"p50, ms, {TOKENS} tokens",
    ]
    rows = [[*header, "resident, MB", "peak, MB", "opens 2 to 20, ms", "resident after 20, MB"]]
    sizes = {"shipped": result.file_bytes, "kept": result.kept_bytes}
    for way, title in WAYS.items():
        own = result.ways[way]
        times = [own.open_ms, own.processor_ms, own.first_ms, own.p50_ms]
        memory = [own.resident_bytes, own.peak_bytes]
        row = [title, f"{sizes[way] / 1e6:.2f}", *(f"{value:.1f}" for value in times)]
        row += [f"{value / 1e6:.0f}" for value in memory]
        rows.append([*row, f"{own.last_open_ms:.1f}", f"{own.resident_after_bytes / 1e6:.0f}"])
    return markdown_table(rows)


def main(arguments: Sequence[str]) -> None:
    """Measure, keep the result, print the table."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {NAME}")
    parser.add_argument("--student", type=Path, help="a build's student/ folder [default: random weights]")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.open:
        print(json.dumps(open_here(options.open, options.cache).model_dump()))
        return
    import onnxruntime

    with TemporaryDirectory() as name:
        folder = Path(name)
        path, busy = make_file(options.student, folder), os.getloadavg()[0]
        ways = measure(path, folder / "cache", options.rounds)
        (kept,) = (folder / "cache").iterdir()
        result = OpensResult(
            file_bytes=path.stat().st_size,
            kept_bytes=sum(path.stat().st_size for path in kept.iterdir()),
            shape="a given student" if options.student else f"{SHAPE['num_hidden_layers']} x {SHAPE['hidden_size']}",
            load_average=round(busy, 1),
            versions={"onnxruntime": onnxruntime.__version__},
            ways=ways,
        )
    Store(RESULTS / NAME).save("result", result)
    print(opens_table(result))
