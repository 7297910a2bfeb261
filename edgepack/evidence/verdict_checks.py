"""The gate's checks of what a verdict records, under a policy's limits. What it can try itself is in `gate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from edgepack.bundle.analysis import Analysis
from edgepack.bundle.manifest import BundleManifest, task_of
from edgepack.bundle.verdict import Check, Verdict, first_failures, limit_check
from edgepack.evidence.device import DeviceReport
from edgepack.evidence.linear_check import linear_check
from edgepack.evidence.noninferiority import judge_retention, retention_check, rows_of
from edgepack.evidence.policy import Policy
from edgepack.task.task import Task

Question = tuple[str, Callable[[], list[Check]]]  # a check's name, and what answers it
CLOSE = 1e-6  # figures that were computed twice from the same counts
COSTS = {  # checks, each with the keys of a policy that are limits for it
    "latency": ("max_p50_ms", "max_p95_ms"),
    "speedup": ("max_teacher_share",),
    "load": ("max_load_ms",),
    "memory": ("max_peak_bytes", "max_resident_bytes"),
}


def verdict_questions(
    read: Callable[[], Verdict], manifest: BundleManifest, policy: Policy, devices: Sequence[DeviceReport] = ()
) -> Iterator[Question]:
    """What the validation found, under the policy's limits, which replace the verdict's own; each by its check's name.

    `read` gives the verdict, and raises where it is none: whatever is damaged in it fails the checks that look at it.
    `devices`: reports of this artifact from phones; limits of time and memory are then held against each of them.
    """
    yield "retention", lambda: [retention_again(read(), task_of(manifest), policy)]
    yield "parity", lambda: [read().check("parity")]
    yield "finite", lambda: [read().check("finite")]
    limit, gain, f1 = policy.min_agreement, policy.min_gain_over_linear, policy.min_class_f1
    error, flips = policy.max_calibration_error, policy.max_flips
    if limit is not None:
        yield "agreement", lambda: [at_limit("agreement", read().agreement, limit, False, "agreement with the teacher")]
    if gain is not None:
        yield "linear", lambda: [linear_check(read(), policy, gain)]
    if f1 is not None:
        yield "classes", lambda: [classes_check(read().analysis or Analysis(), f1)]
    if error is not None:
        yield "calibration", lambda: [calibration_check(read().analysis or Analysis(), error)]
    if flips is not None:
        yield "robustness", lambda: [robustness_check(read().analysis or Analysis(), flips)]
    for name, keys in COSTS.items():
        if any(getattr(policy, key) is not None for key in keys):
            yield name, partial(cost_check, name, read, policy, devices)


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
    asked = policy.retention_test(found)
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


def classes_check(analysis: Analysis, least: float) -> Check:
    """The worst class against the policy's limit."""
    worst = min(analysis.classes, key=lambda score: score.artifact, default=None)
    what = f"F1 of the worst class{f', {worst.label} ({worst.n} examples),' if worst else ''}"
    return at_limit("classes", None if worst is None else worst.artifact, least, False, what)


def calibration_check(analysis: Analysis, most: float) -> Check:
    """The calibration error against the policy's limit."""
    found = analysis.calibration
    what = "expected calibration error at the manifest's temperature"
    return at_limit("calibration", None if found is None else found.scaled_ece, most, True, what)


def robustness_check(analysis: Analysis, most_flips: float) -> Check:
    """The change of writing that flips most answers of this model alone, against the policy's limit."""
    most = max(analysis.robustness, key=lambda found: found.flips_alone / max(1, found.n), default=None)
    what = f"share of texts that change the artifact's answer alone{f', by {most.change},' if most else ''}"
    return at_limit("robustness", None if most is None else most.flips_alone / max(1, most.n), most_flips, True, what)


def cost_check(name: str, read: Callable[[], Verdict], policy: Policy, devices: Sequence[DeviceReport]) -> list[Check]:
    """One check of `COSTS`: of all its limits and devices the first that did not pass."""
    verdict = read()
    costs = [check for device in devices or (None,) for check in cost_checks(verdict, policy, device)]
    return first_failures([check for check in costs if check.name == name])


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
