"""What the teacher answers on data of the user. It needs torch, so the gate and `predict` import it by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.inference import predict
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.reading.table import listed
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.windows import Longest
from edgepack.teacher import Teacher, load_teacher


def teacher_statistics(
    source: str, task: Task, data: Dataset, longest: Longest, sha256: str, thresholds: tuple[float, ...] = ()
) -> np.ndarray:
    """Per-example statistics of the teacher at `source`, which has to be the one with this hash.

    `thresholds`: of label sets, those that the build found for it.
    """
    teacher = _same_teacher(source, task, sha256)
    logits, encoded = _answers(teacher, task, data, longest)
    if task.embeds:
        return task.statistics(logits, encoded)
    return replace(teacher.task, thresholds=thresholds).statistics(logits, encoded)


def teacher_vectors(source: str, task: Task, data: Dataset, longest: Longest, sha256: str) -> np.ndarray:
    """Vectors of the data's texts by the teacher at `source`, which has to be the one with this hash."""
    return _answers(_same_teacher(source, task, sha256), task, data, longest)[0]


def teacher_logits(source: str, task: Task, data: Dataset, longest: Longest) -> tuple[np.ndarray, Encoded, str]:
    """Flat logits of the teacher at `source` with their encoding, and its hash; it must have the task's labels."""
    teacher = _teacher_of(source, task)
    if teacher.task.labels != task.labels:
        raise InputError(
            f"teacher {source} answers {listed(teacher.task.labels)}, the bundle {listed(task.labels)}; give the "
            "teacher that the bundle was made from, or one with the same labels in the same order"
        )
    logits, encoded = _answers(teacher, task, data, longest)
    return logits, task.referenced(encoded, logits), teacher.sha256


def _same_teacher(source: str, task: Task, sha256: str) -> Teacher:
    """The teacher at `source`; `InputError` where it is another one than the bundle's."""
    teacher = _teacher_of(source, task)
    if teacher.sha256 != sha256:
        raise InputError(
            f"teacher {source} is not the one that the bundle was made from: its sha256 is {teacher.sha256}, "
            f"recorded is {shown(sha256)}; give the folder of that teacher"
        )
    return teacher


def _teacher_of(source: str, task: Task) -> Teacher:
    """The teacher at `source`, read as the bundle's task says."""
    found = load_teacher(source, task.name, task.pair, fallback_problem=task.problem, tag_scheme=task.tag_scheme)
    return replace(found, task=replace(found.task, ranks=task.ranks)) if found.task.is_score else found


def _answers(teacher: Teacher, task: Task, data: Dataset, longest: Longest) -> tuple[np.ndarray, Encoded]:
    encoded = encode(data, task if task.embeds else teacher.task, teacher.tokenizer, longest)
    return predict(teacher.load_model(), encoded), encoded
