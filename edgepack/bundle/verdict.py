"""A verdict: pass or fail for one artifact, check by check, with the figures behind it.

A check that could not run says so and why; it is never a pass. A verdict passes when no check failed and none
was left out; a gate may waive a check by name. `verdict.json` is this model, written by `edgepack.bundle.manifest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field

from edgepack.bundle.analysis import Analysis, NonInferiority
from edgepack.bundle.confidence import Confidence
from edgepack.bundle.manifest import LinearRecord, MetricRecord
from edgepack.bundle.record import Record

VERDICT_NAME = "verdict.json"
FORMS = ("teacher", "student", "quantized", "artifact")
TIMED = ("artifact", "teacher", "teacher_int8")
BLAMES = {"student": "distil", "quantized": "quantize", "artifact": "export"}  # stage of the build that made a form
VERDICT_CHECKS = ("size", "retention", "parity", "finite", "goldens")  # all that a verdict may hold
EDITION = 2  # of the records that a build writes
MOST_DIGITS = 1e15  # below it a float holds every whole number
SHOWN_FAILURES = 5  # of one check
MAX_DROP = 0.05  # of the teacher's metric, where nobody says otherwise: what 1,000 examples can decide (docs/gate.md)
CONFIDENCE = 0.95  # of the two-sided interval that has to lie above it
Status = Literal["passed", "failed", "not_run", "undecided"]


class Check(Record):
    """One question with its answer; `limit` is the limit of `value`."""

    name: str
    status: Status
    value: float | str | None = None
    limit: float | str | None = None
    reason: str = ""


class FormParity(Record):
    """Logits of one form of the model compared with those of the form before it, and the metric that they give.

    `relative_error` is ‖a − b‖₂ / ‖b‖₂ over all scored logits: unlike a cosine it sees a scale error, and
    unlike a comparison of probabilities it sees errors behind a saturated softmax.
    """

    name: str
    before: str
    max_abs: float
    mean_abs: float
    relative_error: float
    agreement: float
    metric: float


class Speed(Record):
    """One model's cost, one thread, batch 1, in a process of its own; medians over repeats."""

    load_ms: float
    p50_ms: dict[int, float]  # by token count
    peak_bytes: int
    baseline_bytes: int  # resident before the model was loaded: the interpreter and its libraries
    resident_bytes: int | None = None  # resident once it was loaded, before the first run; older verdicts have none
    first_ms: float | None = None  # the first run, at the first of the token counts; older verdicts have none


class IntervalRecord(Record):
    """A ratio with the interval of its paired test (`evidence/paired_ratio.py`)."""

    value: float
    low: float
    high: float


class Verdict(Record):
    """What validation found.

    `edition`: which records it always has (`evidence/edition.py`); `without`: of those that it has not, why.
    """

    left_out: ClassVar[tuple[str, ...]] = ("edition", "without")
    target: str
    passed: bool
    checks: list[Check]
    metrics: dict[str, MetricRecord]  # teacher, student, quantized, artifact
    retention: IntervalRecord | None = None
    agreement: float | None = None  # with the teacher's decisions
    divergence: float | None = None  # mean KL(teacher ‖ artifact) of a decision, in nats
    parity: list[FormParity] = Field(default_factory=list)
    blame: str | None = None  # the stage that lost most of the metric, if any was lost
    shipped_bytes: int
    budget_bytes: int
    speed: dict[str, Speed] = Field(default_factory=dict)  # by what of TIMED it is of
    analysis: Analysis | None = None
    linear: LinearRecord | None = None  # the cheap baseline of a build of labels, tags or scores
    confidence: Confidence | None = None  # of what held-out examples decide: one label for each text, or word
    judged: dict[str, str] = Field(default_factory=dict)  # sha256 of what it judged, by path in the bundle
    edition: int | None = Field(default=None, ge=2)  # absent where an older edgepack wrote it
    without: dict[str, str] | None = None
    measured_as: str | None = None  # another target of the build, with the same file and runtime, which was measured

    @property
    def noninferiority(self) -> NonInferiority | None:
        """The paired test of retention; None where it was not recorded."""
        return None if self.analysis is None else self.analysis.noninferiority

    @property
    def temperature(self) -> float | None:
        """What the artifact's logits are divided by; None where it was not fitted."""
        if self.confidence is not None:
            return self.confidence.temperature
        found = None if self.analysis is None else self.analysis.calibration
        return None if found is None else found.temperature

    @property
    def min_confidence(self) -> float | None:
        """The probability below which the model is not sure; None where it always answers."""
        return None if self.confidence is None else self.confidence.min_confidence

    def check(self, name: str) -> Check:
        """The check of this name; one that is absent was not run."""
        found = next((check for check in self.checks if check.name == name), None)
        return found or Check(name=name, status="not_run", reason="the verdict does not mention it")


def blame(metrics: Mapping[str, MetricRecord]) -> str | None:
    """The build stage after which the metric is lower by most; None if it nowhere is."""
    losses = {BLAMES[after]: metrics[before].value - metrics[after].value for before, after in pairwise(FORMS)}
    worst = max(losses, key=lambda stage: losses[stage])
    return worst if losses[worst] > 0 else None


def all_passed(checks: list[Check]) -> bool:
    """Whether every check ran and passed."""
    return all(check.status == "passed" for check in checks)


def first_failures(checks: Sequence[Check]) -> list[Check]:
    """One check of each name: the first that did not pass, else the last."""
    kept: dict[str, Check] = {}
    for check in checks:
        if check.name not in kept or kept[check.name].status == "passed":
            kept[check.name] = check
    return list(kept.values())


def limit_check(name: str, value: float, limit: float, at_most: bool, what: str) -> Check:
    """A check of a figure against a limit, with a reason that says both."""
    good = value <= limit if at_most else value >= limit  # NaN is neither
    reason = f"{what}: {in_full(value)}, must be {'at most' if at_most else 'at least'} {in_full(limit)}"
    # JSON has no NaN
    shown = value if value == value else str(value)
    return Check(name=name, status="passed" if good else "failed", value=shown, limit=limit, reason=reason)


def in_full(value: float) -> str:
    """A whole number with all its digits, another with six significant ones."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < MOST_DIGITS else f"{value:.6g}"


def summarize(failures: Sequence[str]) -> str:
    """The first failures in one line."""
    rest = len(failures) - SHOWN_FAILURES
    return "; ".join(failures[:SHOWN_FAILURES]) + (f"; and {rest} more" if rest > 0 else "")


def faults_check(name: str, faults: Sequence[str], fine: str) -> Check:
    """A check that passes where nothing is wrong, and then says what is `fine`."""
    status: Status = "failed" if faults else "passed"
    return Check(name=name, status=status, value=len(faults), limit=0, reason=summarize(faults) or fine)
