"""What other tools make of the same teachers: the points that edgepack's frontier is compared with.

    python -m benchmarks other-tools --shared ../shared --work WORK

Each model is really made here from the teacher and run over dev in ONNX Runtime:

    fp32    `torch.onnx.export`
    int8    `onnxruntime.quantization.quantize_dynamic`, per channel (what `optimum-cli onnxruntime quantize` calls)
    4-bit   `onnxruntime.quantization.matmul_nbits_quantizer`, blocks of 32: `MatMulNBits` for the products,
            `GatherBlockQuantized` for the embedding tables

Shipped bytes are the model file and edgepack's compact tokenizer asset, which is smaller than the `tokenizer.json`
that would otherwise be shipped: the comparison is of models.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.cells import with_bounds
from benchmarks.runs import TASKS
from benchmarks.speed import TOKENS, Speed, baseline, measure_speed
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table
from edgepack.bundle.manifest import MetricRecord
from edgepack.bundle.record import Record
from edgepack.bundle.verdict import IntervalRecord
from edgepack.console import Console
from edgepack.errors import MissingDependency
from edgepack.evidence.validate import metric_record
from edgepack.inference import predict
from edgepack.runtime.onnxruntime import load
from edgepack.runtime.predict import predict_session
from edgepack.task.encoded import Encoded
from edgepack.task.examples import infer_task, read_dataset
from edgepack.task.intervals import Interval, retention
from edgepack.task.tokenize import encode, suggest_max_length
from edgepack.teacher import Teacher, load_teacher
from edgepack.tokenizer.asset import asset_bytes
from edgepack.workspace import write_atomic

NAME = "other-tools"
BLOCK = 32


class OtherResult(Record):
    """One tool's model of one teacher."""

    task: str
    tool: str
    model_bytes: int
    shipped_bytes: int
    metric: MetricRecord
    teacher: MetricRecord
    retention: IntervalRecord
    speed: Speed | None = None  # compared with the int8 model; None for that itself
    versions: dict[str, str]
    created: str


def quantize_4_bits(folder: Path) -> Path:
    """Products and embedding tables of `teacher.onnx` in 4 bits, by ONNX Runtime's quantizer (default algorithm)."""
    import onnx

    try:
        from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer
    except ImportError as e:
        raise MissingDependency(f"ONNX Runtime's 4-bit quantizer lacks {e.name}; run: pip install onnx-ir") from e
    path = folder / "teacher-4bit.onnx"
    if not path.is_file():
        logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(logging.WARNING)  # it names every node twice
        settings = DefaultWeightOnlyQuantConfig(
            block_size=BLOCK, is_symmetric=False, accuracy_level=4, bits=4, op_types_to_quantize=("MatMul", "Gather")
        )
        quantizer = MatMulNBitsQuantizer(onnx.load(folder / "teacher.onnx"), algo_config=settings)
        quantizer.process()
        write_atomic(path, quantizer.model.model.SerializeToString())
    return path


# tool → from a folder with teacher.onnx and teacher-int8.onnx to the tool's model
TOOLS: dict[str, Callable[[Path], Path]] = {
    "fp32": lambda folder: folder / "teacher.onnx",
    "int8": lambda folder: folder / "teacher-int8.onnx",
    "4-bit": quantize_4_bits,
}


def key_of(task: str, tool: str) -> str:
    """The result's name in the store."""
    return f"{task}-{tool}"


def open_task(task: str, shared: Path) -> tuple[Teacher, Encoded, int]:
    """The teacher, dev in its tokens, and the longest input: all as a build chooses them."""
    files = TASKS[task]
    train_path = str(shared / files.train)
    teacher = load_teacher(str(shared / files.teacher), *infer_task(train_path))
    train = read_dataset(train_path, teacher.task)
    dev = read_dataset(str(shared / files.evaluation), teacher.task, split="validation")
    limit = teacher.max_length
    encoded, judged = (encode(data, teacher.task, teacher.tokenizer, limit) for data in (train, dev))
    return teacher, judged, suggest_max_length(encoded, judged, limit)


def measure_tools(task: str, tools: Sequence[str], shared: Path, work: Path, store: Store) -> None:
    """Make, run and record each tool's model."""
    teacher, dev, max_length = open_task(task, shared)
    console = Console()
    with console.progress(f"{task} teacher", len(dev)) as advance:
        goal = teacher.task.statistics(predict(teacher.load_model(), dev, advance=advance), dev)
    folder = baseline(task, shared / TASKS[task].teacher, work)
    tokenizer_bytes = len(asset_bytes(teacher.tokenizer))
    for tool in tools:
        path = TOOLS[tool](folder)
        with console.progress(f"{task} {tool}", len(dev)) as advance:
            own = teacher.task.statistics(predict_session(load(path, 1), dev, advance), dev)
        kept = retention(own, goal, teacher.task)
        int8 = folder / "teacher-int8.onnx"
        result = OtherResult(
            task=task,
            tool=tool,
            model_bytes=path.stat().st_size,
            shipped_bytes=path.stat().st_size + tokenizer_bytes,
            metric=metric_record(own, teacher.task),
            teacher=metric_record(goal, teacher.task),
            retention=IntervalRecord(value=kept.value, low=kept.low, high=kept.high),
            speed=None if path == int8 else measure_speed(path, int8, min(TOKENS, max_length)),
            versions={name: version(name) for name in ("onnxruntime", "torch", "transformers")},
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        store.save(key_of(task, tool), result)


def speed_ratio(result: OtherResult) -> float:
    """How many times as fast as the teacher's int8 model."""
    return 1.0 if result.speed is None else result.speed.ratio


def other_table(results: Sequence[OtherResult]) -> str:
    """Markdown: a row for each task and tool, the smallest file last."""
    header = ["task", "tool", "shipped bytes", "metric", "teacher", "retention (95 %)"]
    rows = [[*header, f"speed, {TOKENS} tokens"]]
    for r in sorted(results, key=lambda r: (list(TASKS).index(r.task), -r.shipped_bytes)):
        kept = with_bounds(Interval(r.retention.value, r.retention.low, r.retention.high), ".1%")
        speed = f"{speed_ratio(r):.2f} ×"
        row = [TASKS[r.task].title, r.tool, f"{r.shipped_bytes:,}", f"{r.metric.value:.4f}", f"{r.teacher.value:.4f}"]
        rows.append([*row, kept, speed])
    return markdown_table(rows)


def main(arguments: Sequence[str]) -> None:
    """Measure what is left and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks other-tools")
    parser.add_argument("--shared", type=Path, required=True, help="folder with models/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="where the models are made")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--again", nargs="+", default=[], metavar="KEY", help="forget these results, as 'sst2-*'")
    options = parser.parse_args(arguments)
    store = Store(options.results / NAME)
    store.forget(options.again)
    for task in options.tasks:
        left = [tool for tool in TOOLS if not store.has(key_of(task, tool))]
        if left:
            print(f"{task}: {', '.join(left)}", file=sys.stderr, flush=True)
            measure_tools(task, left, options.shared.resolve(), options.work.resolve(), store)
    print(other_table(list(store.load_all(OtherResult).values())))
