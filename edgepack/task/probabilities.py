"""From logits to probabilities, and how far two models' probabilities are apart: of one label in all, or each alone.

One label in all: softmax, and KL of the distribution over labels. Each label alone: sigmoid, and the sum of the labels'
binary KLs, which is the KL of the distribution over all sets of labels where these are independent.
"""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, float64; safe where logits are large."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Log-softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def divergences(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """KL(before ‖ after) of each row of logits `(rows, C)`, in nats."""
    q, p = log_probabilities(after), log_probabilities(before)
    return np.asarray((np.exp(p) * (p - q)).sum(axis=1))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Each logit's own probability, float64; a far one is exactly 0 or 1."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits.astype(np.float64))))


def label_divergences(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """KL(before ‖ after) of each row of logits `(rows, C)` whose labels are independent, in nats."""
    q, p = after.astype(np.float64), before.astype(np.float64)
    there, absent = sigmoid(p), sigmoid(-p)
    found = there * (np.logaddexp(0, -q) - np.logaddexp(0, -p)) + absent * (np.logaddexp(0, q) - np.logaddexp(0, p))
    return np.asarray(np.maximum(found, 0).sum(axis=1))
