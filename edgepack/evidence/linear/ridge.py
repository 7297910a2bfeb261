"""Ridge regression of scores on hashed n-grams (Hoerl and Kennard 1970, Technometrics 12:55-67).

    minimize  Σ (score − intercept − row · weights)² + penalty · |weights|²

by conjugate gradients on the sparse rows, which is the same for the same data. The penalty is the one whose squared
error is least on tenths of the training data, held out one after another. Of a reranker the scores are what candidates
are worth: each pair is an example, and that some share a query is not looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.evidence.linear.features import NEED
from edgepack.machine.extras import import_package

PENALTIES = (0.3, 1.0, 3.0, 10.0)
MOST_TRIED, ROUNDS = 12_000, 3
TOLERANCE, ITERATIONS = 1e-3, 200


def choose_penalty(rows: Any, scores: np.ndarray, seed: int) -> float:
    """Of `PENALTIES` the one with the least squared error on what is held out."""
    order = np.random.default_rng(seed).permutation(len(scores))[:MOST_TRIED]
    part, errors = len(order) // 10, np.zeros(len(PENALTIES))
    for start in range(0, ROUNDS * part, max(part, 1)):
        judged, learnt = order[start : start + part], np.delete(order, slice(start, start + part))
        for number, penalty in enumerate(PENALTIES):
            weights, intercept = fit_ridge(rows[learnt], scores[learnt], penalty)
            errors[number] += float(((rows[judged] @ weights + intercept - scores[judged]) ** 2).sum())
    return PENALTIES[int(errors.argmin())] if part else 1.0


def fit_ridge(rows: Any, scores: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Weights `(buckets,)` and the intercept, in the units of the scores `(n,)`."""
    scale = float(scores.std()) or 1.0  # solved for scores of variance 1: the tolerance is of no unit
    ridge = import_package("sklearn.linear_model", NEED).Ridge
    solver = ridge(alpha=penalty, solver="sparse_cg", tol=TOLERANCE, max_iter=ITERATIONS)
    solver.fit(rows, (scores - scores.mean()) / scale)
    return solver.coef_ * scale, float(solver.intercept_) * scale + float(scores.mean())
