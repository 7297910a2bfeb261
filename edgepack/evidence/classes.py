"""F1 of every class by both models, and which class is taken for which.

The interval of a difference comes from the paired test of their ratio (`paired_ratio.py`), so a class of five examples
has an honest one. All classes together hold at 95 %: each has 1 − 0.05 / m (Bonferroni).
"""

from __future__ import annotations

import numpy as np

from edgepack.bundle.analysis import ClassScore
from edgepack.evidence.answers import F1, Labelled
from edgepack.evidence.paired_ratio import PairedRows, paired_rows, paired_values, ratio_interval
from edgepack.task.task import Task

MOST_CONFUSED = 60  # labels of a confusion table that can still be looked at
CONFIDENCE = 0.95  # of all intervals together


def class_scores(teacher: Labelled, artifact: Labelled) -> list[ClassScore]:
    """A score for each class that occurs in truth, in the order of the labels."""
    counts = {name: (teacher.class_statistics(name), artifact.class_statistics(name)) for name in teacher.class_names}
    there = {name: pair for name, pair in counts.items() if pair[0][:, 2].any()}
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(there))
    scores = []
    for name, (before, after) in there.items():
        old, new = (F1.metric(statistics) for statistics in (before, after))
        low, high = difference_interval(paired_rows(after, before), F1, confidence)
        n = int(before[:, 2].sum())
        scores.append(ClassScore(label=name or "entity", n=n, teacher=old, artifact=new, low=low, high=high))
    return scores


def difference_interval(rows: PairedRows, task: Task, confidence: float) -> tuple[float, float]:
    """Ends of an interval for artifact less teacher: those of the ratio, times the teacher's metric.

    Where the teacher has nothing right there is no ratio: nothing was lost, and how much was gained is not known.
    """
    teacher = task.metric(rows.teacher, rows.counts)
    if not teacher:
        return 0.0, 1.0
    lower, upper = ratio_interval(paired_values(rows, task), confidence)
    return teacher * (lower - 1), min(teacher * (upper - 1), 1 - teacher)


def confusion(model: Labelled) -> tuple[list[str], list[list[int]]]:
    """Labels and counts, truth by answer; of entities, words by type with O first.

    Empty where labels are many, of label sets, where no answer stands for a label, and of scores.
    """
    if model.task.is_multi_label or model.task.is_score:
        return [], []
    names, classes = list(model.task.labels), np.arange(len(model.task.labels))
    if model.task.finds_entities:
        names = ["O", *model.class_names]
        kinds = [mark.kind for mark in model.task.marks]
        classes = np.array([0 if kind is None else names.index(kind, 1) for kind in kinds])
    if len(names) > MOST_CONFUSED:
        return [], []
    table = np.zeros((len(names), len(names)), np.int64)
    np.add.at(table, (classes[model.truth], classes[model.decided]), 1)
    return names, table.tolist()
