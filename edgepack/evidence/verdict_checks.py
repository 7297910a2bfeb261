"""The gate's checks of what a verdict records, under a policy's limits. What it can try itself is in `gate`."""

from __future__ import annotations

from edgepack.bundle.verdict import Check, Verdict, limit_check
from edgepack.evidence.policy import Policy


def verdict_checks(verdict: Verdict, policy: Policy) -> list[Check]:
    """What the validation found, under the policy's limits, which replace the verdict's own."""
    checks = [verdict.check(name) for name in ("retention", "parity", "finite")]
    if policy.max_drop is not None and verdict.retention is not None:
        checks[0] = limit_check("retention", verdict.retention.value, 1 - policy.max_drop, False, "retention")
    if policy.min_agreement is not None:
        name, value = "agreement", verdict.agreement
        missing = Check(name=name, status="not_run", reason="the verdict holds no agreement with the teacher")
        what = "agreement with the teacher"
        checks.append(missing if value is None else limit_check(name, value, policy.min_agreement, False, what))
    if policy.max_p50_ms is not None:
        speed = verdict.speed.get("artifact")
        p50 = speed.p50_ms.get(policy.latency_tokens) if speed else None
        what = f"p50 milliseconds at {policy.latency_tokens} tokens"
        missing = Check(name="latency", status="not_run", reason=f"the verdict holds no {what}")
        checks.append(missing if p50 is None else limit_check("latency", p50, policy.max_p50_ms, True, what))
    return checks
