"""What the gate answers: the checks of each bundle, as JSON, as lines for a person and as JUnit XML."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from edgepack.bundle.verdict import Check


@dataclass(frozen=True)
class BundleResult:
    """The checks of one bundle."""

    folder: Path
    checks: tuple[Check, ...]
    waived: frozenset[str]

    @property
    def failures(self) -> tuple[Check, ...]:
        """Checks that did not pass and are not waived."""
        return tuple(c for c in self.checks if c.status != "passed" and c.name not in self.waived)


@dataclass(frozen=True)
class GateResult:
    """The gate's answer."""

    bundles: tuple[BundleResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every bundle passed."""
        return not any(bundle.failures for bundle in self.bundles)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "passed": self.passed,
            "bundles": [
                {
                    "bundle": str(b.folder),
                    "passed": not b.failures,
                    "checks": [{**c.model_dump(mode="json"), "waived": c.name in b.waived} for c in b.checks],
                }
                for b in self.bundles
            ],
        }

    def table(self) -> str:
        """Lines for a person."""
        lines = []
        for bundle in self.bundles:
            lines.append(f"{'PASSED' if not bundle.failures else 'FAILED'}  {bundle.folder}")
            for check in bundle.checks:
                note = " (waived)" if check.name in bundle.waived and check.status != "passed" else ""
                lines.append(f"  {check.name:<10} {check.status.replace('_', ' '):<8}{note} {check.reason}")
        return "\n".join(lines)


def junit_xml(result: GateResult) -> bytes:
    """JUnit XML: a test suite for each bundle, a case for each check; a waived check is skipped."""
    root = ElementTree.Element("testsuites", name="edgepack gate")
    for bundle in result.bundles:
        skipped = [c for c in bundle.checks if c.status != "passed" and c.name in bundle.waived]
        counts = {"tests": len(bundle.checks), "failures": len(bundle.failures), "skipped": len(skipped)}
        attributes = {"name": str(bundle.folder), **{key: str(value) for key, value in counts.items()}}
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        for check in bundle.checks:
            case = ElementTree.SubElement(suite, "testcase", classname=bundle.folder.name, name=check.name)
            message = f"{check.status.replace('_', ' ')}: {printable(check.reason)}"
            if check in skipped:
                ElementTree.SubElement(case, "skipped", message=f"waived; {message}")
            elif check.status != "passed":
                ElementTree.SubElement(case, "failure", message=message)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def printable(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
