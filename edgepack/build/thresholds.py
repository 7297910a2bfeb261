"""Thresholds of label sets: the teacher's, on training examples held out for them (`tokens.hold_out`).

Nothing is trained on what is held out, and nothing is measured on it. A teacher that `edgepack finetune` made has its
own thresholds in its config; another gets the best on these examples, which it has perhaps seen in its training. The
student's are found with its rounded weights, so they make up for what rounding shifts.
"""

from __future__ import annotations

from dataclasses import replace

from edgepack.inference import predict
from edgepack.task.encoded import Encoded
from edgepack.task.label_f1 import EVEN
from edgepack.task.task import Task
from edgepack.teacher import Teacher


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
