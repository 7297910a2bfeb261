"""Static embeddings of the bytes that edgepack's students of embeddings have: model2vec, made from the same teacher.

    pip install "model2vec[distill]"
    python -m benchmarks static-embeddings --shared ../shared --work WORK

A static embedding is a vector for each token; a text is their weighted mean (model2vec: Tulkens and van Dongen 2024,
https://github.com/MinishLab/model2vec). Here: the teacher's output for each token alone, cut by PCA, weighed by rank
(its defaults), in int8, as many numbers as fit.

Bytes are the model's file and edgepack's tokenizer asset, as of the students. With the bundles of `benchmarks kinds`
in WORK, the paired difference to the student is recorded too.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from benchmarks.kind_teachers import BASE
from benchmarks.kinds import PAGE
from benchmarks.runs import KINDS, size_option
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table, write_table
from edgepack.bundle.layout import TOKENIZER_NAME
from edgepack.bundle.manifest import MetricRecord, is_model_file, load_manifest
from edgepack.bundle.record import Record
from edgepack.bundle.verdict import IntervalRecord
from edgepack.evidence.linear.measure import labels_of
from edgepack.evidence.paired_ratio import difference_interval, paired_rows
from edgepack.evidence.validate import metric_record
from edgepack.machine.extras import import_package
from edgepack.parameters import format_size
from edgepack.runtime import load
from edgepack.runtime.predict import predict_session
from edgepack.target import load_target
from edgepack.task.dataset import Dataset
from edgepack.task.examples import Columns
from edgepack.task.similarity import EMBEDS, Judged
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.vector_data import read_judged
from edgepack.teacher import load_tokenizer, load_weights, open_checkpoint
from edgepack.tokenizer.asset import asset_bytes

NAME = "static-embeddings"
NEED = "benchmarks static-embeddings"
BUDGETS = (8_000_000, 4_000_000, 2_000_000)
EVALUATION: dict[str, tuple[str, Judged]] = {  # under the shared folder's data/
    "STS-B": ("stsb/dev.tsv", "pairs"),
    "Cranfield": ("retrieval-cranfield", "queries"),
}
CONFIDENCE = 0.95


class StaticResult(Record):
    """A static model on one data set, and the student of the same budget less it, where that was there."""

    data: str
    budget_bytes: int
    shipped_bytes: int
    rows: int
    numbers: int
    metric: MetricRecord
    student: MetricRecord | None = None
    gain: IntervalRecord | None = None
    versions: dict[str, str]
    created: str


@dataclass(frozen=True, eq=False)
class StaticModel:
    """What model2vec made, and what it takes with a tokenizer asset."""

    model: Any
    shipped_bytes: int
    rows: int
    numbers: int


def distil(folder: Path, place: Path) -> int:
    """Write the static model of all numbers at `place`; the bytes of a tokenizer asset."""
    distill = import_package("model2vec.distill", NEED).distill_from_model
    checkpoint = open_checkpoint(str(folder))
    tokenizer = load_tokenizer(checkpoint, EMBEDS)
    encoder, _ = load_weights(checkpoint, EMBEDS)
    model = distill(encoder, tokenizer, device="cpu", pca_dims=int(encoder.config.hidden_size), quantize_to="float32")
    model.save_pretrained(place)
    return len(asset_bytes(tokenizer))


def static_model(place: Path, asset: int, budget: int) -> StaticModel:
    """The first numbers, which PCA has in order, of each token's vector in int8: as many as fit with the asset."""
    whole = import_package("model2vec", NEED).StaticModel
    rows, numbers = whole.from_pretrained(place).embedding.shape
    numbers = min(numbers, (budget - asset) // rows)
    while True:
        model = whole.from_pretrained(place, dimensionality=numbers, quantize_to="int8")
        size = asset + file_bytes(model)
        if size <= budget:
            return StaticModel(model, size, rows, numbers)
        numbers -= -(-(size - budget) // rows)


def file_bytes(model: Any) -> int:
    """Of the weights as they are saved."""
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))


def statistics_of(vectors: np.ndarray, data: Dataset, task: Task) -> np.ndarray:
    """What the metric is made of."""
    return replace(task, vector_size=vectors.shape[1]).statistics(vectors, labels_of(data, task))


def student_statistics(bundle: Path, data: Dataset, task: Task) -> np.ndarray:
    """The same of a student's artifact."""
    manifest = load_manifest(bundle)
    tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER_NAME))
    target = load_target(manifest.target)
    model = next(record.path for record in manifest.files if is_model_file(record.path, target))
    session = load(bundle / model, target)
    vectors = predict_session(session, encode(data, task, tokenizer, manifest.max_length))
    return statistics_of(vectors, data, task)


def measure(model: StaticModel, budget: int, data: str, shared: Path, bundle: Path) -> StaticResult:
    """The model on a data set, beside the student where its bundle is there."""
    place, judged = EVALUATION[data]
    found, read = read_judged(str(shared / "data" / place), Columns())
    assert found == judged
    task = Task(EMBEDS, (), vector_size=1, judged=judged)
    texts = [example.text for example in read.examples]
    own = statistics_of(model.model.encode(texts), read, task)
    student, gain = None, None
    if bundle.is_dir():
        other = student_statistics(bundle, read, task)
        student = metric_record(other, task)
        low, high = difference_interval(paired_rows(other, own), task, CONFIDENCE)
        gain = IntervalRecord(value=student.value - task.metric(own), low=low, high=high)
    return StaticResult(
        data=data,
        budget_bytes=budget,
        shipped_bytes=model.shipped_bytes,
        rows=model.rows,
        numbers=model.numbers,
        metric=metric_record(own, task),
        student=student,
        gain=gain,
        versions={name: version(name) for name in ("model2vec", "torch", "transformers")},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def static_table(results: Sequence[StaticResult]) -> str:
    """Markdown: a row for each data set and budget."""
    header = ["data", "budget", "static: bytes", "rows × numbers", "metric (95 %)", "edgepack's student"]
    rows = [[*header, "student less static, points (95 %)"]]
    for r in sorted(results, key=lambda r: (list(EVALUATION).index(r.data), -r.budget_bytes)):
        metric = f"{r.metric.value:.4f} ({r.metric.low:.4f} to {r.metric.high:.4f})"
        row = [r.data, format_size(r.budget_bytes), f"{r.shipped_bytes:,}", f"{r.rows:,} × {r.numbers}", metric]
        student = "not measured" if r.student is None else f"{r.student.value:.4f}"
        gain = (
            "" if r.gain is None else f"{100 * r.gain.value:+.1f} ({100 * r.gain.low:+.1f} to {100 * r.gain.high:+.1f})"
        )
        rows.append([*row, student, gain])
    return markdown_table(rows)


def main(arguments: Sequence[str]) -> None:
    """Make and measure what is left, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks static-embeddings", description=main.__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="folder with models/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="where `benchmarks kinds` made its bundles")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--budgets", nargs="+", type=size_option, default=list(BUDGETS))
    parser.add_argument("--effort", default="standard", help="of the students' builds")
    parser.add_argument("--again", nargs="+", default=[], metavar="KEY", help="forget these results")
    options = parser.parse_args(arguments)
    store = Store(options.results / NAME)
    store.forget(options.again)
    logging.getLogger("model2vec").setLevel(logging.ERROR)
    place, asset = options.work.resolve() / NAME, 0
    for budget in options.budgets:
        keys = {data: f"{data}-{format_size(budget).replace(' ', '')}".lower() for data in EVALUATION}
        left = [data for data, key in keys.items() if not store.has(key)]
        if not left:
            continue
        print(f"{format_size(budget)}: {', '.join(left)}", file=sys.stderr, flush=True)
        asset = asset or distil(options.shared.resolve() / BASE, place)
        model = static_model(place, asset, budget)
        run = f"{EMBEDS}-{budget // 1_000_000}MB-{options.effort}-default-seed0"
        bundle = options.work.resolve() / KINDS / run / "bundles" / "android-onnx"
        for data in left:
            store.save(keys[data], measure(model, budget, data, options.shared.resolve(), bundle))
    table = static_table(list(store.load_all(StaticResult).values()))
    if options.results == RESULTS:
        write_table(PAGE, NAME, table)
    print(table)
