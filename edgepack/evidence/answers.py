"""A model's answers as labels: decisions of examples or words, and what it has right of one class or in one slice.

What the analyses of `classes.py`, `slices.py`, `calibration.py` and `differing.py` are counted from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgepack.evidence.forms import FormLogits
from edgepack.task.encoded import IGNORED
from edgepack.task.task import Task

F1 = Task("token-classification", ("O", "B-class", "I-class"))  # a metric of (right, answered, true) of anything


@dataclass(frozen=True, eq=False)
class Labelled:
    """One form of the model with the task that it answers."""

    form: FormLogits
    task: Task

    @cached_property
    def scored(self) -> np.ndarray:
        """At which rows of the logits a label stands."""
        return self.form.encoded.labels != IGNORED

    @cached_property
    def truth(self) -> np.ndarray:
        """Class ids of examples, or of all labelled words."""
        return self.form.encoded.labels[self.scored]

    @cached_property
    def decided(self) -> np.ndarray:
        """What the model says of the same."""
        return self.task.decide(self.form.logits)[self.scored]

    @cached_property
    def owners(self) -> np.ndarray:
        """The example that each of them belongs to."""
        return self.form.encoded.label_examples[self.scored]

    @cached_property
    def statistics(self) -> np.ndarray:
        """`(n, k)`, of the task's own metric."""
        return self.task.statistics(self.form.logits, self.form.encoded)

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.form.encoded)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Labels; of tags, the entity types."""
        if self.task.name == "text-classification":
            return self.task.labels
        return tuple(dict.fromkeys(label[2:] for label in self.task.labels if label != "O"))

    def class_statistics(self, name: str) -> np.ndarray:
        """(right, answered, true) of one label or entity type in each example, `(n, 3)`."""
        if self.task.name == "text-classification":
            number = self.task.labels.index(name)
            truth, decided = self.truth == number, self.decided == number
            return np.stack([truth & decided, decided, truth], axis=1).astype(np.int64)
        outside = self.task.labels.index("O") if "O" in self.task.labels else None
        others = [i for i, label in enumerate(self.task.labels) if label[2:] != name or label == "O"]
        if outside is None or not others:
            return self.statistics
        numbers = np.arange(len(self.task.labels))
        numbers[others] = outside
        encoded = self.form.encoded
        labels = np.where(encoded.labels == IGNORED, IGNORED, numbers[np.maximum(encoded.labels, 0)])
        logits = np.eye(len(numbers), dtype=np.float32)[numbers[self.task.decide(self.form.logits)]]
        return self.task.statistics(logits, replace(encoded, labels=labels))
