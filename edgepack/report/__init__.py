"""The report of a build, `report.md` and `report.html`, from its records. Measuring belongs to `evidence`.

Both say the same, from the same rows. The page is one file that loads nothing, light or dark as the reader's
system is. Nothing is measured here; a figure that is missing was not measured, and the report says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from edgepack.bundle.manifest import BuildManifest, BundleManifest, load_build_manifest, load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.errors import InputError
from edgepack.plan.byte_rows import byte_rows
from edgepack.workspace import write_atomic

TEMPLATES = ("report.md", "report.html")


@dataclass(frozen=True)
class Table:
    """A titled table of text."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def write_report(folder: Path) -> list[Path]:
    """Write the report of the build in `folder`, where its manifest is; return the files."""
    build = load_build_manifest(folder)
    tables = build_tables(folder, build)
    environment = Environment(
        loader=PackageLoader("edgepack.report", "templates"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = markdown_cell
    paths = []
    for name in TEMPLATES:
        text = environment.get_template(f"{name}.j2").render(build=build, tables=tables)
        write_atomic(folder / name, text.encode())
        paths.append(folder / name)
    return paths


def build_tables(folder: Path, build: BuildManifest) -> list[Table]:
    """All tables of the report."""
    tables = []
    for artifact in build.artifacts:
        place = folder / str(artifact.get("bundle", ""))
        if not place.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{folder}: bundle {artifact.get('bundle')!r} is outside the build; build again")
        manifest = load_manifest(place)
        tables += bundle_tables(manifest, read_model(place / VERDICT_NAME, Verdict))
    tables.append(Table("Not built", ["target", "why"], [[name, why] for name, why in build.missing.items()]))
    tables.append(runtime_table(build))
    tables += [
        Table(f"{target}: bytes", ["tensor", "bytes", "share"], byte_rows(build.plan, target))
        for target in build.plan.get("tensors", {})
    ]
    plan = {name: value for name, value in build.plan.items() if name != "tensors"}
    for title, record in (("Inputs", build.inputs), ("Plan", plan), ("Versions", build.versions)):
        tables.append(Table(title, ["name", "value"], [[name, shown(value)] for name, value in record.items()]))
    tables.append(Table("Stages", ["stage"], [[shown(stage)] for stage in build.stages]))
    return [table for table in tables if table.rows]


def bundle_tables(manifest: BundleManifest, verdict: Verdict) -> list[Table]:
    """The figures of one artifact."""
    name = manifest.target
    kept = verdict.retention
    figures = [
        ["verdict", "passed" if verdict.passed else "not passed"],
        ["shipped bytes", f"{manifest.shipped_bytes:,} of {manifest.budget_bytes:,}"],
        ["retention", f"{kept.value:.4f} ({kept.low:.4f} to {kept.high:.4f})" if kept else "not measured"],
        ["agreement with the teacher", "not measured" if verdict.agreement is None else f"{verdict.agreement:.4f}"],
        ["KL from the teacher, nats", "not measured" if verdict.divergence is None else f"{verdict.divergence:.4f}"],
        ["most of the loss is from", verdict.blame or "no stage"],
    ]
    metrics = [
        [model, m.name, f"{m.value:.4f}", f"{m.low:.4f} to {m.high:.4f}", str(m.n)]
        for model, m in verdict.metrics.items()
    ]
    parity = [
        [f"{s.before} → {s.name}", *(f"{v:.4g}" for v in (s.max_abs, s.mean_abs, s.relative_error, s.agreement))]
        for s in verdict.parity
    ]
    speed = [
        [model, f"{s.load_ms:.1f}", by_tokens(s.p50_ms), f"{s.peak_bytes / 1e6:.1f}"]
        for model, s in verdict.speed.items()
    ]
    checks = [[c.name, c.status.replace("_", " "), c.reason] for c in verdict.checks]
    return [
        Table(name, ["figure", "value"], figures),
        Table(f"{name}: checks", ["check", "status", "why"], checks),
        Table(f"{name}: metric", ["model", "metric", "value", "95 % interval", "examples"], metrics),
        Table(f"{name}: logits", ["stages", "max abs", "mean abs", "relative", "agreement"], parity),
        Table(f"{name}: speed, 1 thread", ["model", "load ms", "p50 ms by tokens", "peak MB"], speed),
    ]


def runtime_table(build: BuildManifest) -> Table:
    """Artifacts of the same student compared, a row for each pair of runtimes."""
    columns = ["runtimes", "targets", "max abs", "relative", "same labels", "metrics"]
    rows = [
        [
            *(" / ".join(pair[name]) for name in ("runtimes", "targets")),
            *(f"{pair[name]:.4g}" for name in ("max_abs", "relative_error")),
            f"{pair['agreement']:.2%}",
            " / ".join(f"{metric:.4f}" for metric in pair["metrics"]),
        ]
        for pair in build.runtimes
    ]
    return Table("Runtimes compared with each other", columns, rows)


def by_tokens(times_ms: dict[int, float]) -> str:
    """Times by token count."""
    return ", ".join(f"{count}: {time:.2f}" for count, time in times_ms.items())


def shown(value: Any) -> str:
    """A JSON value as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def markdown_cell(text: str) -> str:
    """Text that stays inside one cell and is not read as HTML or as a table's bar."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
