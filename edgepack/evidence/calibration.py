"""How far a model's confidence is from how often it is right, and the temperature that brings the two together.

Expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599, equation 3) in 15 bins of equal
width. The temperature is the one that makes the truth most likely when logits are divided by it (Guo et al., section
4.2); it changes no decision. A figure of a scaled model that was fitted on the same examples would flatter it, so these
are fitted on one half of the examples and measured on the other, both ways; the temperature that is kept is fitted on
all.
"""

from __future__ import annotations

import math

import numpy as np

from edgepack.bundle.analysis import Calibration
from edgepack.evidence.answers import Labelled
from edgepack.task.probabilities import log_probabilities

BINS = 15
COLDEST, HOTTEST = 0.05, 20.0
STEPS = 60  # of a golden-section search: to a millionth of the range
LEAST_EXAMPLES = 50  # fewer leave the temperature to chance; it is 1 then


def calibration(teacher: Labelled, artifact: Labelled) -> Calibration | None:
    """Both models' errors and mean confidences; words of a tagging task count one each.

    None for label sets, which thresholds decide: they are of the probabilities as they are; and for scores.
    """
    if artifact.task.is_multi_label or artifact.task.is_score:
        return None
    logits, truth = artifact.form.scored(), artifact.truth
    enough = artifact.n >= LEAST_EXAMPLES
    scaled = scaled_across(logits, truth, artifact.owners) if enough else logits
    return Calibration(
        teacher_ece=calibration_error(teacher.form.scored(), teacher.truth),
        artifact_ece=calibration_error(logits, truth),
        temperature=fit_temperature(logits, truth) if enough else 1.0,
        scaled_ece=calibration_error(scaled, truth),
        teacher_confidence=float(confidences(teacher.form.scored()).mean()),
        artifact_confidence=float(confidences(logits).mean()),
    )


def confidences(logits: np.ndarray) -> np.ndarray:
    """Probability of the label that is decided for."""
    return np.asarray(np.exp(log_probabilities(logits).max(axis=-1)))


def calibration_error(logits: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over bins, weighted by how many fall into each."""
    confident, right = confidences(logits), logits.argmax(axis=-1) == truth
    bins = np.minimum((confident * BINS).astype(int), BINS - 1)
    surplus = np.bincount(bins, weights=confident - right, minlength=BINS)
    return float(np.abs(surplus).sum() / len(truth))


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood, which has one minimum in its logarithm."""
    low, high = math.log(COLDEST), math.log(HOTTEST)
    golden = (math.sqrt(5) - 1) / 2

    def loss(log_temperature: float) -> float:
        probable = log_probabilities(logits / math.exp(log_temperature))
        return -float(probable[np.arange(len(truth)), truth].mean())

    inner = [high - golden * (high - low), low + golden * (high - low)]
    losses = [loss(point) for point in inner]
    for _ in range(STEPS):
        if losses[0] <= losses[1]:
            high, inner[1], losses[1] = inner[1], inner[0], losses[0]
            inner[0] = high - golden * (high - low)
            losses[0] = loss(inner[0])
        else:
            low, inner[0], losses[0] = inner[0], inner[1], losses[1]
            inner[1] = low + golden * (high - low)
            losses[1] = loss(inner[1])
    return float(f"{math.exp((low + high) / 2):.4g}")  # digits that the data can show


def scaled_across(logits: np.ndarray, truth: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Logits divided by a temperature that the other half of the examples gave."""
    even, scaled = owners % 2 == 0, logits.astype(np.float64)
    for half in (even, ~even):
        if half.any() and (~half).any():
            scaled[half] /= fit_temperature(logits[~half], truth[~half])
    return scaled
