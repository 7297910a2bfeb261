"""One build, all its targets: the table of what each ships, how close it stays and what it costs here.

    python -m benchmarks targets --shared ../shared --work WORK [--targets NAME …] [--budget 4MB]
    python -m benchmarks targets --output OUT

The first builds SST-2 for all targets in WORK/targets, or resumes it; the second reads a finished build. Figures
are those that the build's validation measured in each target's own runtime: one thread, batch 1, medians of processes
in alternating runs. A target that lacks something here stands in the table with what it lacks.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runs import TASKS, size_option
from benchmarks.tables import markdown_table
from edgepack.build.flow import build
from edgepack.build.inputs import BuildRequest
from edgepack.bundle.manifest import BuildManifest, load_build_manifest, load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.console import Console
from edgepack.target import list_targets, load_target

TOKENS = 32
BUDGET = 4_000_000


def build_all(shared: Path, work: Path, targets: Sequence[str], budget_bytes: int, effort: str) -> Path:
    """The output folder of a build for these targets; a finished one is only looked through."""
    files, output = TASKS["sst2"], work / "targets" / "sst2"
    teacher, train, evaluation = (str(shared / name) for name in (files.teacher, files.train, files.evaluation))
    build(BuildRequest(teacher, train, evaluation, budget_bytes, tuple(targets), output, effort=effort), Console())
    return output


def target_figures(output: Path, build_manifest: BuildManifest) -> list[dict[str, Any]]:
    """A record for each target that was built."""
    records = []
    for artifact in build_manifest.artifacts:
        folder = output / str(artifact["bundle"])
        manifest, verdict = load_manifest(folder), read_model(folder / VERDICT_NAME, Verdict)
        speed = verdict.speed.get("artifact")
        metric = verdict.metrics.get("artifact")
        records.append(
            {
                "target": manifest.target,
                "runtime": load_target(manifest.target).runtime,
                "shipped_bytes": manifest.shipped_bytes,
                "budget_bytes": manifest.budget_bytes,
                "metric": metric.value if metric else None,
                "student": verdict.metrics["student"].value if "student" in verdict.metrics else None,
                "retention": verdict.retention.value if verdict.retention else None,
                "agreement": verdict.agreement,
                "load_ms": speed.load_ms if speed else None,
                "p50_ms": speed.p50_ms.get(TOKENS) if speed else None,
                "peak_bytes": speed.peak_bytes if speed else None,
                "passed": verdict.passed,
            }
        )
    return records


def targets_table(records: Sequence[dict[str, Any]], missing: dict[str, str]) -> str:
    """Markdown: a row for each target."""
    header = ["target", "runtime", "shipped bytes", "metric", "retention", "agreement with the teacher", "load ms"]
    rows = [[*header, f"p50 ms, {TOKENS} tokens", "peak MB", "verdict"]]
    for r in records:
        peak = None if r["peak_bytes"] is None else r["peak_bytes"] / 1e6
        figures = [(r["metric"], ".4f"), (r["retention"], ".1%"), (r["agreement"], ".1%"), (r["load_ms"], ".0f")]
        figures += [(r["p50_ms"], ".2f"), (peak, ".0f")]
        shown = ["not run" if value is None else format(value, pattern) for value, pattern in figures]
        verdict = "passed" if r["passed"] else "failed"
        rows.append([r["target"], r["runtime"], f"{r['shipped_bytes']:,}", *shown, verdict])
    rows += [[name, "-", "-", *["not run"] * 6, why] for name, why in missing.items()]
    return markdown_table(rows)


def main(arguments: Sequence[str]) -> None:
    """Print a table and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks targets")
    parser.add_argument("--output", type=Path, help="a finished build; else one is made, which needs the next two")
    parser.add_argument("--shared", type=Path, help="folder with models/ and data/")
    parser.add_argument("--work", type=Path, help="where the build is made")
    parser.add_argument("--targets", nargs="+", choices=list_targets(), default=list(list_targets()))
    parser.add_argument("--budget", type=size_option, default=BUDGET, metavar="SIZE")
    parser.add_argument("--effort", default="standard")
    options = parser.parse_args(arguments)
    if options.output is None and (options.shared is None or options.work is None):
        parser.error("give --output, or --shared and --work")
    output = options.output or build_all(
        options.shared.resolve(), options.work.resolve(), options.targets, options.budget, options.effort
    )
    manifest = load_build_manifest(output)
    records = target_figures(output, manifest)
    print(targets_table(records, manifest.missing))
    print(json.dumps({"machine": platform.platform(), "targets": records, "missing": manifest.missing}))
