"""What the teacher answers on data of the user. It needs torch, so the gate and `predict` import it by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgepack.bundle.manifest import BundleManifest
from edgepack.errors import InputError, shown
from edgepack.inference import predict
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.reading.table import listed
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.teacher import Teacher, load_teacher


def teacher_statistics(source: str, manifest: BundleManifest, task: Task, data: Dataset) -> np.ndarray:
    """Per-example statistics of the teacher at `source`, which has to be the bundle's.

    Of label sets by the thresholds that the build found for it. `task`: the bundle's, as the data measure it.
    """
    teacher = _same_teacher(source, manifest, task)
    logits, encoded = _answers(teacher, manifest, task, data)
    if task.embeds:
        return task.statistics(logits, encoded)
    return replace(teacher.task, thresholds=tuple(manifest.teacher.thresholds or ())).statistics(logits, encoded)


def teacher_vectors(source: str, manifest: BundleManifest, task: Task, data: Dataset) -> np.ndarray:
    """Vectors of the data's texts by the teacher at `source`, which has to be the bundle's."""
    return _answers(_same_teacher(source, manifest, task), manifest, task, data)[0]


def teacher_logits(source: str, manifest: BundleManifest, task: Task, data: Dataset) -> tuple[np.ndarray, Encoded, str]:
    """Flat logits of the teacher at `source` with their encoding, and its hash; it must have the task's labels."""
    teacher = _teacher_of(source, manifest, task)
    if teacher.task.problem != task.problem:
        raise InputError(
            f"teacher {source} is of {teacher.task.problem}, the bundle of {task.problem}; give the teacher that the "
            "bundle was made from"
        )
    if teacher.task.labels != task.labels:
        raise InputError(
            f"teacher {source} answers {listed(teacher.task.labels)}, the bundle {listed(task.labels)}; give the "
            "teacher that the bundle was made from, or one with the same labels in the same order"
        )
    logits, encoded = _answers(teacher, manifest, task, data)
    return logits, task.referenced(encoded, logits), teacher.sha256


def _same_teacher(source: str, manifest: BundleManifest, task: Task) -> Teacher:
    """The teacher at `source`; `InputError` where it is another one than the bundle's."""
    teacher, sha256 = _teacher_of(source, manifest, task), manifest.teacher.sha256
    if teacher.sha256 != sha256:
        raise InputError(
            f"teacher {source} is not the one that the bundle was made from: its sha256 is {teacher.sha256}, "
            f"recorded is {shown(sha256)}; give the folder of that teacher"
        )
    return teacher


def _teacher_of(source: str, manifest: BundleManifest, task: Task) -> Teacher:
    """The teacher at `source`, read as the bundle's task says."""
    found = load_teacher(
        source,
        task.name,
        task.pair,
        fallback_problem=task.problem,
        tag_scheme=task.tag_scheme,
        pooling=manifest.vector.pooling if manifest.vector else None,
    )
    return replace(found, task=replace(found.task, ranks=task.ranks)) if found.task.is_score else found


def _answers(teacher: Teacher, manifest: BundleManifest, task: Task, data: Dataset) -> tuple[np.ndarray, Encoded]:
    encoded = encode(data, task if task.embeds else teacher.task, teacher.tokenizer, manifest.teacher_longest)
    return predict(teacher.load_model(), encoded), encoded
