"""The forms of one model, and how far the logits of one are from those of another.

    teacher → student (fp32 torch) → quantized (the same, rounding) → artifact (its runtime, batch 1)

Neighbours are compared over the whole evaluation set: the largest and the mean difference, the relative error, the
share of equal labels. Nothing here runs a model, so a gate and another CPU's comparison need no torch.

The limits judge `artifact` against `quantized`, which compute the same formula: agreement at least 0.99, relative
error at most 0.05. The two differ where sums of another order tip an activation over a rounding step: 0.009 to 0.018
was measured for two 6-layer teachers at 8 and 4 bits in ONNX Runtime and PyTorch Lite, with agreement 0.995 to 1.
A wrong scale, a transposed weight or a lost bias moves logits by far more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from edgepack.bundle.manifest import MetricRecord
from edgepack.bundle.verdict import Check, FormParity, limit_check
from edgepack.task.accuracy import Accuracy
from edgepack.task.encoded import Encoded
from edgepack.task.scoring import Metric
from edgepack.task.task import Task

MIN_AGREEMENT, MAX_RELATIVE_ERROR = 0.99, 0.05


@dataclass(frozen=True, eq=False)
class FormLogits:
    """Flat logits of one form with the encoding that they belong to (a trimmed vocabulary has its own).

    `scoring` decides by them: the largest logit, or thresholds, which teacher and student have of their own.
    """

    name: str
    logits: np.ndarray
    encoded: Encoded
    scoring: Metric = field(default_factory=Accuracy)

    @property
    def statistics(self) -> np.ndarray:
        """What its answers have right, `(n, k)`."""
        return self.scoring.statistics(self.logits, self.encoded)

    def read(self, task: Task) -> FormLogits:
        """With the logits that `task` decides by, and its scoring: what a model gives goes through it once."""
        return replace(self, logits=task.read(self.logits, self.encoded), scoring=task.scoring)

    def scored(self) -> np.ndarray:
        """Rows that a label stands at: `(examples or labelled tokens, C)`."""
        return self.logits[self.encoded.scored]


@dataclass(frozen=True, eq=False)
class Both:
    """What two forms both score, in one order: logits `(d, C)` of `d` examples or labelled words.

    `owners (d,)`: the example of each; `kept`: which of the rows that `after` scores they are.
    """

    after: np.ndarray
    before: np.ndarray
    owners: np.ndarray
    kept: np.ndarray
    scorings: tuple[Metric, Metric]  # of `after` and of `before`

    @property
    def differs(self) -> np.ndarray:
        """Where the two decide otherwise `(d,)`; of label sets where any label, of scores where they are far apart."""
        differing = self.labels_differ
        return np.asarray(differing if differing.ndim == 1 else differing.any(axis=1))

    @property
    def labels_differ(self) -> np.ndarray:
        """The same; of label sets for each label, `(d, C)`."""
        after, before = (
            scoring.decide(logits) for scoring, logits in zip(self.scorings, (self.after, self.before), strict=True)
        )
        return self.scorings[0].differ(after, before)

    @property
    def divergences(self) -> np.ndarray:
        """KL(before ‖ after) of each decision, in nats."""
        return self.scorings[0].divergences(self.after, self.before)


def pair_decisions(after: FormLogits, before: FormLogits) -> Both:
    """The decisions of both.

    Truncation takes the last words of an example, and another number of them where the vocabularies differ.
    """
    owners = [e.label_examples[e.scored] for e in (after.encoded, before.encoded)]
    fewest = np.minimum(*(np.bincount(owner, minlength=len(after.encoded)) for owner in owners))
    ranks = [np.arange(len(owner)) - np.searchsorted(owner, owner) for owner in owners]  # within its example
    kept = [rank < fewest[owner] for rank, owner in zip(ranks, owners, strict=True)]
    scorings = (after.scoring, before.scoring)
    return Both(after.scored()[kept[0]], before.scored()[kept[1]], owners[0][kept[0]], kept[0], scorings)


def agreement(after: FormLogits, before: FormLogits) -> float:
    """Share of equal decisions."""
    return float((~pair_decisions(after, before).differs).mean())


def divergence(after: FormLogits, before: FormLogits) -> float:
    """Mean KL(before ‖ after) of a decision's probabilities, in nats; it sees what a metric on few examples cannot."""
    return float(pair_decisions(after, before).divergences.mean())


def compare(after: FormLogits, before: FormLogits, metric: float) -> FormParity:
    """How far the logits of one form are from those of the form before; `metric` is what the first one's give.

    Agreement of label sets is that of each label: of a text with many labels, rounding tips one now and then.
    """
    both = pair_decisions(after, before)
    a, b = both.after.astype(np.float64), both.before.astype(np.float64)
    error = np.abs(a - b)
    norm = float(np.linalg.norm(b))
    return FormParity(
        name=after.name,
        before=before.name,
        max_abs=float(error.max()),
        mean_abs=float(error.mean()),
        relative_error=float(np.linalg.norm(a - b)) / norm if norm else float(error.max() > 0),
        agreement=float((~both.labels_differ).mean()),
        metric=metric,
    )


def compare_neighbours(forms: Sequence[FormLogits], metrics: Mapping[str, MetricRecord]) -> list[FormParity]:
    """Each form but the first, compared with the one before it."""
    return [compare(after, before, metrics[after.name].value) for before, after in pairwise(forms)]


def parity_check(exported: FormParity) -> Check:
    """Whether the artifact computes what the quantized torch model does."""
    agreed = limit_check("parity", exported.agreement, MIN_AGREEMENT, False, "agreement with the quantized model")
    if agreed.status == "failed":
        return agreed
    close = limit_check("parity", exported.relative_error, MAX_RELATIVE_ERROR, True, "relative error of the logits")
    return close if close.status == "failed" else agreed
