"""Precision, recall and F1 for each class; for tags of entities, for each type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.entity_f1 import EntityF1
from edgepack.task.label_f1 import LabelF1
from edgepack.task.task import Task


@dataclass(frozen=True)
class ClassScore:
    """One class: `n` examples (entities) of it in the data. What is undefined, as a precision of nothing, is 0."""

    label: str
    precision: float
    recall: float
    f1: float
    n: int


def class_scores(task: Task, logits: np.ndarray, encoded: Encoded) -> tuple[ClassScore, ...]:
    """A score for each class in the order of the labels; logits in the flat layout."""
    if isinstance(task.scoring, EntityF1):
        return tuple(_entity_score(task.scoring, kind, logits, encoded) for kind in task.class_names)
    if isinstance(task.scoring, LabelF1):
        sums = task.scoring.label_statistics(logits, encoded).sum(axis=0).tolist()
        return tuple(_score(label, *counts) for label, counts in zip(task.labels, sums, strict=True))
    if task.is_score:
        return ()
    scored, classes = encoded.scored, len(task.labels)
    decided, labels = task.decide(logits)[scored], encoded.labels[scored]
    confusion = np.bincount(labels * classes + decided, minlength=classes**2).reshape(classes, classes)
    counts = zip(task.labels, np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1), strict=True)
    return tuple(_score(label, int(hit), int(predicted), int(gold)) for label, hit, predicted, gold in counts)


def _entity_score(scoring: EntityF1, kind: str, logits: np.ndarray, encoded: Encoded) -> ClassScore:
    """The score of one type: all other types read as O."""
    hit, predicted, gold = scoring.of_kind(kind).statistics(logits, encoded).sum(axis=0).tolist()
    return _score(kind or "entity", hit, predicted, gold)


def _score(label: str, hit: int, predicted: int, gold: int) -> ClassScore:
    def share(of: float) -> float:
        return hit / of if of else 0.0

    return ClassScore(label, share(predicted), share(gold), share((predicted + gold) / 2), gold)
