"""What the teacher answers on data that the gate was given. It needs torch, so the gate imports it by name."""

from __future__ import annotations

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.inference import predict
from edgepack.task.dataset import Dataset
from edgepack.task.metric import Task
from edgepack.task.tokenize import encode
from edgepack.teacher import load_teacher


def teacher_statistics(source: str, task: Task, data: Dataset, max_length: int, sha256: str) -> np.ndarray:
    """Per-example statistics of the teacher at `source`, which has to be the one with this hash."""
    teacher = load_teacher(source, task.name, task.pair)
    if teacher.sha256 != sha256:
        raise InputError(
            f"teacher {source} is not the one that the bundle was made from: its sha256 is {teacher.sha256}, "
            f"recorded is {shown(sha256)}; give the folder of that teacher"
        )
    encoded = encode(data, teacher.task, teacher.tokenizer, max_length)
    return teacher.task.statistics(predict(teacher.load_model(), encoded), encoded)
