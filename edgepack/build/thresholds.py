"""Thresholds of label sets: the training examples held out for them, the teacher's and the student's.

Nothing is trained on what is held out, and nothing is measured on it. A teacher that `edgepack finetune` made has its
own thresholds in its config; another gets the best on these examples, which it has perhaps seen in its training. The
student's are found with its rounded weights, so they make up for what rounding shifts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgepack.inference import predict
from edgepack.task.encoded import Encoded
from edgepack.task.label_f1 import EVEN
from edgepack.task.task import Task
from edgepack.teacher import Teacher

SHARE, MOST = 0.1, 4_000  # of the training examples; more would hardly move a threshold
FEWEST = 100  # training examples: of fewer none is held out, and each threshold is 0.5
SEED = 0  # the same examples for every build of the data


def hold_out(train: Encoded, task: Task) -> tuple[Encoded, Encoded | None]:
    """The examples to train on, and those for thresholds; None for a task without these, and of few examples."""
    if not task.is_multi_label or len(train) < FEWEST:
        return train, None
    order = np.random.default_rng(SEED).permutation(len(train))
    count = min(MOST, round(SHARE * len(train)))
    return train.select(np.sort(order[count:])), train.select(np.sort(order[:count]))


def with_thresholds(teacher: Teacher, held_out: Encoded | None) -> Teacher:
    """The teacher with its own thresholds, or the best on the examples held out."""
    if not teacher.task.is_multi_label or teacher.task.thresholds:
        return teacher
    if held_out is None:
        return replace(teacher, task=evenly(teacher.task))
    return replace(teacher, task=teacher.task.with_thresholds(predict(teacher.load_model(), held_out), held_out))


def evenly(task: Task) -> Task:
    """The task with 0.5 for each label."""
    return replace(task, thresholds=(EVEN,) * len(task.labels)) if task.is_multi_label else task
