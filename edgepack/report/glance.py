"""The report's first screen, a card for each target. What lies behind it belongs to `report/sections.py`.

A card has the verdict, bytes against the budget, retention against its limit, teacher and artifact compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.bundle.growth import growth_of
from edgepack.bundle.linear import compared
from edgepack.bundle.verdict import Check
from edgepack.report.marks import Gauge, Interval, Intervals, Pair, Reference, gauge, intervals, pair
from edgepack.report.records import BundleFacts, Facts
from edgepack.report.units import NOT_MEASURED, capital, metric_name, milliseconds, percent, size, three_digits, times
from edgepack.target import list_targets, load_target

WORDS = {"passed": "passed", "failed": "failed", "not_run": "not run", "undecided": "undecided"}


@dataclass(frozen=True)
class Card:
    """One target."""

    name: str
    status: str
    runtime: str
    gauge: Gauge
    shipped: str
    room: str  # of the budget
    growth: str  # what an app grows by, its runtime included
    kept_value: str
    retention: str
    limit: str
    decided: bool  # the limit's text says what a test decided
    kept: Intervals | None
    pairs: tuple[Pair, ...]
    linear: str  # what a linear model reaches within the same budget
    open_checks: tuple[tuple[Check, str], ...]  # with the reason in full figures


@dataclass(frozen=True)
class Headline:
    """The verdict on the build in one line."""

    status: str
    text: str


def headline(facts: Facts) -> Headline:
    """How many targets passed; the worst status stands for the build."""
    statuses = [bundle.status for bundle in facts.bundles]
    passed, every = statuses.count("passed"), len(statuses) + len(facts.build.missing)
    if every == 0:
        return Headline("not_run", "No target was built")
    status = "passed" if passed == every else next((s for s in ("failed", "undecided") if s in statuses), "not_run")
    return Headline(status, f"{passed} of {every} target{'' if every == 1 else 's'} passed")


def cards(facts: Facts) -> list[Card]:
    """A card for each bundle."""
    absent = facts.build.linear.get("reason")
    return [card(bundle, facts.teacher_bytes, absent if isinstance(absent, str) else "") for bundle in facts.bundles]


def card(bundle: BundleFacts, teacher_bytes: int | None, absent: str = "") -> Card:
    """What the first screen says of a bundle. `absent`: why the build has no linear model."""
    manifest, verdict = bundle.manifest, bundle.verdict
    return Card(
        name=bundle.name,
        status=bundle.status,
        runtime=f"{manifest.runtime.name} {manifest.runtime.min_version} or newer",
        gauge=gauge(f"budget-{bundle.name}", manifest.shipped_bytes, manifest.budget_bytes),
        shipped=size(manifest.shipped_bytes),
        room=room_text(manifest.shipped_bytes, manifest.budget_bytes),
        growth=growth_text(bundle),
        kept_value=NOT_MEASURED if verdict.retention is None else percent(verdict.retention.value),
        retention=retention_text(bundle),
        limit=capital(limit_text(bundle)),
        decided=verdict.noninferiority is not None,
        kept=kept_interval(bundle),
        pairs=tuple(pairs_of(bundle, teacher_bytes)),
        linear=linear_text(bundle, absent),
        open_checks=tuple((check, reason(check)) for check in bundle.open_checks),
    )


def reason(check: Check) -> str:
    """Why a check has its status, bytes in full figures."""
    if check.name == "size" and isinstance(check.value, float) and isinstance(check.limit, float):
        return f"{check.value:,.0f} bytes are shipped; at most {check.limit:,.0f} are allowed"
    return check.reason or "no reason was recorded"


def kept_range(bundle: BundleFacts) -> tuple[float, float, float] | None:
    """Retention with its interval: the one that the test used, where there is one."""
    kept = bundle.verdict.retention
    if kept is None:
        return None
    test = bundle.verdict.noninferiority
    return (kept.low, kept.value, kept.high) if test is None else (test.lower, kept.value, test.upper)


def confidence(bundle: BundleFacts) -> float:
    """Of the interval of `kept_range`."""
    test = bundle.verdict.noninferiority
    return 0.95 if test is None else test.confidence


def retention_limit(bundle: BundleFacts) -> float | None:
    """The least retention that passes."""
    test = bundle.verdict.noninferiority
    if test is not None:
        return 1 - test.margin
    limit = bundle.verdict.check("retention").limit
    return limit if isinstance(limit, float) else None


def room_text(shipped: int, budget: int) -> str:
    """What is left of the budget."""
    left = budget - shipped
    return f"of {size(budget)}, {f'{size(left)} left' if left >= 0 else f'{size(-left)} too many'}"


def growth_text(bundle: BundleFacts) -> str:
    """What an app grows by; nothing where the target is not of this edgepack."""
    manifest = bundle.manifest
    if manifest.target not in list_targets():
        return ""
    return f"{capital(growth_of(load_target(manifest.target), manifest.shipped_bytes).describe())}."


def retention_text(bundle: BundleFacts) -> str:
    """Retention's interval in words."""
    kept = kept_range(bundle)
    if kept is None:
        return ""
    return f"{percent(confidence(bundle), 1)} interval {percent(kept[0]).removesuffix(' %')} to {percent(kept[2])}"


def limit_text(bundle: BundleFacts) -> str:
    """The limit in words, with what the test decided."""
    limit = retention_limit(bundle)
    test = bundle.verdict.noninferiority
    words = "no limit recorded" if limit is None else f"limit {percent(limit)}"
    if test is None:
        return words
    needed = f"; about {test.needed:,} examples could decide" if test.decision == "undecided" and test.needed else ""
    where = {
        "passed": "the whole interval is above",
        "failed": "the interval is below",
        "undecided": "inside the interval",
    }
    return f"{words}: {where[test.decision]}{needed}"


def kept_interval(bundle: BundleFacts) -> Intervals | None:
    """Retention's interval and the limit, drawn."""
    kept, limit = kept_range(bundle), retention_limit(bundle)
    if kept is None:
        return None
    row = Interval("", *kept, f"{percent(kept[1])}, {retention_text(bundle)}")
    line = None if limit is None else Reference(limit, f"limit {percent(limit)}")
    return intervals(f"retention-{bundle.name}", f"Retention of {bundle.name} against its limit", [row], line)


def pairs_of(bundle: BundleFacts, teacher_bytes: int | None) -> list[Pair]:
    """Size, speed and accuracy of teacher and artifact."""
    manifest, metrics = bundle.manifest, bundle.verdict.metrics
    both = ("teacher", "teacher"), ("artifact", "artifact")

    def row(name: str, note: str, values: Sequence[float | None], texts: Sequence[str]) -> Pair:
        return pair(
            name, note, [(*model, *each) for model, each in zip(both, zip(values, texts, strict=True), strict=True)]
        )

    shipped, found = manifest.shipped_bytes, [bundle.p50_ms(model) for model in (bundle.timed_teacher, "artifact")]
    known = "not recorded" if teacher_bytes is None else size(teacher_bytes)
    smaller = "" if teacher_bytes is None or not shipped else f"{times(teacher_bytes / shipped)} smaller"
    pairs = [row("size", smaller, (teacher_bytes, shipped), (known, size(shipped)))]
    teacher_ms, artifact_ms = found
    faster = f"{times(teacher_ms / artifact_ms)} as fast" if teacher_ms and artifact_ms else ""
    texts = [NOT_MEASURED if ms is None else milliseconds(ms) for ms in found]
    timed = "speed" if bundle.tokens is None else f"speed, {bundle.tokens} tokens"
    if bundle.timed_teacher == "teacher_int8":
        timed += ", teacher in int8"
    pairs.append(row(timed, faster, found, texts))
    scores = [metrics.get(model) for model, _ in both]
    name = metric_name(next((score.name for score in scores if score is not None), "metric"))
    values = [None if score is None else score.value for score in scores]
    texts = [NOT_MEASURED if value is None else percent(value) for value in values]
    changed = "" if None in values else change_text(values[0] or 0.0, values[1] or 0.0)
    return [*pairs, row(name, changed, values, texts)]


def linear_text(bundle: BundleFacts, absent: str) -> str:
    """The linear model compared with the artifact, or why there is none; nothing in builds of older versions."""
    linear, artifact = bundle.verdict.linear, bundle.verdict.metrics.get("artifact")
    if linear is None:
        return f"{capital(absent)}." if absent else ""
    return f"{capital(compared(linear, artifact, 'the artifact'))}."


def change_text(teacher: float, artifact: float) -> str:
    """How many points the artifact is above or below the teacher."""
    difference = 100 * (artifact - teacher)
    if abs(difference) < 0.005:
        return "no change"
    amount = three_digits(round(abs(difference), 2))
    return f"{amount} point{'' if amount == '1' else 's'} {'higher' if difference > 0 else 'lower'}"
