"""Rank correlation, and how good a ranking of documents is: Spearman, nDCG@k and recall@k, with ties counted fairly.

Equal values share the mean of their ranks, and equal scores the mean of their gains (McSherry and Najork 2008,
"Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores"), so that a model
which answers everything alike gains nothing from the order of a file. nDCG takes gains as they are, as trec_eval does
(Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", with log2 of the rank plus 1).

A bootstrap draws examples again; `counts` says how often each one was drawn, so that a thousand draws are one call.
"""

from __future__ import annotations

import numpy as np

CONSTANT = 1e-12  # variance of places, of which the largest is 1 / 12: below is rounding


def ranks(values: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Ranks from 1 on, `(n,) → (n,)` float64; equal values share the mean of theirs.

    `counts` `(…, n)`: how often each value is there; then `(…, n)`, the ranks among all of them. The rank of a value
    that is not there (0) is where it would stand.
    """
    values = np.asarray(values)
    _, places = np.unique(values, return_inverse=True)
    times = np.ones(len(values)) if counts is None else np.asarray(counts, dtype=np.float64)
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    each = np.add.reduceat(times[..., order], starts, axis=-1) if len(values) else times
    below = np.cumsum(each, axis=-1) - each
    return np.asarray((below + (each + 1) / 2)[..., places])


def pearson(first: np.ndarray, second: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Linear correlation along the last axis, `(…, n) → (…)` float64; 0 where a side is constant.

    `counts` `(…, n)`: how often each pair of values is there.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    times = np.ones(a.shape[-1]) if counts is None else np.asarray(counts, dtype=np.float64)
    total = np.maximum(times.sum(axis=-1, keepdims=True), 1)
    a = a - (times * a).sum(axis=-1, keepdims=True) / total
    b = b - (times * b).sum(axis=-1, keepdims=True) / total
    product = (times * a * b).sum(axis=-1)
    size = np.sqrt((times * a * a).sum(axis=-1)) * np.sqrt((times * b * b).sum(axis=-1))
    quotient = np.zeros(np.shape(product))
    # a constant side is not exactly its own mean in floating point: its deviations are rounding
    scale = np.sqrt(np.finfo(np.float64).tiny)
    np.divide(product, size, out=quotient, where=size > scale)
    return np.asarray(np.clip(quotient, -1, 1))


def spearman(first: np.ndarray, second: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Correlation of ranks of `(n,)` and `(n,)`, in -1..1; 0 where a side is constant.

    `counts` `(…, n)`: how often each pair of values is there, for `(…)` correlations at once.
    """
    return pearson(ranks(first, counts), ranks(second, counts), counts)


def ndcg(scores: np.ndarray, gains: np.ndarray, k: int) -> float:
    """Discounted gain of the first `k` of a ranking by `scores`, as a share of the best ranking's; 0 without gains.

    `scores` `(documents,)`: the largest first. `gains` `(documents,)`: what each is worth, 0 and above.
    """
    discounts = 1 / np.log2(np.arange(2, 2 + min(k, len(gains))))
    best = float(np.sort(np.asarray(gains, dtype=np.float64))[::-1][:k] @ discounts)
    return float(ranked_gains(scores, gains)[:k] @ discounts) / best if best > 0 else 0.0


def recall(scores: np.ndarray, gains: np.ndarray, k: int) -> float:
    """The share of the documents with a gain that stand among the first `k` by `scores`; 0 without any."""
    relevant = np.asarray(gains) > 0
    return float(ranked_gains(scores, relevant)[:k].sum() / relevant.sum()) if relevant.any() else 0.0


def ranked_gains(scores: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Gains `(documents,)` float64 in the order of falling scores; equal scores share the mean of theirs."""
    _, places = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
    means = np.bincount(places, weights=np.asarray(gains, dtype=np.float64)) / np.maximum(np.bincount(places), 1)
    return np.asarray(means[np.sort(places)])


def spearman_terms(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, at: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Each pair's linear term `(n,)` in the correlation of ranks; by `weights`, which add up to 1, their mean is that.

    The infinitesimal jackknife (Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", section 6.3):
    how far the correlation moves as a pair's weight grows, its effect on the other pairs' ranks included. `at`: the
    terms of these pairs instead. Zeros where a side is constant.
    """
    own = (first, second) if at is None else at
    sides = [
        _Side(np.asarray(values), weights, np.asarray(new)) for values, new in zip((first, second), own, strict=True)
    ]
    (u, new_u), (v, new_v) = ((side.places, side.new_places) for side in sides)
    spread, other_spread, product = (float(weights @ each) for each in (u * u, v * v, u * v))
    if spread < CONSTANT or other_spread < CONSTANT:
        return np.zeros(len(own[0]))
    size = np.sqrt(spread * other_spread)
    moved = new_u * new_v - 3 * product + sides[0].above(weights * v) + sides[1].above(weights * u)
    growth = (new_u**2 - 3 * spread + 2 * sides[0].above(weights * u)) / spread
    other_growth = (new_v**2 - 3 * other_spread + 2 * sides[1].above(weights * v)) / other_spread
    found = product / size
    return np.asarray(found + moved / size - found / 2 * (growth + other_growth))


class _Side:
    """One side's values by their place: the share of the weights below, half of those equal, less a half."""

    def __init__(self, values: np.ndarray, weights: np.ndarray, new: np.ndarray) -> None:
        self.order = np.argsort(values, kind="stable")
        held = values[self.order]
        self.left, self.right = (np.searchsorted(held, new, side=side) for side in ("left", "right"))
        left, right = (np.searchsorted(held, values, side=side) for side in ("left", "right"))
        below = np.concatenate([[0.0], np.cumsum(weights[self.order])])
        self.places = (below[left] + below[right]) / 2 - 0.5
        self.new_places = (below[self.left] + below[self.right]) / 2 - 0.5

    def above(self, parts: np.ndarray) -> np.ndarray:
        """For each new value the sum of `parts` at values above it, and half of those at equal ones."""
        below = np.concatenate([[0.0], np.cumsum(parts[self.order])])
        return np.asarray(below[-1] - (below[self.left] + below[self.right]) / 2)
