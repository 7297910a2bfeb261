"""A model's answers as labels: decisions of examples or words, and what it has right of one class or in one slice.

What the analyses of `classes.py`, `slices.py`, `calibration.py` and `differing.py` are counted from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgepack.evidence.forms import FormLogits
from edgepack.task.entity_f1 import EntityF1
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
        return self.form.encoded.scored

    @cached_property
    def truth(self) -> np.ndarray:
        """Class ids of examples, or of all labelled words; of label sets rows of 0 and 1, `(n, C)`."""
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
        """Labels; of tags of entities, the types."""
        return self.task.class_names

    def class_statistics(self, name: str) -> np.ndarray:
        """(right, answered, true) of one label or entity type in each example, `(n, 3)`."""
        if isinstance(self.task.scoring, EntityF1):
            return self.task.scoring.of_kind(name).statistics(self.form.logits, self.form.encoded)
        number = self.task.labels.index(name)
        if self.task.is_multi_label:
            truth, decided = self.truth[:, number] > 0, self.decided[:, number] > 0
        else:
            truth, decided = self.truth == number, self.decided == number
        hits = (truth & decided, decided, truth)
        counts = [np.bincount(self.owners[hit], minlength=self.n) for hit in hits]
        return np.stack(counts, axis=1).astype(np.int64)
