"""A build of a model that embeds texts: when one is meant, and what its teacher answers.

No label is read for training: the teacher's vectors are all that a student learns. What it is measured by follows from
the evaluation data (`task/vector_data.py`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.inference import predict
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Columns, refuse_classes
from edgepack.task.intervals import Interval, metric_interval
from edgepack.task.similarity import EMBEDS
from edgepack.task.vector_data import has_labels
from edgepack.teacher import Teacher, check_teacher
from edgepack.teacher.embedding import has_modules

OBSERVED = {"pairs": "pairs", "queries": "queries", "teacher": "texts", None: "texts"}


def wants_vectors(task: str | None, teacher: str, train: str, columns: Columns) -> bool:
    """Whether the teacher is to embed: the user says so, or its folder does and the training data have no labels."""
    if task is not None:
        return task == EMBEDS
    folder = Path(teacher)
    return folder.is_dir() and has_modules(folder) and not has_labels(train, columns)


def refuse_other_options(tag_scheme: str | None, long_texts: str | None, columns: Columns) -> None:
    """`InputError` for what a build of vectors does not do."""
    if tag_scheme is not None:
        raise InputError(f"--tag-scheme goes with tagged words; a teacher of {EMBEDS} has no tags: leave it out")
    if long_texts == "windows":
        raise InputError(
            f"--long-texts windows with {EMBEDS} is not supported: one vector is of one input; leave it out"
        )
    refuse_classes(columns)


def ask_for_vectors(
    teacher: Teacher, evaluation: Encoded, allow_untrained: bool, console: Console
) -> tuple[np.ndarray, Interval]:
    """The teacher's vectors of the evaluation texts, and its metric there."""
    task = teacher.task
    with console.progress("check", len(evaluation)) as advance:
        vectors = predict(teacher.load_model(), evaluation, advance=advance)
    referenced = task.referenced(evaluation, vectors)
    check_teacher(teacher, referenced, vectors, allow_untrained)
    statistics = task.statistics(vectors, referenced)
    metric = metric_interval(statistics, task)
    console.info(f"teacher {task.metric_name} {metric.value:.4f} on {len(statistics)} {OBSERVED[task.judged]}")
    return vectors, metric
