"""The gate's answer as JUnit XML, which CI systems show: a test suite for each bundle, a test case for each check."""

from __future__ import annotations

from xml.etree import ElementTree

from edgepack.bundle.verdict import Check
from edgepack.errors import printable
from edgepack.evidence.outcome import BundleResult, GateResult


def junit_xml(result: GateResult) -> bytes:
    """JUnit XML; a waived check is skipped, one that passed says why in `system-out`."""
    suites = [suite_of(bundle) for bundle in result.bundles]
    totals = {key: str(sum(int(s.get(key, 0)) for s in suites)) for key in ("tests", "failures", "skipped")}
    seconds = sum(sum(bundle.seconds.values()) for bundle in result.bundles)
    root = ElementTree.Element("testsuites", {"name": "edgepack gate", **totals, "time": f"{seconds:.3f}"})
    root.extend(suites)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def suite_of(bundle: BundleResult) -> ElementTree.Element:
    """The test suite of one bundle."""
    skipped = [c for c in bundle.checks if c.status != "passed" and c.name in bundle.waived]
    counts = {"tests": len(bundle.checks), "failures": len(bundle.failures), "errors": 0, "skipped": len(skipped)}
    attributes = {"name": printable(str(bundle.folder)), **{key: str(value) for key, value in counts.items()}}
    suite = ElementTree.Element("testsuite", attributes, time=f"{sum(bundle.seconds.values()):.3f}")
    for check in bundle.checks:
        suite.append(case_of(bundle, check))
    return suite


def case_of(bundle: BundleResult, check: Check) -> ElementTree.Element:
    """The test case of one check, its figure and limit as properties."""
    seconds = bundle.seconds.get(check.name, 0.0)
    name = printable(bundle.folder.resolve().name)
    case = ElementTree.Element("testcase", classname=name, name=printable(check.name), time=f"{seconds:.3f}")
    figures = [(key, value) for key, value in (("value", check.value), ("limit", check.limit)) if value is not None]
    if figures:
        properties = ElementTree.SubElement(case, "properties")
        for key, value in figures:
            ElementTree.SubElement(properties, "property", name=key, value=printable(str(value)))
    message = f"{check.status.replace('_', ' ')}: {printable(check.reason)}"
    if check.status == "passed":
        ElementTree.SubElement(case, "system-out").text = printable(check.reason)
    elif check.name in bundle.waived:
        ElementTree.SubElement(case, "skipped", message=f"waived; {message}")
    else:
        ElementTree.SubElement(case, "failure", message=message, type=check.status)
    return case
