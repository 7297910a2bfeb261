"""When a model is sure enough to answer: the least confidence, found on held-out examples, and what it does to others.

The confidence is the largest probability at the temperature (Hendrycks and Gimpel 2017, arXiv:1610.02136). Where no
text is known to be out of scope, the least confidence is the highest at which a stated share of the right answers is
still given. Where some are, it is the one with the largest balanced accuracy: the mean of the share of texts in scope
that are answered and the share of texts out of scope that are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.bundle.analysis import Calibration, Figure, Sureness
from edgepack.bundle.confidence import Confidence
from edgepack.bundle.manifest import BundleManifest
from edgepack.bundle.verdict import Verdict
from edgepack.evidence.calibration import (
    COLDEST,
    HOTTEST,
    LEAST_EXAMPLES,
    calibration_error,
    confidences,
    fit_temperature,
    log_loss,
)
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task

DECIMALS = 4  # of a confidence: an app reads it from JSON
LOWEST, HIGHEST = 10**-DECIMALS, 1 - 10**-DECIMALS
DRAWS, SEED = 1_000, 0  # of the bootstrap of AUROC
LOSS_SLACK = 0.005  # of a log loss measured again on another CPU
ERROR_SLACK = 0.02  # of a calibration error: answers that another CPU moves into other bins


def find_confidence(
    task: Task, logits: np.ndarray, encoded: Encoded, outside: np.ndarray | None, answer_rate: float
) -> Confidence | None:
    """Temperature and least confidence, by logits `(n, C)` or `(T, C)` of examples that nothing was trained on.

    `outside`: logits of texts that belong to no label. None where the task has no temperature, or examples are few.
    """
    rows = encoded.scored
    scored, truth = logits[rows], encoded.labels[rows]
    if not task.has_temperature or len(encoded) < LEAST_EXAMPLES:
        return None
    temperature = fit_temperature(scored, truth)
    if not task.may_be_unsure:
        return Confidence(temperature=temperature, n=len(truth), answer_rate=answer_rate)
    hits = scored.argmax(axis=-1) == truth
    sure = confidences(scored / temperature)
    right, wrong = rounded(sure[hits]), rounded(sure[~hits])
    foreign = [] if outside is None else rounded(confidences(outside / temperature))
    return Confidence(
        temperature=temperature,
        n=len(truth),
        answer_rate=answer_rate,
        min_confidence=least_confidence(right, wrong, foreign, answer_rate),
        right=right,
        wrong=wrong,
        outside=foreign,
    )


def rounded(sure: np.ndarray) -> list[float]:
    """Confidences as the record has them: down, so that they reach a limit of as many decimals where the model's do."""
    return [math.floor(float(each) * 10**DECIMALS) / 10**DECIMALS for each in np.sort(sure)]


def least_confidence(
    right: Sequence[float], wrong: Sequence[float], outside: Sequence[float], answer_rate: float
) -> float:
    """The confidence from which on an answer is given; the lists ascend."""
    if outside:
        return _bounded(_best_separation(np.sort([*right, *wrong]), np.asarray(outside)))
    if not right:
        return LOWEST
    return _bounded(right[min(math.floor((1 - answer_rate) * len(right) + 1e-9), len(right) - 1)])


def _bounded(value: float) -> float:
    return round(min(max(value, LOWEST), HIGHEST), DECIMALS)


def _best_separation(inside: np.ndarray, outside: np.ndarray) -> float:
    """The lowest confidence with the largest balanced accuracy; the gap below it is halved."""
    places = np.unique([*inside, *outside])
    answered = 1 - np.searchsorted(inside, places) / max(1, len(inside))
    refused = np.searchsorted(outside, places) / len(outside)
    best = int((answered + refused).argmax())
    if best == 0:
        return float(places[0])
    middle = (places[best - 1] + places[best]) / 2
    return math.ceil(middle * 10**DECIMALS - 1e-6) / 10**DECIMALS  # never down to the one below


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """How often one of `inside` is larger than one of `outside`; equal ones count half."""
    ranked = np.sort(outside)
    below, up_to = np.searchsorted(ranked, inside), np.searchsorted(ranked, inside, side="right")
    return float((below + up_to).mean() / 2 / len(outside))


def auroc_figure(inside: np.ndarray, outside: np.ndarray) -> Figure:
    """With the 95 % interval of a bootstrap of both kinds of texts."""
    generator = np.random.default_rng(SEED)
    drawn = [
        auroc(generator.choice(inside, len(inside)), generator.choice(outside, len(outside))) for _ in range(DRAWS)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Figure(value=auroc(inside, outside), low=float(low), high=float(high))


def measure_sureness(
    confidence: Confidence, logits: np.ndarray, truth: np.ndarray, outside: np.ndarray | None, of_training: bool
) -> Sureness:
    """What the least confidence does to texts `(n, C)` with class ids `(n,)`, and to texts that belong to no label."""
    sure, limit = confidences(logits / confidence.temperature), confidence.min_confidence or 0.0
    right, answered = logits.argmax(axis=-1) == truth, sure >= limit
    found = Sureness(
        n=len(truth), answered=int(answered.sum()), right=int(right.sum()), answered_right=int((right & answered).sum())
    )
    if outside is None or not len(outside):
        return found
    foreign = confidences(outside / confidence.temperature)
    more = {
        "outside": len(foreign),
        "outside_answered": int((foreign >= limit).sum()),
        "outside_of_training": of_training,
    }
    return found.model_copy(update={**more, "auroc": auroc_figure(sure, foreign)})


def sure_faults(manifest: BundleManifest, verdict: Verdict) -> list[str]:
    """What manifest and verdict say of temperature and least confidence that cannot be, or is not the same."""
    found = verdict.confidence
    faults = []
    if manifest.temperature != verdict.temperature:
        faults.append("the temperature is not the one that the verdict has")
    if manifest.min_confidence != verdict.min_confidence:
        faults.append("min_confidence is not the one that the verdict has")
    calibrated = verdict.analysis.calibration if verdict.analysis else None
    if found is not None:
        faults += _record_faults(found, calibrated, len(manifest.labels))
    return faults + _sureness_faults(verdict)


def _record_faults(found: Confidence, calibrated: Calibration | None, labels: int) -> list[str]:
    faults = []
    if not COLDEST <= found.temperature <= HOTTEST:
        faults.append(f"a temperature of {found.temperature:g} is outside of {COLDEST:g} to {HOTTEST:g}")
    if found.n < 1:
        faults.append(f"a temperature was found on {found.n} decisions")
    if calibrated is not None and calibrated.temperature != found.temperature:
        faults.append("the calibration was measured at another temperature")
    lists = (found.right, found.wrong, found.outside)
    if found.min_confidence is None and not any(lists):
        return faults
    lowest = 1 / max(1, labels) - 10**-DECIMALS  # the largest of so many probabilities, rounded down
    if found.n != len(found.right) + len(found.wrong) or any(not lowest <= x <= 1 for each in lists for x in each):
        faults.append(f"the confidences held out are not as many as counted, or not of 1/{labels} to 1")
    if any(list(each) != sorted(each) for each in lists):
        faults.append("the confidences held out are not in order")
    elif (
        least := least_confidence(found.right, found.wrong, found.outside, found.answer_rate)
    ) != found.min_confidence:
        faults.append(f"min_confidence is {found.min_confidence}; the confidences held out give {least:g}")
    return faults


def _sureness_faults(verdict: Verdict) -> list[str]:
    """Counts that cannot be, and those that differ from the metric's."""
    found = verdict.analysis.sureness if verdict.analysis else None
    if found is None:
        return []
    metric = verdict.metrics.get("artifact")
    possible = (
        0 <= found.answered_right <= min(found.right, found.answered) <= max(found.right, found.answered) <= found.n
    )
    both = found.answered + found.right - found.n  # so many at least are answered and right
    if not possible or found.answered_right < both or not 0 <= found.outside_answered <= found.outside:
        return ["the counts of answered texts cannot be"]
    if (found.auroc is None) != (found.outside == 0):
        return ["texts out of scope and their AUROC are not there together"]
    if found.auroc and not 0 <= found.auroc.low <= found.auroc.value <= found.auroc.high <= 1:
        return ["the AUROC of texts out of scope is not a share in its interval"]
    if metric is not None and (metric.n != found.n or abs(metric.value - found.right / found.n) > 1e-6):
        return ["the counts of answered texts are not of the metric's examples"]
    return []


def calibration_fault(logits: np.ndarray, truth: np.ndarray, verdict: Verdict) -> str | None:
    """What is wrong where logits `(d, C)` on the evaluation data are not as well calibrated as the verdict says.

    Both figures are at the temperature: the log loss, and the calibration error, which a policy limits.
    """
    calibrated = verdict.analysis.calibration if verdict.analysis else None
    if calibrated is None:
        return None
    temperature, recorded = verdict.temperature or 1.0, calibrated.scaled_log_loss
    scaled, where = logits / temperature, f"at the temperature {temperature:g}"
    again = log_loss(scaled, truth)
    if recorded is not None and abs(again - recorded) > LOSS_SLACK * (1 + recorded):
        return f"log loss {where} is {again:.4f}, recorded is {recorded:.4f}"
    error, recorded = calibration_error(scaled, truth), calibrated.scaled_ece
    if abs(error - recorded) > ERROR_SLACK + 2 / len(truth):  # what one answer moves that goes into another bin
        return f"calibration error {where} is {error:.4f}, recorded is {recorded:.4f}"
    return None
