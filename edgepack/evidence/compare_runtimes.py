"""How far the same student's artifacts agree with each other: a row for each pair of runtimes.

Each artifact is compared with the torch model by `validate.py`; here with each other, over the whole evaluation
set, since an app on two systems should decide alike. Of targets that share a runtime the first one stands
for all. Differences are those of sums in another order, which tip an activation over a rounding step now and then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from edgepack.bundle.record import Record
from edgepack.evidence.forms import FormLogits, compare
from edgepack.target import Target
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task

LOGITS_NAME = "logits.npy"  # of a validation, in the layout of `Encoded.labels`


class RuntimePair(Record):
    """Two targets' logits on the same examples, and the metric that each gives."""

    targets: tuple[str, str]
    runtimes: tuple[str, str]
    max_abs: float
    relative_error: float  # ‖a − b‖₂ / ‖b‖₂
    agreement: float  # share of equal labels
    metrics: tuple[float, float]


def compare_runtimes(
    targets: Sequence[Target], logits: Mapping[str, np.ndarray], encoded: Encoded, task: Task
) -> list[RuntimePair]:
    """A row for each pair of runtimes, in the targets' order; `logits` by target, only those that were run."""
    first: dict[str, Target] = {}
    for target in targets:
        if target.name in logits:
            first.setdefault(target.runtime, target)
    return [_pair(a, b, logits[a.name], logits[b.name], encoded, task) for a, b in combinations(first.values(), 2)]


def _pair(a: Target, b: Target, left: np.ndarray, right: np.ndarray, encoded: Encoded, task: Task) -> RuntimePair:
    first, second = (task.score(side, encoded) for side in (left, right))
    forms = [FormLogits(t.name, side, encoded, task.scoring) for t, side in ((a, left), (b, right))]
    parity = compare(forms[0], forms[1], first)
    return RuntimePair(
        targets=(a.name, b.name),
        runtimes=(a.runtime, b.runtime),
        max_abs=parity.max_abs,
        relative_error=parity.relative_error,
        agreement=parity.agreement,
        metrics=(first, second),
    )
