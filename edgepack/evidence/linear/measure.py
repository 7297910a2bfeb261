"""The linear model of a build, trained and measured on the build's own data, from the file that it would ship."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from edgepack.bundle.manifest import LinearRecord
from edgepack.errors import InputError
from edgepack.evidence.linear.model import read_linear
from edgepack.evidence.linear.tag_model import read_tagger
from edgepack.evidence.linear.tag_statistics import tag_statistics
from edgepack.evidence.linear.tagging import train_tagger
from edgepack.evidence.linear.training import train_linear
from edgepack.evidence.validate import metric_record
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task
from edgepack.task.tokenize import query_numbers

NO_VECTORS = "none for vectors: a linear model of n-grams labels texts"


@dataclass(frozen=True, eq=False)
class LinearResult:
    """A file with its record and what it has right `(n,)`; if none, `reason` says why.

    `right` are the statistics of the metric where an example is not right or wrong: of label sets, scores and tags.
    `tags`: the class ids of all words of the evaluation data.
    """

    record: LinearRecord | None
    reason: str
    seconds: float
    data: bytes = b""
    right: np.ndarray | None = None
    tags: np.ndarray | None = None


def why_none(task: Task) -> LinearResult | None:
    """The reason, for a task that there is no linear model of."""
    return LinearResult(None, NO_VECTORS, 0.0) if task.embeds else None


def measure_linear(train: Dataset, evaluation: Dataset, task: Task, budget_bytes: int, seed: int = 0) -> LinearResult:
    """Train within the budget and measure; what makes a linear model impossible is a reason, not an error."""
    started = time.perf_counter()
    none = why_none(task)
    if none is not None:
        return none
    try:
        if task.is_tagging:
            return _tagger(train, evaluation, task, budget_bytes, seed, started)
        model, trained = train_linear(train, task, budget_bytes, seed)
    except InputError as e:
        return LinearResult(None, f"none: {e}", time.perf_counter() - started)
    data = model.to_bytes()
    logits = np.maximum(read_linear(data).logits(evaluation.examples), np.finfo(np.float32).min)
    # a label is answered where its support vectors say so: at 0, which is 0.5; a score is what ridge regression gives
    own = replace(task, thresholds=(), activation="identity")
    statistics = own.statistics(logits, labels_of(evaluation, task))
    record = LinearRecord(
        bytes=len(data), metric=metric_record(statistics, task), features=model.features.name, trained=trained
    )
    right = statistics if task.is_multi_label or task.is_score else statistics[:, 0].astype(bool)
    return LinearResult(record, "", time.perf_counter() - started, data, right)


def _tagger(
    train: Dataset, evaluation: Dataset, task: Task, budget_bytes: int, seed: int, started: float
) -> LinearResult:
    """The same for tags, on all words of the evaluation data."""
    model, trained = train_tagger(train, task, budget_bytes, seed)
    data = model.to_bytes()
    tags = read_tagger(data).tags(evaluation.examples)
    statistics = tag_statistics(tags, evaluation.examples, task)
    record = LinearRecord(
        bytes=len(data), metric=metric_record(statistics, task), features=model.features.name, trained=trained
    )
    return LinearResult(record, "", time.perf_counter() - started, data, statistics, tags)


def labels_of(data: Dataset, task: Task) -> Encoded:
    """A data set's labels, with one token for each text: what a metric of whole texts looks at."""
    labels, n = task.label_rows([example.label for example in data.examples]), len(data)
    groups = query_numbers(data) if task.ranks else None
    return Encoded(np.zeros(n, np.int32), np.zeros(n, np.int8), np.arange(n + 1), labels, groups)
