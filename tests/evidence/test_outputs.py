"""What the gate writes for other programs: JSON with a schema, JUnit XML, Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from docs.generate_schemas import FOLDER, SCHEMAS, schema_text
from edgepack.bundle.verdict import Check
from edgepack.evidence.junit import junit_xml
from edgepack.evidence.markdown import markdown
from edgepack.evidence.outcome import BundleResult, GateResult

GOOD = Check(name="size", status="passed", value=3_880_000, limit=4_000_000, reason="shipped bytes are below the limit")
BAD = Check(name="retention", status="failed", value=0.91, limit=0.95, reason="a | b <b>*\x1b[31m` is\nlow")
UNSURE = Check(name="metric", status="undecided", value=0.97, limit=0.95, reason="the data cannot decide")
WAIVED = Check(name="parity", status="not_run", reason="no runtime")


def result(*checks: Check, seconds: dict[str, float] | None = None) -> GateResult:
    return GateResult((BundleResult(Path("out/android-onnx"), checks, frozenset({"parity"}), seconds or {}),))


@pytest.mark.parametrize("checks", [(GOOD,), (GOOD, BAD, UNSURE, WAIVED), ()])
def test_the_json_is_what_its_schema_says(checks: tuple[Check, ...]) -> None:
    schema = json.loads((FOLDER / "gate.json").read_text())
    document = json.loads(json.dumps(result(*checks, seconds={"size": 0.25}).to_record()))
    jsonschema.Draft202012Validator(schema).validate(document)
    broken = {**document, "bundles": [{"bundle": "x"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(broken)
    assert document["schema"] == 1


def test_a_figure_without_end_is_a_word_in_the_json() -> None:
    endless = Check(name="latency", status="failed", value=float("inf"), limit=float("-inf"), reason="x")
    document = json.dumps(result(endless).to_record(), allow_nan=False)
    assert ('"inf"' in document, '"-inf"' in document) == (True, True)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_schemas_in_the_documentation_are_the_codes(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == schema_text(name), "run `make docs`"


def test_junit_has_figures_times_and_reasons() -> None:
    root = ElementTree.fromstring(junit_xml(result(GOOD, BAD, UNSURE, WAIVED, seconds={"size": 0.25, "metric": 1.5})))
    (suite,) = root
    assert [root.get(key) for key in ("tests", "failures", "skipped", "time")] == ["4", "2", "1", "1.750"]
    assert suite.get("time") == "1.750"
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    size = cases["size"]
    assert size.get("time") == "0.250"
    assert {p.get("name"): p.get("value") for p in size.iter("property")} == {
        "value": "3880000.0",
        "limit": "4000000.0",
    }
    assert size.findtext("system-out") == GOOD.reason
    failures = {name: case.find("failure") for name, case in cases.items() if case.find("failure") is not None}
    assert {name: f.get("type") for name, f in failures.items() if f is not None} == {
        "retention": "failed",
        "metric": "undecided",
    }
    skipped = cases["parity"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "waived; not run: no runtime"


def test_markdown_shows_first_what_stopped_the_release() -> None:
    text = markdown(result(GOOD, BAD, UNSURE, WAIVED))
    assert text.startswith("## edgepack gate: failed\n")
    assert "0 of 1 bundles may ship." in text
    shown, folded = text.split("<details>")
    assert "| metric | undecided | 0.97 | 0.95 |" in shown
    assert "| parity | not run (waived) |" in shown
    assert "| size | passed | 3,880,000 | 4,000,000 |" in folded
    assert "| size |" not in shown


def test_nothing_in_a_reason_becomes_markup() -> None:
    text = markdown(result(BAD))
    (row,) = [line for line in text.splitlines() if "| retention |" in line]
    assert row.count("|") == 7, "six bars of the table, and the escaped one"
    assert "<b>" not in text
    assert "\x1b" not in text


def test_the_name_of_a_folder_forges_no_line() -> None:
    bundle = BundleResult(Path("out/a\nPASSED  b\x1b[2J\udcff"), (BAD,), frozenset())
    lines = GateResult((bundle,)).table().split("\n")
    assert lines[0] == r"FAILED  out/a\nPASSED  b\x1b[2J\udcff"
    heading = next(line for line in markdown(GateResult((bundle,))).splitlines() if line.startswith("###"))
    assert heading.isprintable()
    (suite,) = ElementTree.fromstring(junit_xml(GateResult((bundle,))))
    assert suite.get("name") == r"out/a\nPASSED  b\x1b[2J\udcff"


def test_a_good_result_is_short() -> None:
    assert "| check |" not in markdown(result(GOOD)).split("<details>")[0]
