"""What a task is: what it is called, its labels in the order of the teacher's class ids, and its metric."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from edgepack.errors import InputError
from edgepack.task.accuracy import Accuracy
from edgepack.task.encoded import Encoded
from edgepack.task.entity_f1 import EntityF1
from edgepack.task.scoring import Metric, ratio

TaskName = Literal["text-classification", "token-classification"]
TASK_NAMES: tuple[TaskName, ...] = ("text-classification", "token-classification")


@dataclass(frozen=True)
class Task:
    """A classification task; `labels` in the order of the teacher's class ids."""

    name: TaskName
    labels: tuple[str, ...]
    pair: bool = False

    def __post_init__(self) -> None:
        if self.name not in TASK_NAMES:
            raise InputError(f"task is {self.name!r}; allowed: {', '.join(TASK_NAMES)}")
        self.scoring  # noqa: B018 - it checks the labels
        if self.name == "token-classification" and self.pair:
            raise InputError("token classification takes one text, not a pair; leave the pair column out")

    @cached_property
    def scoring(self) -> Metric:
        """How its answers are decided and counted."""
        return Accuracy() if self.name == "text-classification" else EntityF1(self.labels)

    @property
    def metric_name(self) -> str:
        """`accuracy` or `entity_f1`."""
        return self.scoring.name

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids, `(…, C) → (…)` int64."""
        return self.scoring.decide(logits)

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
