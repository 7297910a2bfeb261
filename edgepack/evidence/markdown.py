"""The gate's answer as Markdown, for a job's summary page or a comment: first what did not pass."""

from __future__ import annotations

import html
from collections.abc import Sequence

from edgepack.bundle.verdict import Check, in_full
from edgepack.errors import bare
from edgepack.evidence.outcome import BundleResult, GateResult

LONGEST_REASON = 300


def markdown(result: GateResult) -> str:
    """A section for each bundle."""
    passed = sum(not bundle.failures for bundle in result.bundles)
    word = "passed" if result.passed else "failed"
    lines = [f"## edgepack gate: {word}", "", f"{passed} of {len(result.bundles)} bundles may ship.", ""]
    for bundle in result.bundles:
        lines += section(bundle)
    return "\n".join(lines)


def section(bundle: BundleResult) -> list[str]:
    """Heading, the checks that did not pass, and the others in a fold."""
    word = "failed" if bundle.failures else "passed"
    stopped = list(bundle.failures)
    waived = [c for c in bundle.checks if c.status != "passed" and c not in bundle.failures]
    good = [c for c in bundle.checks if c.status == "passed"]
    lines = [f"### {cell(bundle.folder.resolve().name)}: {word}", ""]
    lines += table(stopped, {}) + table(waived, {c.name: " (waived)" for c in waived})
    if good:
        lines += [f"<details><summary>{len(good)} checks passed</summary>", "", *table(good, {}), "</details>", ""]
    return lines


def table(checks: Sequence[Check], notes: dict[str, str]) -> list[str]:
    """A Markdown table with a line for each check; nothing for none."""
    if not checks:
        return []
    rows = [
        f"| {cell(c.name)} | {c.status.replace('_', ' ')}{notes.get(c.name, '')} | {figure(c.value)} | "
        f"{figure(c.limit)} | {cell(c.reason)} |"
        for c in checks
    ]
    return ["| check | status | value | limit | why |", "|---|---|---|---|---|", *rows, ""]


def figure(value: float | str | None) -> str:
    """A number, or the word that stands for one."""
    if value is None:
        return ""
    return cell(value) if isinstance(value, str) else in_full(value)


def cell(text: str) -> str:
    """Text as a table's cell may hold it: one line, nothing that Markdown or HTML would read as its own."""
    plain = html.escape(bare(text, LONGEST_REASON), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_[]|#" else char for char in plain)
