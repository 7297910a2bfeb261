"""The ONNX file that edgepack writes compared with what other tools make of the same student.

    python -m benchmarks onnx-graph [--student OUT/student] [--bits 8 4] [--rounds N]

torch             `torch.onnx.export`, then `quantize_dynamic` per channel: what `optimum-cli` makes as well
torch, optimized  the same with `onnxruntime.transformers.optimizer` between the two
edgepack N        the exporter's own file at N bits, body and embedding

Load, first run and peak memory are those of fresh processes, one model after the other in each round; medians over
rounds. p50 at 32 tokens is measured in one process, in alternating runs. One thread, batch 1. Only the ratios mean
anything elsewhere.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from benchmarks.tables import markdown_table
from benchmarks.timing import in_fresh_process, median_times, time_once
from edgepack.evidence.measure import peak_memory_bytes, since_ms
from edgepack.runtime.onnxruntime import load

TOKENS = 32
RUNS, ROUNDS = 300, 7
SHAPE: dict[str, Any] = {  # a 4 MB student of a 6-layer, 384-wide teacher
    "vocab_size": 29528,
    "embedding_size": 192,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_heads": [4] * 6,
    "head_sizes": [32] * 6,
    "intermediate_sizes": [384] * 6,
    "max_position_embeddings": 64,
    "num_labels": 2,
}
BASELINE, OPTIMIZED = "torch", "torch, optimized"
FIGURES = ("bytes", "load_ms", "first_ms", "p50_ms", "peak_bytes")


def make_files(student_folder: Path | None, bits: Sequence[int], folder: Path) -> dict[str, Path]:
    """All models of one student; its weights are random where no folder is given: speed does not depend on them."""
    from edgepack.export.onnx import export_onnx
    from edgepack.target import load_target

    student = make_student(student_folder)
    student.set_bits(32, 32)
    files = make_others(student, folder)
    for width in bits:
        student.set_bits(width, width)
        files[f"edgepack {width}"] = export_onnx(student, load_target("linux-onnx"), folder / str(width)).path
    return files


def make_student(folder: Path | None) -> Any:
    """The student in a folder, or one of `SHAPE` with random weights."""
    import torch

    from edgepack.student.config import StudentConfig
    from edgepack.student.folder import load_student
    from edgepack.student.model import Student

    torch.manual_seed(0)
    return load_student(folder) if folder else Student(StudentConfig(**SHAPE)).eval()


def make_others(student: Any, folder: Path) -> dict[str, Path]:
    """torch's graph, and ONNX Runtime's optimizer's of it, each quantized dynamically per channel."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    from edgepack.teacher.int8_model import export_by_torch

    logging.disable(logging.WARNING)  # each tool explains itself at length
    paths = {BASELINE: folder / "torch.onnx", OPTIMIZED: folder / "optimized.onnx"}
    export_by_torch(student, paths[BASELINE], opset=17)
    heads, hidden = max(student.config.num_heads), student.config.hidden_size
    optimized = optimize_model(str(paths[BASELINE]), "bert", num_heads=heads, hidden_size=hidden)
    optimized.save_model_to_file(str(paths[OPTIMIZED]))
    files = {}
    for name, path in paths.items():
        files[name] = path.with_suffix(".int8.onnx")
        # the type of what a fused node gives is not inferred
        options = {"DefaultTensorType": onnx.TensorProto.FLOAT} if name == OPTIMIZED else None
        quantize_dynamic(path, files[name], per_channel=True, weight_type=QuantType.QInt8, extra_options=options)
    return files


def cold_here(path: Path) -> dict[str, float]:
    """Load and first run, in a process of their own; the library is imported before the clock starts."""
    before = peak_memory_bytes()
    started = time.perf_counter()
    session = load(path, 1)
    load_ms = since_ms(started)
    first_ms = time_once(session, TOKENS)
    return {"load_ms": load_ms, "first_ms": first_ms, "peak_bytes": peak_memory_bytes() - before}


def measure_files(files: dict[str, Path], runs: int, rounds: int) -> dict[str, dict[str, float]]:
    """All figures by model."""
    cold: dict[str, list[dict[str, float]]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, path in files.items():
            cold[name].append(in_fresh_process("onnx-graph", "--cold", str(path)))
    warm = median_times({name: (load(path, 1), TOKENS) for name, path in files.items()}, runs)
    return {
        name: {
            "bytes": path.stat().st_size,
            **{key: float(np.median([figures[key] for figures in cold[name]])) for key in cold[name][0]},
            "p50_ms": warm[name],
        }
        for name, path in files.items()
    }


def graph_table(figures: dict[str, dict[str, float]]) -> str:
    """Markdown: each figure, and in brackets how many times the first model's it is."""
    rows = [["model", "bytes", "load ms", "first run ms", f"p50 ms, {TOKENS} tokens", "peak MB"]]
    for name, found in figures.items():
        shown = {
            "bytes": f"{found['bytes']:,.0f}",
            **{key: f"{found[key]:.2f}" for key in ("load_ms", "first_ms", "p50_ms")},
            "peak_bytes": f"{found['peak_bytes'] / 1e6:.1f}",
        }
        cells = [f"{shown[key]} ({found[key] / figures[BASELINE][key]:.2f} x)" for key in FIGURES]
        rows.append([name, *cells])
    return markdown_table(rows)


def main(arguments: Sequence[str]) -> None:
    """Print a table and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks onnx-graph")
    parser.add_argument("--student", type=Path, help="a build's student/ folder [default: random weights]")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4], choices=(8, 4, 3, 2, 1))
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--cold", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.cold:
        print(json.dumps(cold_here(options.cold)))
        return
    with TemporaryDirectory() as folder:
        figures = measure_files(make_files(options.student, options.bits, Path(folder)), options.runs, options.rounds)
    print(graph_table(figures))
    print(json.dumps({"machine": platform.platform(), "threads": 1, "tokens": TOKENS, "models": figures}))
