"""Whether data and teacher mean the same by a score: in which direction it goes, and on which scale.

A scale that is turned round (a distance instead of a similarity) is silent: a student would learn from the teacher, and
every figure be 0. The sign is a correlation below 0, by more than chance; correlations are compared on Fisher's scale
(1921), on which their error depends on the number of examples alone. Another scale, 0 to 5 for 0 to 1, is only said:
correlation and rankings do not see it, the mean error does.
"""

from __future__ import annotations

import math

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.ranking import pearson
from edgepack.task.task import Task

CERTAIN = 3.1  # standard errors: 1 in 1,000 by chance
LEAST = 0.1  # correlation of a teacher that has learnt anything
WIDER = 3.0  # times, by which spreads may differ and be of one scale


def correlation(task: Task, logits: np.ndarray, encoded: Encoded) -> float:
    """Of the teacher's scores with the data's, from −1 to 1."""
    return float(pearson(task.decide(logits), encoded.labels))


def least_correlation(n: int) -> float:
    """What a teacher has to have on `n` examples: more than chance gives one that was never trained."""
    return max(LEAST, math.tanh(CERTAIN / math.sqrt(max(n - 3, 1))))


def score_problem(
    task: Task, train: tuple[np.ndarray, Encoded], evaluation: tuple[np.ndarray, Encoded], source: str
) -> str | None:
    """What is wrong between scores and teacher, in one line, if anything; `source` names the training data."""
    found = []
    for (logits, encoded), which in ((evaluation, "evaluation data"), (train, f"training data ({source})")):
        r, n = correlation(task, logits, encoded), len(encoded)
        found.append((_fisher(r), n, r))
        if _fisher(r) * math.sqrt(max(n - 3, 0)) < -CERTAIN:
            return (
                f"{which}: its scores fall where the teacher's rise (correlation {r:.2f} on {n} examples); one of the "
                "two scales is turned round, as a distance is for a similarity"
            )
    (known, n, r), (seen, m, on_train) = found
    if n > 3 and m > 3 and 2 * on_train < r and (known - seen) / math.sqrt(1 / (n - 3) + 1 / (m - 3)) > CERTAIN:
        return (
            f"training data ({source}): the teacher's scores and its own have the correlation {on_train:.2f}, on the "
            f"evaluation data {r:.2f}"
        )
    return None


def scale_note(task: Task, logits: np.ndarray, encoded: Encoded) -> str | None:
    """That the data's scores are on another scale than the teacher's, if they are; of rankings nobody compares them."""
    if task.ranks:
        return None
    own, truth = task.decide(logits), encoded.labels
    spread, wanted = float(own.std()), float(truth.std())
    far = abs(float(own.mean() - truth.mean())) > wanted
    if not far and wanted <= WIDER * spread and spread <= WIDER * wanted:
        return None
    return (
        f"the data's scores go from {truth.min():g} to {truth.max():g}, the teacher's from {own.min():.3g} to "
        f"{own.max():.3g}: another scale, which correlation does not see and the mean absolute error does"
    )


def _fisher(r: float) -> float:
    return math.atanh(max(-0.999999, min(0.999999, r)))
