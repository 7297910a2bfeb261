"""Whether an artifact is as fast as its build was to make it: the limit of the plan against the time that was measured.

The plan's times are estimates. What counts is the median in the artifact's own runtime, on the machine that validated:
where the limit is meant for a phone, its own report decides (`edgepack gate --device-report`, `max_p50_ms`).
"""

from __future__ import annotations

from collections.abc import Mapping

from edgepack.bundle.record import Record
from edgepack.bundle.verdict import Verdict
from edgepack.parameters import LatencyLimit


class MeasuredLatency(Record):
    """One target's time against the limit; `p50_ms` is None where the artifact was not timed here."""

    limit_ms: float
    tokens: int
    p50_ms: float | None

    @property
    def reached(self) -> bool | None:
        """Whether it is within the limit; None where nobody knows."""
        return None if self.p50_ms is None else self.p50_ms <= self.limit_ms

    def describe(self, target: str) -> str:
        """One line."""
        limit = f"max latency {self.limit_ms:g} ms at {self.tokens} tokens"
        if self.p50_ms is None:
            return f"{target}: {limit}: not measured here"
        return f"{target}: {limit} {'reached' if self.reached else 'not reached'}: {self.p50_ms:.3g} ms measured here"


def measured_latency(limit: LatencyLimit, verdicts: Mapping[str, Verdict]) -> dict[str, MeasuredLatency]:
    """The limit against what each target's validation measured."""
    found = {}
    for target, verdict in verdicts.items():
        speed = verdict.speed.get("artifact")
        p50_ms = None if speed is None else speed.p50_ms.get(limit.tokens)
        found[target] = MeasuredLatency(limit_ms=limit.ms, tokens=limit.tokens, p50_ms=p50_ms)
    return found
