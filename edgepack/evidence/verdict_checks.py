"""The gate's checks of what a verdict records, under a policy's limits. What it can try itself is in `gate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edgepack.bundle.analysis import Analysis
from edgepack.bundle.manifest import BundleManifest, task_of
from edgepack.bundle.verdict import Check, Verdict, first_failures, limit_check
from edgepack.evidence.device import DeviceReport
from edgepack.evidence.linear_check import linear_check
from edgepack.evidence.noninferiority import judge_retention, retention_check, rows_of
from edgepack.evidence.policy import MOST_CONFIDENCE, Policy
from edgepack.task.task import Task

CLOSE = 1e-6  # figures that were computed twice from the same counts


def verdict_checks(
    verdict: Verdict, manifest: BundleManifest, policy: Policy, devices: Sequence[DeviceReport] = ()
) -> list[Check]:
    """What the validation found, under the policy's limits, which replace the verdict's own.

    `devices`: reports of this artifact from phones; limits of time and memory are then held against each of them.
    """
    task = task_of(manifest)
    checks = [retention_again(verdict, task, policy), verdict.check("parity"), verdict.check("finite")]
    if policy.min_agreement is not None:
        what = "agreement with the teacher"
        checks.append(at_limit("agreement", verdict.agreement, policy.min_agreement, False, what))
    if policy.min_gain_over_linear is not None:
        checks.append(linear_check(verdict, policy, policy.min_gain_over_linear))
    checks += analysis_checks(verdict.analysis or Analysis(), policy)
    costs = [check for device in devices or (None,) for check in cost_checks(verdict, policy, device)]
    return checks + first_failures(costs)


def retention_again(verdict: Verdict, task: Task, policy: Policy) -> Check:
    """The paired test once more, from the counts in the verdict, with the policy's margin and confidence.

    What else the verdict says of retention has to follow from the same counts.
    """
    recorded = verdict.check("retention")
    found = verdict.noninferiority
    if recorded.status == "not_run":
        return recorded
    if found is None or not found.rows:
        reason = "the verdict holds no counts to test, as an older edgepack wrote it; run `edgepack validate` again"
        return Check(name="retention", status="not_run", reason=reason)
    if not (0 <= found.margin <= 1 and 0.5 <= found.confidence <= MOST_CONFIDENCE):
        reason = (
            f"the verdict's test has the margin {found.margin:g} and the confidence {found.confidence:g}; allowed: 0 "
            f"to 1, and 0.5 to {MOST_CONFIDENCE}; run `edgepack validate` again"
        )
        return Check(name="retention", status="failed", reason=reason)
    rows = rows_of(found, task)
    as_recorded = judge_retention(rows, task, found.margin, found.confidence)
    kept, metrics = verdict.retention, verdict.metrics
    claims = {
        "retention": (kept.value if kept else None, as_recorded.value),
        "the interval's lower end": (kept.low if kept else None, as_recorded.lower),
        "the interval's upper end": (kept.high if kept else None, as_recorded.upper),
        "the artifact's metric": (_metric(verdict, "artifact"), task.metric(rows.artifact, rows.counts)),
        "the teacher's metric": (_metric(verdict, "teacher"), task.metric(rows.teacher, rows.counts)),
        "the number of examples": (metrics["artifact"].n if "artifact" in metrics else None, rows.n),
        "the test's ratio": (found.value, as_recorded.value),
        "the test's lower end": (found.lower, as_recorded.lower),
        "the test's upper end": (found.upper, as_recorded.upper),
        "the test's number of examples": (found.n, as_recorded.n),
        "the test's number of differing examples": (found.discordant, as_recorded.discordant),
        "the number of examples that would decide": (found.needed or 0, as_recorded.needed or 0),
        "the check's limit": (recorded.limit if isinstance(recorded.limit, float) else None, 1 - found.margin),
    }
    for what, (claimed, counted) in claims.items():
        if claimed is None or not abs(claimed - counted) <= CLOSE:
            shown = "missing" if claimed is None else f"{claimed:.6g}"
            reason = f"{what} is {shown} in the verdict; its counts give {counted:.6g}"
            return Check(name="retention", status="failed", value=claimed, limit=counted, reason=reason)
    if recorded.status != as_recorded.decision:
        reason = f"the verdict says {recorded.status}; its counts say {as_recorded.decision}"
        return Check(name="retention", status="failed", reason=reason)
    asked = policy.retention_test(found)
    same = asked == (found.margin, found.confidence)
    return retention_check(as_recorded if same else judge_retention(rows, task, *asked), task.metric_name)


def _metric(verdict: Verdict, form: str) -> float | None:
    record = verdict.metrics.get(form)
    return None if record is None else record.value


def at_limit(name: str, value: float | None, limit: float, at_most: bool, what: str) -> Check:
    """A figure of the verdict against a limit; not run where the verdict does not hold it."""
    if value is None:
        return Check(name=name, status="not_run", reason=f"the verdict holds no {what}")
    return limit_check(name, value, limit, at_most, what)


def analysis_checks(analysis: Analysis, policy: Policy) -> list[Check]:
    """Limits on what lies behind the metric: classes, calibration, robustness."""
    checks = []
    if policy.min_class_f1 is not None:
        worst = min(analysis.classes, key=lambda score: score.artifact, default=None)
        what = f"F1 of the worst class{f', {worst.label} ({worst.n} examples),' if worst else ''}"
        value = None if worst is None else worst.artifact
        checks.append(at_limit("classes", value, policy.min_class_f1, False, what))
    if policy.max_calibration_error is not None:
        found = analysis.calibration
        value = None if found is None else found.scaled_ece
        what = "expected calibration error at the manifest's temperature"
        checks.append(at_limit("calibration", value, policy.max_calibration_error, True, what))
    if policy.max_flips is not None:
        most = max(analysis.robustness, key=lambda found: found.flips_alone / max(1, found.n), default=None)
        what = f"share of texts that change the artifact's answer alone{f', by {most.change},' if most else ''}"
        value = None if most is None else most.flips_alone / max(1, most.n)
        checks.append(at_limit("robustness", value, policy.max_flips, True, what))
    return checks


def cost_checks(verdict: Verdict, policy: Policy, device: DeviceReport | None) -> list[Check]:
    """Limits on latency, load time and memory: on the device of a report, else on the machine that validated."""
    speed, tokens = verdict.speed.get("artifact"), policy.latency_tokens
    own = device or speed
    where = f" on {device.device}" if device else ""
    p95 = device.p95_ms if device else {}
    asked: list[tuple[str, float | None, Callable[[], tuple[float | None, str]]]] = [
        (
            "latency",
            policy.max_p50_ms,
            lambda: _at_tokens(own.p50_ms if own else {}, tokens, f"p50 milliseconds{where}"),
        ),
        ("latency", policy.max_p95_ms, lambda: _at_tokens(p95, tokens, f"p95 milliseconds{where or ' on a device'}")),
        ("speedup", policy.max_teacher_share, lambda: _teacher_share(verdict, tokens)),
        ("load", policy.max_load_ms, lambda: (own.load_ms if own else None, f"load time in milliseconds{where}")),
        ("memory", policy.max_peak_bytes, lambda: (own.peak_bytes if own else None, f"peak memory in bytes{where}")),
        (
            "memory",
            policy.max_resident_bytes,
            lambda: (own.resident_bytes if own else None, f"bytes resident after loading{where}"),
        ),
    ]
    checks = []
    for name, limit, measured in asked:
        if limit is not None:
            value, what = measured()
            checks.append(at_limit(name, value, limit, True, what))
    return checks  # p50 and p95 have one name, as peak and what stays


def _at_tokens(times: Mapping[int, float], tokens: int, what: str) -> tuple[float | None, str]:
    """A time at a token count; where there is none, the counts that there are."""
    if tokens in times:
        return times[tokens], f"{what} at {tokens} tokens"
    there = ", ".join(map(str, sorted(times))) or "none"
    return None, f"{what} at {tokens} tokens; token counts that were measured: {there} (key latency_tokens)"


def _teacher_share(verdict: Verdict, tokens: int) -> tuple[float | None, str]:
    """The artifact's p50 as a share of that of the teacher's int8 model in the same run."""
    own, int8 = (verdict.speed[name].p50_ms if name in verdict.speed else {} for name in ("artifact", "teacher_int8"))
    shares = {count: own[count] / int8[count] for count in set(own) & set(int8) if int8[count] > 0}
    return _at_tokens(shares, tokens, "p50 as a share of that of the teacher's int8 model")
