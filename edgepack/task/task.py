"""What a task is: what it is called, its labels in the order of the teacher's class ids, and its metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from edgepack.errors import InputError
from edgepack.task.accuracy import Accuracy
from edgepack.task.encoded import Encoded
from edgepack.task.entity_f1 import EntityF1
from edgepack.task.label_f1 import LabelF1, find_thresholds
from edgepack.task.scoring import MULTI_LABEL, PROBLEMS, SINGLE_LABEL, Metric, Problem, ratio

TaskName = Literal["text-classification", "token-classification"]
TASK_NAMES: tuple[TaskName, ...] = ("text-classification", "token-classification")
NO_LABELS = "none"  # how an empty set of labels is shown


@dataclass(frozen=True)
class Task:
    """A classification task; `labels` in the order of the teacher's class ids.

    `thresholds`: of label sets, the probability from which on each label is answered; empty: 0.5 for each.
    """

    name: TaskName
    labels: tuple[str, ...]
    pair: bool = False
    problem: Problem = SINGLE_LABEL
    thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in TASK_NAMES:
            raise InputError(f"task is {self.name!r}; allowed: {', '.join(TASK_NAMES)}")
        if self.problem not in PROBLEMS:
            raise InputError(f"problem is {self.problem!r}; allowed: {', '.join(PROBLEMS)}")
        self.scoring  # noqa: B018 - it checks the labels
        if self.name == "token-classification" and self.pair:
            raise InputError("token classification takes one text, not a pair; leave the pair column out")
        if self.name == "token-classification" and self.problem != SINGLE_LABEL:
            raise InputError(f"token classification has one tag for each word; problem is {self.problem}")
        if self.thresholds and not self.has_thresholds:
            raise InputError(
                f"{len(self.thresholds)} thresholds for {len(self.labels)} labels of {self.problem}; one above 0 and "
                f"below 1 for each label of {MULTI_LABEL} is needed"
            )

    @property
    def is_multi_label(self) -> bool:
        """Whether a text has a set of labels, which may be empty."""
        return self.problem == MULTI_LABEL

    @property
    def has_thresholds(self) -> bool:
        """Whether there is a possible threshold for each label."""
        return (
            self.is_multi_label
            and len(self.thresholds) == len(self.labels)
            and all(0 < each < 1 for each in self.thresholds)
        )

    @cached_property
    def scoring(self) -> Metric:
        """How its answers are decided and counted."""
        if self.name == "token-classification":
            return EntityF1(self.labels)
        return LabelF1(len(self.labels), self.thresholds) if self.is_multi_label else Accuracy(len(self.labels))

    @property
    def metric_name(self) -> str:
        """`accuracy`, `micro_f1` or `entity_f1`."""
        return self.scoring.name

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids, `(…, C) → (…)` int64; of label sets 1 for each label that is answered, `(…, C)`."""
        return self.scoring.decide(logits)

    def with_thresholds(self, logits: np.ndarray, encoded: Encoded) -> Task:
        """The task with thresholds found on these examples, on which nothing is measured; another task as it is."""
        if not self.is_multi_label:
            return self
        return replace(self, thresholds=find_thresholds(logits, encoded.labels))

    def names(self, decided: np.ndarray) -> tuple[str, ...]:
        """The labels of one decision about a text, or the tags of decisions about words."""
        ids = np.flatnonzero(decided) if self.is_multi_label else np.atleast_1d(decided)
        return tuple(self.labels[i] for i in ids)

    def shown(self, decided: np.ndarray) -> str:
        """The same for a person."""
        names = self.names(decided)
        return (", ".join(names) or NO_LABELS) if self.is_multi_label else " ".join(names)

    def label_rows(self, labels: Sequence[Any]) -> np.ndarray:
        """Labels of whole texts, as `Example` has them, as `Encoded` has them."""
        return self.scoring.label_rows(labels)

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """Per-example counts `(n, k)` int64 that `metric` is a function of; logits in the flat layout."""
        if len(logits) != len(encoded.labels):
            raise ValueError(f"{len(logits)} rows of logits for {len(encoded.labels)} labels")
        return self.scoring.statistics(logits, encoded)

    def metric(self, sums: np.ndarray) -> np.ndarray:
        """The metric of summed statistics, `(…, k) → (…)` float64; 0 where it is undefined."""
        return ratio(*self.metric_parts(sums))

    def metric_parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the metric is the ratio of, `(…, k) → (…)` float64 each; both are sums over examples."""
        return self.scoring.parts(np.asarray(statistics, dtype=np.float64))

    def nothing_right(self, statistics: np.ndarray) -> np.ndarray:
        """The statistics of a model whose answers are as many and all wrong."""
        changed = statistics.copy()
        changed[..., 0] = 0
        return changed

    def score(self, logits: np.ndarray, encoded: Encoded) -> float:
        """The metric of a whole data set; logits in the flat layout."""
        return float(self.metric(self.statistics(logits, encoded).sum(axis=0)))
