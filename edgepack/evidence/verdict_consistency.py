"""A verdict read against itself: each status follows from its own figures, and the figures from one another.

Whoever changes one number of a verdict has to change all that hang together with it. What cannot be true of any
validation (a metric of no examples, an interval beside its value, a negative latency) is found here too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from edgepack.bundle.manifest import MetricRecord
from edgepack.bundle.verdict import (
    BLAMES,
    FORMS,
    TIMED,
    VERDICT_CHECKS,
    Check,
    IntervalRecord,
    Verdict,
    all_passed,
    blame,
    in_full,
)
from edgepack.errors import bare
from edgepack.evidence.device import LONGEST_MS, MOST_MEMORY
from edgepack.evidence.forms import parity_check
from edgepack.evidence.linear_check import linear_faults
from edgepack.task.accuracy import Accuracy

AT_MOST, AT_LEAST = ("size", "finite", "goldens"), ("retention", "parity")  # what a check's limit is to its value
COUNTS = ("finite", "goldens")  # of faults: none is allowed
RETAKEN = ("size", "goldens")  # they fail only by their value
ROUNDING = 1e-9


def verdict_faults(verdict: Verdict) -> list[str]:
    """What of a verdict does not hang together."""
    ran = "artifact" in verdict.metrics
    return [
        *check_faults(verdict),
        *metric_faults(verdict.metrics, ran),
        *retention_faults(verdict, ran),
        *parity_faults(verdict, ran),
        *speed_faults(verdict),
        *linear_faults(verdict),
    ]


def check_faults(verdict: Verdict) -> list[str]:
    """Each check once and known, each status from its own value and limit.

    Retention, parity and finite are the gate's own checks too, so one that is missing is not run there.
    """
    counts = Counter(check.name for check in verdict.checks)
    faults = [f"check {name} is missing" for name in RETAKEN if name not in counts]
    faults += [f"check {bare(name)} stands there {count} times" for name, count in counts.items() if count > 1]
    faults += [f"check {bare(name)} is unknown" for name in counts if name not in VERDICT_CHECKS]
    faults += [fault for check in verdict.checks if (fault := status_fault(check))]
    if verdict.passed != all_passed(verdict.checks):
        faults.append(f"it says {'passed' if verdict.passed else 'not passed'}, its checks say otherwise")
    return faults


def status_fault(check: Check) -> str | None:
    """What of one check's status, value and limit contradicts the rest."""
    value, limit = check.value, check.limit
    if check.name not in (*AT_MOST, *AT_LEAST) or check.status == "not_run":
        return None
    if not isinstance(value, int | float) or not isinstance(limit, int | float):
        return f"check {check.name} passed without figures" if check.status == "passed" else None
    if value < 0 or (check.name in COUNTS and limit != 0):
        return f"check {check.name} has {in_full(value)} with the limit {in_full(limit)}"
    holds = value <= limit if check.name in AT_MOST else value >= limit
    if (check.status == "passed" and not holds) or (check.status == "failed" and holds and check.name in RETAKEN):
        return f"check {check.name} says {check.status} with {in_full(value)} and the limit {in_full(limit)}"
    return None


def metric_faults(metrics: Mapping[str, MetricRecord], ran: bool) -> list[str]:
    """A figure of each form, on the same examples, inside its interval."""
    wanted = FORMS if ran else FORMS[:-1]
    if sorted(metrics) != sorted(wanted):
        return [f"metrics are of {', '.join(map(bare, metrics)) or 'nothing'}; they must be of {', '.join(wanted)}"]
    faults = [f"metric of {form}: {fault}" for form, record in metrics.items() if (fault := figure_fault(record))]
    if len({(record.name, record.n) for record in metrics.values()}) > 1:
        faults.append("metrics are not all of one kind on the same examples")
    return faults


def figure_fault(record: MetricRecord) -> str | None:
    """What of a metric cannot be."""
    if record.n < 1:
        return f"on {record.n} examples"
    if not 0 <= record.low <= record.high <= 1:
        return f"its interval is {record.low:.6g} to {record.high:.6g}"
    return None if _inside(record) else f"{record.value:.6g} is not in {record.low:.6g} to {record.high:.6g}"


def _inside(record: MetricRecord | IntervalRecord) -> bool:
    return record.low - ROUNDING <= record.value <= record.high + ROUNDING


def retention_faults(verdict: Verdict, ran: bool) -> list[str]:
    """The retention claimed is artifact's metric / teacher's, and the check of it was made with that."""
    kept = verdict.retention
    figures = {"retention": kept, "agreement": verdict.agreement, "divergence": verdict.divergence}
    present = [name for name, value in figures.items() if value is not None]
    if len(present) != (len(figures) if ran else 0):
        return [f"it has {', '.join(present) or 'no retention, agreement or divergence'}; all three or none belong"]
    if kept is None or not {"artifact", "teacher"} <= set(verdict.metrics):
        return []
    faults = []
    teacher, artifact = verdict.metrics["teacher"].value, verdict.metrics["artifact"].value
    ratio = artifact / teacher if teacher else 0.0
    if not math.isclose(kept.value, ratio, abs_tol=1e-6):
        faults.append(f"retention is {kept.value:.6g}, the metrics' ratio {ratio:.6g}")
    if not 0 <= kept.low <= kept.high or not _inside(kept):
        faults.append(f"retention {kept.value:.6g} is not in its interval, {kept.low:.6g} to {kept.high:.6g}")
    if verdict.agreement is not None and not 0 <= verdict.agreement <= 1:
        faults.append(f"agreement is {verdict.agreement:.6g}, not a share")
    if verdict.divergence is not None and not verdict.divergence >= -ROUNDING:
        faults.append(f"divergence is {verdict.divergence:.6g}; none is below 0")
    return faults + checked_retention_faults(verdict, kept)


def checked_retention_faults(verdict: Verdict, kept: IntervalRecord) -> list[str]:
    """What the check of retention compared is the recorded figure."""
    test = verdict.noninferiority
    known = [kept.value, kept.low, *([] if test is None else [test.lower])]
    check = verdict.check("retention")
    faults = []
    if isinstance(check.value, int | float) and not _among(float(check.value), known):
        faults.append(f"check retention has {check.value:.6g}, the verdict {kept.value:.6g}")
    if isinstance(check.limit, int | float) and not 0 <= check.limit <= 1:
        faults.append(f"check retention has the limit {check.limit:.6g}, not a share")
    return faults


def _among(value: float, known: Sequence[float]) -> bool:
    return any(math.isclose(value, other, abs_tol=1e-6) for other in known)


def parity_faults(verdict: Verdict, ran: bool) -> list[str]:
    """Each form compared with the one before it, and the check of parity made of the artifact's."""
    chain = [(parity.before, parity.name) for parity in verdict.parity]
    wanted = list(zip(FORMS, FORMS[1:] if ran else FORMS[1:-1], strict=False))
    if chain != wanted:
        return ["parity does not go from teacher to student, quantized" + (" and artifact" if ran else "")]
    faults = []
    for parity in verdict.parity:
        errors = (parity.max_abs, parity.mean_abs, parity.relative_error)
        if not 0 <= parity.agreement <= 1 or not all(error >= 0 for error in errors):
            faults.append(f"parity of {parity.name} has an agreement outside 0 to 1 or a negative error")
        elif parity.mean_abs > parity.max_abs or len({error > 0 for error in errors}) > 1:
            faults.append(f"parity of {parity.name} has a mean error above the largest, or one of 0 beside another")
        record, before = verdict.metrics.get(parity.name), verdict.metrics.get(parity.before)
        if record is not None and before is not None and record.name == Accuracy.name:
            most = 1 - abs(record.value - before.value)
            if not record.value + before.value - 1 - ROUNDING <= parity.agreement <= most + ROUNDING:
                faults.append(f"parity of {parity.name} has the agreement {parity.agreement:.6g}; metrics deny it")
        if record is not None and not math.isclose(record.value, parity.metric, abs_tol=1e-9):
            faults.append(f"parity of {parity.name} has the metric {parity.metric:.6g}, not {record.value:.6g}")
    if ran and any(check.name == "parity" for check in verdict.checks):
        check, again = verdict.check("parity"), parity_check(verdict.parity[-1])
        if (check.status, check.value, check.limit) != (again.status, again.value, again.limit):
            faults.append(f"check parity says {check.status}; its figures: {again.reason}")
    return faults


def speed_faults(verdict: Verdict) -> list[str]:
    """Times and bytes are above 0 and those of a machine, and the blamed stage is one."""
    faults = []
    if verdict.blame is not None and verdict.blame not in BLAMES.values():
        faults.append(f"it blames {bare(verdict.blame)}; stages are {', '.join(BLAMES.values())}")
    elif set(FORMS) <= set(verdict.metrics) and verdict.blame != blame(verdict.metrics):
        faults.append(
            f"it blames {verdict.blame or 'nothing'}; its metrics blame {blame(verdict.metrics) or 'nothing'}"
        )
    for name, speed in verdict.speed.items():
        times = [speed.load_ms, *speed.p50_ms.values(), *([] if speed.first_ms is None else [speed.first_ms])]
        possible = all(0 < time <= LONGEST_MS for time in times) and all(count > 0 for count in speed.p50_ms)
        possible &= 0 <= speed.baseline_bytes <= speed.peak_bytes <= MOST_MEMORY and speed.peak_bytes > 0
        possible &= speed.resident_bytes is None or 0 < speed.resident_bytes <= speed.peak_bytes
        if name not in TIMED or not possible:
            faults.append(f"speed of {bare(name)} is of no model, or has a time or size that cannot be")
    return faults
