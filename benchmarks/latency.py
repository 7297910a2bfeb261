"""An ONNX bundle's latency and load time compared with ONNX Runtime's own int8 model of the teacher, in one run.

The baseline is what `optimum-cli` makes as well: `torch.onnx.export` of the teacher, then `quantize_dynamic` per
channel. Both run in ONNX Runtime in this process, one thread, batch 1, in alternating runs (`timing.py`). Only the
ratios mean anything elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from benchmarks.timing import median_times, time_once
from edgepack.bundle.manifest import load_manifest
from edgepack.console import format_table
from edgepack.runtime import Session
from edgepack.runtime.onnxruntime import load
from edgepack.target import load_target
from edgepack.teacher import Teacher, load_teacher
from edgepack.teacher.int8_model import export_int8

TOKENS = (16, 32, 64, 128)
RUNS, LOADS = 200, 5
TEACHER = "teacher int8"


def export_baseline(teacher: Teacher, folder: Path) -> Path:
    """The teacher as ONNX int8, by torch's exporter and ONNX Runtime's quantizer."""
    path = folder / "teacher-int8.onnx"
    export_int8(teacher.load_model(), folder / "teacher.onnx", path, TOKENS)
    return path


def load_ms(path: Path) -> float:
    """Median milliseconds to load a file."""
    times = []
    for _ in range(LOADS):
        started = time.perf_counter()
        load(path, 1)
        times.append((time.perf_counter() - started) * 1e3)
    return float(np.median(times))


def main(arguments: Sequence[str]) -> None:
    """Print a table and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks latency")
    parser.add_argument("teacher")
    parser.add_argument("bundles", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        paths = {TEACHER: export_baseline(load_teacher(options.teacher), Path(folder))}
        for bundle in options.bundles:
            manifest = load_manifest(bundle)
            paths[f"{bundle.parent.parent.name}/{manifest.target}"] = bundle / load_target(manifest.target).file
        sessions = {name: load(path, 1) for name, path in paths.items()}
        loads = {name: load_ms(path) for name, path in paths.items()}
        sizes = {name: path.stat().st_size for name, path in paths.items()}
    # a student of 64 positions cannot run 128 tokens: leave that cell empty
    lengths = {name: [n for n in TOKENS if fits(session, n)] for name, session in sessions.items()}
    p50 = median_times({(name, n): (sessions[name], n) for name, ns in lengths.items() for n in ns}, RUNS)
    print(latency_table(sizes, loads, p50))
    record = {
        "machine": platform.platform(),
        "threads": 1,
        "runs": RUNS,
        "load_ms": loads,
        "bytes": sizes,
        "p50_ms": {f"{name}@{n}": value for (name, n), value in p50.items()},
    }
    print(json.dumps(record))


def latency_table(sizes: dict[str, int], loads: dict[str, float], p50: dict[tuple[str, int], float]) -> str:
    """A row for each model; in brackets how many times as fast as the teacher's int8 model."""
    rows = [["model", "bytes", "load ms", *(f"p50 ms, {n} tokens" for n in TOKENS)]]
    for name, size in sizes.items():
        cells = [
            f"{p50[name, n]:.2f} ({p50[TEACHER, n] / p50[name, n]:.1f}x)" if (name, n) in p50 else "-" for n in TOKENS
        ]
        rows.append([name, f"{size:,}", f"{loads[name]:.0f}", *cells])
    return format_table(rows)


def fits(session: Session, tokens: int) -> bool:
    """Whether the model has that many positions."""
    try:
        time_once(session, tokens)
    except Exception:  # each runtime has its own class for a Gather out of range
        return False
    return True
