"""Run an artifact over the whole evaluation set in the runtime it is for, and judge it.

All four forms of the model answer the same examples: teacher, student, quantized student, artifact. Between
neighbours the logits are compared (`forms.py`); the build stage after which the metric is lower by most is blamed.
Retention is judged by a paired test (`noninferiority.py`): its whole interval has to be at or above the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.bundle.analysis import NonInferiority
from edgepack.bundle.confidence import Confidence
from edgepack.bundle.goldens import golden_check
from edgepack.bundle.manifest import MetricRecord, model_hashes
from edgepack.bundle.verdict import (
    CONFIDENCE,
    MAX_DROP,
    VERDICT_CHECKS,
    Check,
    IntervalRecord,
    Verdict,
    blame,
    limit_check,
)
from edgepack.console import Advance
from edgepack.errors import NotRunHere
from edgepack.evidence.analyze import Background, Sure, analyze
from edgepack.evidence.answers import Labelled
from edgepack.evidence.forms import FormLogits, agreement, compare_neighbours, divergence, parity_check
from edgepack.evidence.noninferiority import judge_retention, retention_check
from edgepack.evidence.paired_ratio import paired_rows
from edgepack.inference import predict
from edgepack.runtime import Session, load
from edgepack.runtime.predict import predict_session
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.task.encoded import Encoded
from edgepack.task.intervals import metric_interval
from edgepack.task.task import Task


@dataclass(frozen=True, eq=False)
class Reference:
    """What an artifact is compared with: its student and the teacher, on the same examples.

    `teacher_evaluation` is those examples in the teacher's vocabulary, where that is another one; `background` is what
    an analysis needs besides. `own_task`: the task with the student's thresholds, where `task` has the teacher's.
    `sure`: the student's temperature and least confidence, where it has these. `known`: the torch model's logits by
    form, each computed for the first target that needs it.
    """

    task: Task
    student: Student
    evaluation: Encoded
    teacher_logits: np.ndarray
    teacher_evaluation: Encoded | None = None
    background: Background | None = None
    own_task: Task | None = None
    sure: Sure | None = None
    known: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def student_task(self) -> Task:
        """The task as the student decides it."""
        return self.own_task or self.task

    @property
    def confidence(self) -> Confidence | None:
        """The student's temperature and least confidence."""
        return None if self.sure is None else self.sure.confidence

    def forms(self, rounded_by: str, advance: Advance | None = None) -> list[FormLogits]:
        """Logits of all forms but the artifact; `rounded_by` is what shares a range of activations in its runtime."""
        encoded, scoring = self.teacher_evaluation or self.evaluation, self.student_task.scoring
        teacher = FormLogits("teacher", self.teacher_logits, encoded, self.task.scoring)
        own = student_forms(self.student, self.evaluation, rounded_by, advance, self.known)
        return [teacher, *(replace(form, scoring=scoring) for form in own)]

    def read(self, forms: Sequence[FormLogits]) -> list[FormLogits]:
        """The forms as each is decided: the teacher by its task, all others as the student is."""
        return [forms[0].read(self.task), *(form.read(self.student_task) for form in forms[1:])]


@dataclass(frozen=True)
class Limits:
    """What an artifact may take and lose: shipped bytes, and the share of the teacher's metric, at a confidence."""

    budget_bytes: int
    max_drop: float = MAX_DROP
    confidence: float = CONFIDENCE


def validate_artifact(
    artifact: Path,
    target: Target,
    reference: Reference,
    limits: Limits,
    shipped_bytes: int,
    *,
    keep_logits: Path | None = None,
    advance: Advance | None = None,
) -> Verdict:
    """Judge the model file `artifact` by the student that it was exported from, and by the teacher.

    Nothing passes before its goldens are checked, in a bundle. The artifact's logits are saved to `keep_logits`.
    """
    forms, task = reference.forms(target.activations, advance), reference.task
    try:
        session = load(artifact, target, threads=1)
    except NotRunHere as e:
        return not_run(target, forms, reference, shipped_bytes, limits.budget_bytes, str(e))
    logits = predict_session(session, reference.evaluation, advance)
    forms.append(FormLogits("artifact", logits, reference.evaluation, reference.student_task.scoring))
    if keep_logits is not None:
        np.save(keep_logits, logits)
    teacher, *_, exported = decided = reference.read(forms)
    statistics = {form.name: form.statistics for form in decided}
    metrics = {name: metric_record(stats, task) for name, stats in statistics.items()}
    rows = paired_rows(statistics["artifact"], statistics["teacher"])
    kept = judge_retention(rows, task, limits.max_drop, limits.confidence)
    parity = compare_neighbours(forms, metrics)
    return Verdict(
        target=target.name,
        passed=False,
        checks=[
            size_check(shipped_bytes, limits.budget_bytes),
            retention_check(kept, task.metric_name),
            parity_check(parity[-1]),
            finite_check(logits, task.outputs),
            golden_check(None),
        ],
        metrics=metrics,
        retention=IntervalRecord(value=kept.value, low=kept.lower, high=kept.upper),
        agreement=agreement(exported, teacher),
        divergence=divergence(exported, teacher),
        parity=parity,
        blame=blame(metrics),
        shipped_bytes=shipped_bytes,
        budget_bytes=limits.budget_bytes,
        **behind(teacher, exported, kept, session, reference),
        judged=model_hashes(artifact, target),
    )


def behind(
    teacher: FormLogits, artifact: FormLogits, kept: NonInferiority, session: Session, reference: Reference
) -> dict[str, Any]:
    """What a verdict has beside its checks: the analysis, and what decides when the model is sure."""
    both = Labelled(teacher, reference.task), Labelled(artifact, reference.student_task)
    found = analyze(*both, kept, session, reference.background, reference.sure)
    return {"analysis": found, "confidence": reference.confidence}


def size_check(shipped_bytes: int, budget_bytes: int) -> Check:
    """Whether the files that ship are within the budget."""
    return limit_check("size", shipped_bytes, budget_bytes, True, "shipped bytes")


def not_run(
    target: Target,
    forms: Sequence[FormLogits],
    reference: Reference,
    shipped_bytes: int,
    budget_bytes: int,
    reason: str,
) -> Verdict:
    """The verdict on an artifact whose runtime is not here: only its size is checked, so it has not passed."""
    size = size_check(shipped_bytes, budget_bytes)
    metrics = {form.name: metric_record(form.statistics, reference.task) for form in reference.read(forms)}
    missing = [Check(name=name, status="not_run", reason=reason) for name in VERDICT_CHECKS if name != size.name]
    return Verdict(
        target=target.name,
        passed=False,
        checks=[size, *missing],
        metrics=metrics,
        parity=compare_neighbours(forms, metrics),
        shipped_bytes=shipped_bytes,
        budget_bytes=budget_bytes,
        confidence=reference.confidence,
    )


def student_forms(
    student: Student,
    evaluation: Encoded,
    rounded_by: str = "example",
    advance: Advance | None = None,
    known: dict[str, np.ndarray] | None = None,
) -> list[FormLogits]:
    """Logits of the torch model without rounding and at its own bit widths, which are put back.

    `rounded_by`: what shares a range of activations in the target's runtime. `known`: logits of an earlier call.
    """
    found = {} if known is None else known
    body_bits, embedding_bits = student.config.body_bits, student.config.embedding_bits

    def logits(form: str) -> np.ndarray:
        if form not in found:
            found[form] = predict(student, evaluation, exact=True, advance=advance)
        elif advance is not None:
            advance(len(evaluation))
        return found[form]

    try:
        student.set_bits(32, 32)
        full = logits("student")
    finally:
        student.set_bits(body_bits, embedding_bits)
    student.round_activations_by(rounded_by)
    try:
        quantized = logits(f"quantized by {rounded_by}")
    finally:
        student.round_activations_by("example")
    return [FormLogits("student", full, evaluation), FormLogits("quantized", quantized, evaluation)]


def metric_record(statistics: np.ndarray, task: Task) -> MetricRecord:
    """The metric with its interval."""
    interval = metric_interval(statistics, task)
    return MetricRecord(
        name=task.metric_name, value=interval.value, n=len(statistics), low=interval.low, high=interval.high
    )


def finite_check(logits: np.ndarray, labels: int) -> Check:
    """Whether the artifact gives one finite number for each label, or number of a vector."""
    bad, columns = int((~np.isfinite(logits)).sum()), logits.shape[1]
    good = bad == 0 and columns == labels
    reason = f"{bad} logits are not finite; {columns} columns for {labels} labels"
    return Check(name="finite", status="passed" if good else "failed", value=bad, limit=0, reason=reason)
