"""Run an artifact over the whole evaluation set in the runtime it is for, and judge it.

Four stages stand in a row: teacher → student (fp32 torch) → quantized (the same model, rounding) → artifact
(its runtime, batch 1). Between neighbours the logits are compared; the stage that loses most of the metric is
blamed. Retention is judged by its point value, with the 95 % paired-bootstrap interval beside it: on a few hundred
examples the interval is wider than any loss worth asking for.

The parity limits judge `artifact` against `quantized`, which compute the same formula: agreement at least 0.99,
relative error at most 0.05. The two differ where sums of another order tip an activation over a rounding step: 0.009 to
0.018 was measured for two 6-layer teachers at 8 and 4 bits in ONNX Runtime and PyTorch Lite, with agreement 0.995 to 1.
A wrong scale, a transposed weight or a lost bias moves logits by far more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from edgepack.bundle.goldens import golden_check
from edgepack.bundle.manifest import MetricRecord
from edgepack.bundle.verdict import MAX_DROP, Check, IntervalRecord, StageParity, Verdict, all_passed, limit_check
from edgepack.console import Advance
from edgepack.errors import NotRunHere
from edgepack.inference import predict, predict_session
from edgepack.runtime import Session, load
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.metric import Task, metric_interval, retention

MIN_AGREEMENT, MAX_RELATIVE_ERROR = 0.99, 0.05
STAGES = ("teacher", "student", "quantized", "artifact")
BLAMES = {"student": "distil", "quantized": "quantize", "artifact": "export"}  # stage of the build by result


@dataclass(frozen=True, eq=False)
class StageLogits:
    """Flat logits of one stage with the encoding that they belong to (a trimmed vocabulary has its own)."""

    name: str
    logits: np.ndarray
    encoded: Encoded

    def scored(self) -> np.ndarray:
        """Rows that a label stands at: `(examples or labelled tokens, C)`."""
        return self.logits[self.encoded.labels != IGNORED]


def validate_artifact(
    artifact: Path,
    target: Target,
    student: Student,
    evaluation: Encoded,
    task: Task,
    teacher_logits: np.ndarray,
    *,
    budget_bytes: int,
    shipped_bytes: int,
    max_drop: float = MAX_DROP,
    teacher_evaluation: Encoded | None = None,
    golden_failures: Sequence[str] | None = None,
    keep_logits: Path | None = None,
    advance: Advance | None = None,
) -> Verdict:
    """Judge the model file `artifact` against the student that it was exported from, and the teacher.

    `teacher_evaluation` is the same examples in the teacher's vocabulary, if that is another. `golden_failures` comes
    from `golden.check_goldens`; None says that goldens were not checked. The student keeps its bit widths.
    The artifact's logits are saved to `keep_logits`.
    """
    session, absence = load_if_here(artifact, target)
    stages = [
        StageLogits("teacher", teacher_logits, teacher_evaluation or evaluation),
        *student_stages(student, evaluation, target.activations),
    ]
    size = limit_check("size", shipped_bytes, budget_bytes, True, "shipped bytes")
    if session is None:
        return not_run(target, stages, task, size, absence)
    stages.append(StageLogits("artifact", predict_session(session, evaluation, advance), evaluation))
    if keep_logits is not None:
        np.save(keep_logits, stages[-1].logits)
    statistics = {s.name: task.statistics(s.logits, s.encoded) for s in stages}
    metrics = {name: metric_record(stats, task) for name, stats in statistics.items()}
    kept = retention(statistics["artifact"], statistics["teacher"], task)
    parity = compare_neighbours(stages, metrics)
    checks = [
        size,
        limit_check("retention", kept.value, 1 - max_drop, False, f"{task.metric_name} beside the teacher's"),
        parity_check(parity[-1]),
        finite_check(stages[-1].logits, len(task.labels)),
        golden_check(golden_failures),
    ]
    return Verdict(
        target=target.name,
        passed=all_passed(checks),
        checks=checks,
        metrics=metrics,
        retention=IntervalRecord(value=kept.value, low=kept.low, high=kept.high),
        agreement=agreement(stages[-1], stages[0]),
        divergence=divergence(stages[-1], stages[0]),
        parity=parity,
        blame=blame(metrics),
        shipped_bytes=shipped_bytes,
        budget_bytes=budget_bytes,
    )


def load_if_here(artifact: Path, target: Target) -> tuple[Session | None, str]:
    """The artifact in its runtime, or None and why this system has no such runtime."""
    try:
        return load(artifact, target, threads=1), ""
    except NotRunHere as e:
        return None, str(e)


def not_run(target: Target, stages: Sequence[StageLogits], task: Task, size: Check, reason: str) -> Verdict:
    """The verdict on an artifact whose runtime is not here: only its size is checked, so it has not passed."""
    metrics = {s.name: metric_record(task.statistics(s.logits, s.encoded), task) for s in stages}
    missing = [
        Check(name=name, status="not_run", reason=reason) for name in ("retention", "parity", "finite", "goldens")
    ]
    return Verdict(
        target=target.name,
        passed=False,
        checks=[size, *missing],
        metrics=metrics,
        parity=compare_neighbours(stages, metrics),
        shipped_bytes=int(size.value or 0),
        budget_bytes=int(size.limit or 0),
    )


def student_stages(student: Student, evaluation: Encoded, rounded_by: str = "example") -> list[StageLogits]:
    """Logits of the torch model without rounding and at its own bit widths, which are put back.

    `rounded_by`: what shares a range of activations in the target's runtime.
    """
    body_bits, embedding_bits = student.config.body_bits, student.config.embedding_bits
    try:
        student.set_bits(32, 32)
        full = predict(student, evaluation, exact=True)
    finally:
        student.set_bits(body_bits, embedding_bits)
    student.round_activations_by(rounded_by)
    try:
        quantized = predict(student, evaluation, exact=True)
    finally:
        student.round_activations_by("example")
    return [StageLogits("student", full, evaluation), StageLogits("quantized", quantized, evaluation)]


def metric_record(statistics: np.ndarray, task: Task) -> MetricRecord:
    """The metric with its interval."""
    interval = metric_interval(statistics, task)
    return MetricRecord(
        name=task.metric_name, value=interval.value, n=len(statistics), low=interval.low, high=interval.high
    )


def scored_by_both(after: StageLogits, before: StageLogits) -> tuple[np.ndarray, np.ndarray]:
    """Logits `(examples or labelled words, C)` of what both score, in one order.

    Truncation takes the last words of an example, and another number of them where the vocabularies differ.
    """
    owners = [e.label_examples[e.labels != IGNORED] for e in (after.encoded, before.encoded)]
    fewest = np.minimum(*(np.bincount(owner, minlength=len(after.encoded)) for owner in owners))
    ranks = [np.arange(len(owner)) - np.searchsorted(owner, owner) for owner in owners]  # within its example
    kept = [rank < fewest[owner] for rank, owner in zip(ranks, owners, strict=True)]
    return after.scored()[kept[0]], before.scored()[kept[1]]


def agreement(after: StageLogits, before: StageLogits) -> float:
    """Share of equal decisions."""
    return _equal_decisions(*scored_by_both(after, before))


def _equal_decisions(a: np.ndarray, b: np.ndarray) -> float:
    return float((a.argmax(axis=1) == b.argmax(axis=1)).mean())


def divergence(after: StageLogits, before: StageLogits) -> float:
    """Mean KL(before ‖ after) of a decision's probabilities, in nats; it sees what a metric on few examples cannot."""
    q, p = (torch.from_numpy(logits).double().log_softmax(1) for logits in scored_by_both(after, before))
    return float(torch.nn.functional.kl_div(q, p, reduction="batchmean", log_target=True))


def compare(after: StageLogits, before: StageLogits, metric: float) -> StageParity:
    """How far the logits of one stage are from those of the stage before."""
    a, b = (logits.astype(np.float64) for logits in scored_by_both(after, before))
    error = np.abs(a - b)
    norm = float(np.linalg.norm(b))
    return StageParity(
        name=after.name,
        before=before.name,
        max_abs=float(error.max()),
        mean_abs=float(error.mean()),
        relative_error=float(np.linalg.norm(a - b)) / norm if norm else float(error.max() > 0),
        agreement=_equal_decisions(a, b),
        metric=metric,
    )


def compare_neighbours(stages: Sequence[StageLogits], metrics: Mapping[str, MetricRecord]) -> list[StageParity]:
    """Each stage but the first beside the one before it."""
    return [compare(after, before, metrics[after.name].value) for before, after in pairwise(stages)]


def parity_check(exported: StageParity) -> Check:
    """Whether the artifact computes what the quantized torch model does."""
    agreed = limit_check("parity", exported.agreement, MIN_AGREEMENT, False, "agreement with the quantized model")
    if agreed.status == "failed":
        return agreed
    close = limit_check("parity", exported.relative_error, MAX_RELATIVE_ERROR, True, "relative error of the logits")
    return close if close.status == "failed" else agreed


def finite_check(logits: np.ndarray, labels: int) -> Check:
    """Whether the artifact gives one finite number for each label."""
    bad = int((~np.isfinite(logits)).sum())
    good = bad == 0 and logits.shape[-1] == labels
    reason = f"{bad} logits are not finite; {logits.shape[-1]} columns for {labels} labels"
    return Check(name="finite", status="passed" if good else "failed", value=bad, limit=0, reason=reason)


def blame(metrics: Mapping[str, MetricRecord]) -> str | None:
    """The build stage after which the metric is lower by most; None if it nowhere is."""
    losses = {BLAMES[after]: metrics[before].value - metrics[after].value for before, after in pairwise(STAGES)}
    worst = max(losses, key=lambda stage: losses[stage])
    return worst if losses[worst] > 0 else None
