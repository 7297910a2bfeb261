"""The sections behind the first screen: bytes, forms, training, plan. Answers belong to `report/answers.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.bundle.latency import measured_latency
from edgepack.bundle.linear import NAME as LINEAR
from edgepack.bundle.manifest import model_text
from edgepack.bundle.verdict import FORMS, FormParity
from edgepack.evidence.device import DeviceReport, reports_of
from edgepack.parameters import LatencyLimit, format_duration
from edgepack.report.charts import Chart, candidates, losses, treemap
from edgepack.report.glance import WORDS, reason
from edgepack.report.groups import TargetBytes, target_bytes
from edgepack.report.marks import Interval, Intervals, Spans, intervals, spans
from edgepack.report.records import MOST, BundleFacts, Facts, PlanCandidate, StageSeconds
from edgepack.report.units import (
    NOT_MEASURED,
    capital,
    metric_name,
    milliseconds,
    percent,
    size,
    small,
    three_digits,
)


@dataclass(frozen=True)
class Table:
    """A table of text whose first column names the rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ByteSection:
    """A target's bytes: picture, groups, tensors."""

    name: str
    chart: Chart
    parts: TargetBytes
    tensors: Table


@dataclass(frozen=True)
class FormSection:
    """A target's forms from teacher to artifact."""

    name: str
    picture: Intervals | None
    parity: Table | None
    metrics: Table | None
    blame: str


def byte_sections(facts: Facts) -> list[ByteSection]:
    """A treemap for each target that the plan has bytes of."""
    plan = facts.plan
    found = []
    for target in plan.tensors if plan is not None else ():
        assert plan is not None
        parts = target_bytes(plan, target)
        rows = tuple((name, f"{count:,}", percent(count / parts.total, 1)) for name, count in parts.tensors)
        tensors = Table(f"{target}: bytes by tensor", ("tensor", "bytes", "share"), rows)
        found.append(ByteSection(target, treemap(f"bytes-{target}", parts), parts, tensors))
    return found


def form_sections(facts: Facts) -> list[FormSection]:
    """The metric of each form and how far its logits are from those of the form before."""
    return [form_section(bundle) for bundle in facts.bundles]


def form_section(bundle: BundleFacts) -> FormSection:
    """One target's."""
    name, metrics = bundle.name, bundle.verdict.metrics
    forms = [form for form in FORMS if form in metrics] + [form for form in metrics if form not in FORMS]
    rows = [
        Interval(
            form,
            metrics[form].low,
            metrics[form].value,
            metrics[form].high,
            f"{percent(metrics[form].value)} ({percent(metrics[form].low)} to {percent(metrics[form].high)})",
            kind="teacher" if form == "teacher" else "artifact",
        )
        for form in forms
    ]
    linear = bundle.verdict.linear
    if linear is not None:
        m = linear.metric
        shown = f"{percent(m.value)} ({percent(m.low)} to {percent(m.high)})"
        rows.append(Interval(LINEAR, m.low, m.value, m.high, shown, kind="teacher"))
    what = metric_name(next(iter(metrics.values())).name) if metrics else "metric"
    blame = bundle.verdict.blame
    return FormSection(
        name,
        intervals(f"forms-{name}", f"{capital(what)} by form, with 95 % intervals", rows),
        parity_table(name, bundle.verdict.parity),
        metric_table(bundle, forms),
        f"The step that lost most of it: {blame}." if blame else "No step lost a part of it worth naming.",
    )


def parity_table(name: str, parity: Sequence[FormParity]) -> Table | None:
    """How far each form's logits are from those before."""
    rows = [
        (
            f"{each.before} → {each.name}",
            percent(each.agreement),
            small(each.relative_error),
            small(each.max_abs),
            small(each.mean_abs),
        )
        for each in parity
    ]
    columns = ("step", "same answers", "relative error", "largest difference", "mean difference")
    return Table(f"{name}: logits by step", columns, tuple(rows)) if rows else None


def metric_table(bundle: BundleFacts, forms: Sequence[str]) -> Table | None:
    """The metric of each form."""
    metrics = bundle.verdict.metrics
    named = [(form, metrics[form]) for form in forms]
    linear = bundle.verdict.linear
    named += [] if linear is None else [(f"{LINEAR} of {size(linear.bytes)}, to compare with", linear.metric)]
    rows = [
        (name, metric_name(m.name), percent(m.value), f"{percent(m.low)} to {percent(m.high)}", f"{m.n:,}")
        for name, m in named
    ]
    columns = ("form", "metric", "value", "95 % interval", "examples")
    return Table(f"{bundle.name}: metric by form", columns, tuple(rows)) if rows else None


def check_tables(facts: Facts) -> list[tuple[BundleFacts, Table]]:
    """All checks of each bundle."""
    columns = ("check", "status", "why")
    return [
        (
            bundle,
            Table(
                f"{bundle.name}: checks",
                columns,
                tuple((check.name, WORDS[check.status], reason(check)) for check in bundle.verdict.checks),
            ),
        )
        for bundle in facts.bundles
    ]


@dataclass(frozen=True)
class TrainingSection:
    """How the student came to be."""

    losses: Chart | None
    timeline: Spans | None


def training_section(facts: Facts) -> TrainingSection:
    """Curves and the stages' times."""
    stages = facts.stages
    return TrainingSection(
        losses=losses("losses", facts.curves) if facts.curves else None,
        timeline=timeline(stages) if stages else None,
    )


def timeline(stages: Sequence[StageSeconds]) -> Spans:
    """The stages one after another, each as long as it took."""
    rows, clock = [], 0.0
    for stage in stages:
        rows.append((stage.name, format_duration(stage.seconds), "artifact", clock, stage.seconds))
        clock += stage.seconds
    longest = max(stages, key=lambda stage: stage.seconds)
    most = f"the longest is {longest.name}, {format_duration(longest.seconds)}"
    text = f"{len(stages)} stages took {format_duration(clock)} in all; {most}"
    return spans("timeline", f"Stages one after another, {format_duration(clock)} in all", text, rows)


@dataclass(frozen=True)
class PlanSection:
    """The plan's candidates."""

    charts: tuple[Chart, ...]
    table: Table
    note: str | None


def plan_section(facts: Facts) -> PlanSection | None:
    """Candidates by bytes and estimated loss on each target, the chosen one first."""
    plan = facts.plan
    if plan is None:
        return None
    charts = []
    for bundle in facts.bundles:
        kept = bundle.verdict.retention
        measured = None if kept is None or not abs(kept.value) <= MOST else 1 - kept.value
        chart = candidates(f"plan-{bundle.name}", plan, bundle.name, bundle.manifest.shipped_bytes, measured)
        charts += [chart] if chart is not None else []
    targets = sorted({target for each in plan.candidates for target in each.bytes})
    columns = (
        "candidate",
        "layers",
        "heads",
        "FFN",
        "embedding",
        "tokens",
        "bits",
        "loss, short training",
        "speed",
        *([] if plan.times is None else [f"time, {plan.times.tokens} tokens"]),
        *([] if plan.candidates[0].estimated_memory_bytes is None else ["memory"]),
        *([] if plan.candidates[0].trial_divergence is None else ["KL, held out"]),
        *targets,
    )
    rows = tuple(candidate_row(number, each, targets) for number, each in enumerate(plan.candidates))
    notes = "; ".join([*([plan.note] if plan.note else []), *latency_notes(facts)])
    return PlanSection(tuple(charts), Table("Candidates, estimated", columns, rows), notes or None)


def latency_notes(facts: Facts) -> list[str]:
    """Whether each artifact is as fast as the build was asked to make it."""
    limit = None if facts.plan is None else facts.plan.max_latency
    if limit is None:
        return []
    verdicts = {bundle.name: bundle.verdict for bundle in facts.bundles}
    found = measured_latency(LatencyLimit(limit.ms, limit.tokens), verdicts)
    return [each.describe(name) for name, each in found.items()]


def candidate_row(number: int, each: PlanCandidate, targets: Sequence[str]) -> tuple[str, ...]:
    """A candidate's shape and estimates."""
    bits = f"{shown(each.body_bits)}/{shown(each.embedding_bits)}"
    counts = [shown(value) for value in (each.layers, each.heads, each.ffn, each.embedding, each.vocabulary)]
    sizes = [size(each.bytes[target]) if target in each.bytes else "" for target in targets]
    first = "this build" if number == 0 else str(number + 1)
    estimates = [percent(each.estimated_loss), f"{three_digits(each.estimated_speed)} ×"]
    estimates += [] if each.estimated_ms is None else [milliseconds(each.estimated_ms)]
    estimates += [] if each.estimated_memory_bytes is None else [size(each.estimated_memory_bytes)]
    if each.trial_divergence is not None:
        estimates.append(f"{three_digits(each.trial_divergence)} after {shown(each.trial_examples)} examples")
    return (first, *counts, bits, *estimates, *sizes)


@dataclass(frozen=True)
class TargetSection:
    """All targets beside each other."""

    latency: Spans | None
    table: Table
    pairs: Table | None
    devices: Table | None


def target_section(facts: Facts) -> TargetSection | None:
    """A column for each target."""
    if not facts.bundles:
        return None
    figures = [target_figures(bundle) for bundle in facts.bundles]
    names = list(dict.fromkeys(name for each in figures for name in each))
    rows = tuple((name, *(each.get(name, NOT_MEASURED) for each in figures)) for name in names)
    table = Table("Figures of each target", ("", *(bundle.name for bundle in facts.bundles)), rows)
    pairs = tuple(
        (
            " / ".join(pair.runtimes),
            " / ".join(pair.targets),
            percent(pair.agreement),
            small(pair.relative_error),
            small(pair.max_abs),
            " / ".join(percent(metric) for metric in pair.metrics),
        )
        for pair in facts.pairs
    )
    columns = ("runtimes", "targets", "same answers", "relative error", "largest difference", "metrics")
    compared = Table("Runtimes compared with each other", columns, pairs) if pairs else None
    return TargetSection(latency_picture(facts), table, compared, device_table(facts))


def device_table(facts: Facts) -> Table | None:
    """What phones measured: a column for each report."""
    if not facts.devices:
        return None
    found = [(bundle, report) for bundle in facts.bundles for report in reports_of(bundle.manifest, facts.devices)]
    figures = [device_figures(report) for _, report in found]
    names = list(dict.fromkeys(name for each in figures for name in each))
    rows = tuple((name, *(each.get(name, NOT_MEASURED) for each in figures)) for name in names)
    columns = ("", *(f"{bundle.name} on {report.device}" for bundle, report in found))
    return Table("Figures of devices", columns, rows)


def device_figures(report: DeviceReport) -> dict[str, str]:
    """One report's."""
    figures = {"system": report.os, "runtime": report.runtime, "loading": milliseconds(report.load_ms)}
    if report.first_ms is not None:
        figures["first inference"] = milliseconds(report.first_ms)
    for tokens, ms in sorted(report.p50_ms.items()):
        figures[f"latency, {tokens} tokens"] = milliseconds(ms)
        if tokens in report.p95_ms:
            figures[f"95 of 100 within, {tokens} tokens"] = milliseconds(report.p95_ms[tokens])
    figures["peak memory of the app"] = size(report.peak_bytes)
    if report.resident_bytes is not None:
        figures["memory after loading"] = size(report.resident_bytes)
    return figures | {
        "goldens": f"{report.goldens_passed} of {report.goldens} came out",
        "thermal state": report.thermal,
        "app": report.app or NOT_MEASURED,
    }


def target_figures(bundle: BundleFacts) -> dict[str, str]:
    """What is compared."""
    manifest, verdict = bundle.manifest, bundle.verdict
    kept, metric, speed = verdict.retention, verdict.metrics.get("artifact"), verdict.speed.get("artifact")
    figures = {
        "verdict": WORDS[bundle.status],
        "runtime": f"{manifest.runtime.name} {manifest.runtime.min_version}",
        "shipped": size(manifest.shipped_bytes),
        "budget": size(manifest.budget_bytes),
        metric_name(metric.name) if metric else "metric": NOT_MEASURED if metric is None else percent(metric.value),
        "retention": NOT_MEASURED if kept is None else percent(kept.value),
        "agreement with the teacher": NOT_MEASURED if verdict.agreement is None else percent(verdict.agreement),
        "divergence from the teacher": NOT_MEASURED
        if verdict.divergence is None
        else f"{small(verdict.divergence)} {'of cosine' if manifest.vector else 'nats'}",
    }
    if speed is not None:
        figures |= {f"latency, {n} tokens": milliseconds(ms) for n, ms in speed.p50_ms.items()}
        figures |= {"loading": milliseconds(speed.load_ms), "peak memory": size(speed.peak_bytes)}
        if speed.first_ms is not None:
            figures["first inference"] = milliseconds(speed.first_ms)
        if speed.resident_bytes is not None:
            figures["memory after loading"] = size(speed.resident_bytes)
    return figures


def latency_picture(facts: Facts) -> Spans | None:
    """The median latency of each artifact and of the teacher, at the largest token count that all were timed at."""
    timed = [(bundle, ms) for bundle in facts.bundles if (ms := bundle.p50_ms("artifact")) is not None]
    counts = {bundle.tokens for bundle, _ in timed}
    if len(counts) != 1:
        return None
    teachers = [ms for bundle, _ in timed if (ms := bundle.p50_ms("teacher")) is not None]
    rows = [("teacher, in PyTorch", milliseconds(min(teachers)), "teacher", 0.0, min(teachers))] if teachers else []
    rows += [(f"{b.name}, in {b.manifest.runtime.name}", milliseconds(ms), "artifact", 0.0, ms) for b, ms in timed]
    title = f"Median latency at {counts.pop()} tokens, one thread"
    return spans("latency", title, "; ".join(f"{name}: {text}" for name, text, *_ in rows), rows)


def record_tables(facts: Facts) -> list[tuple[str, str]]:
    """The records themselves, as JSON."""
    found = [("Build: edgepack.json", model_text(facts.build))]
    for bundle in facts.bundles:
        found.append((f"{bundle.name}: edgepack.json", model_text(bundle.manifest)))
        found.append((f"{bundle.name}: verdict.json", model_text(bundle.verdict)))
    return found


def shown(value: Any) -> str:
    """A JSON value as text."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
