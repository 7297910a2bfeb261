"""What a bundle records of the data that its student learnt from, so that nobody takes them for evaluation data."""

from __future__ import annotations

from edgepack.bundle.manifest import TrainingRecord
from edgepack.task.checks import check_distinct
from edgepack.task.dataset import Dataset
from edgepack.task.identity import examples_sha256
from edgepack.task.task import Task


def training_record(train: Dataset, evaluation: Dataset, task: Task) -> TrainingRecord | None:
    """The examples by a hash, and how many of the evaluation's stand among them; None of texts to embed."""
    if task.embeds:
        return None
    shared = check_distinct(train, evaluation) / max(1, len(evaluation))
    return TrainingRecord(sha256=examples_sha256(train, task), n=len(train), shared=round(shared, 4))
