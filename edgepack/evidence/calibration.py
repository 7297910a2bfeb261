"""How far a model's confidence is from how often it is right, and the temperature that brings the two together.

Expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599, equation 3) in 15 bins of equal
width. The temperature is the one that makes the truth most likely when logits are divided by it (Guo et al., section
4.2); it changes no decision. Where every answer is right, no temperature is cold enough, so a share of 1 / (n + 2) of
each truth is given to the other labels (Platt 1999, "Probabilistic Outputs for Support Vector Machines"). It is fitted
on training examples that nothing was trained on (`sure.py`), so what is measured here, on the evaluation data, flatters
nobody.
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
LEAST_EXAMPLES = 50  # to fit on: fewer leave the temperature to chance; it is 1 then


def calibration(teacher: Labelled, artifact: Labelled, temperature: float = 1.0) -> Calibration | None:
    """Both models' errors and mean confidences; words of a tagging task count one each.

    None where no label of all is decided for: thresholds are of the probabilities as they are; scores have none.
    """
    if not artifact.task.has_temperature:
        return None
    logits, truth = artifact.form.scored(), artifact.truth
    scaled = logits / temperature
    return Calibration(
        teacher_ece=calibration_error(teacher.form.scored(), teacher.truth),
        artifact_ece=calibration_error(logits, truth),
        temperature=temperature,
        scaled_ece=calibration_error(scaled, truth),
        teacher_confidence=float(confidences(teacher.form.scored()).mean()),
        artifact_confidence=float(confidences(logits).mean()),
        artifact_log_loss=log_loss(logits, truth),
        scaled_log_loss=log_loss(scaled, truth),
    )


def log_loss(logits: np.ndarray, truth: np.ndarray) -> float:
    """Mean of -log of the truth's probability, in nats."""
    return -float(log_probabilities(logits)[np.arange(len(truth)), truth].mean())


def confidences(logits: np.ndarray) -> np.ndarray:
    """Probability of the label that is decided for."""
    return np.asarray(np.exp(log_probabilities(logits).max(axis=-1)))


def calibration_error(logits: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over bins, weighted by how many fall into each."""
    confident, right = confidences(logits), logits.argmax(axis=-1) == truth
    bins = np.minimum((confident * BINS).astype(int), BINS - 1)
    surplus = np.bincount(bins, weights=confident - right, minlength=BINS)
    return float(np.abs(surplus).sum() / len(truth))


def smoothed_loss(logits: np.ndarray, truth: np.ndarray) -> float:
    """The same, where each truth gives a little to the other labels."""
    probable = log_probabilities(logits)
    own = probable[np.arange(len(truth)), truth]
    others = (probable.sum(axis=-1) - own) / max(1, logits.shape[-1] - 1)
    given = 1 / (len(truth) + 2)
    return -float(((1 - given) * own + given * others).mean())


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood of smoothed truths; one minimum in its logarithm."""
    low, high = math.log(COLDEST), math.log(HOTTEST)
    golden = (math.sqrt(5) - 1) / 2

    def loss(log_temperature: float) -> float:
        return smoothed_loss(logits / math.exp(log_temperature), truth)

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
