"""A policy's limits on what a verdict records, counts that contradict the rest of it, devices, waivers, targets."""

from __future__ import annotations

import json
import math
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgepack.bundle.analysis import Calibration, ClassScore, Robustness
from edgepack.bundle.manifest import MetricRecord, artifact_sha256
from edgepack.bundle.verdict import Check, Speed, Verdict
from edgepack.bundle.write import Bundle
from edgepack.errors import InputError
from edgepack.evidence.device import DeviceReport, device_check, read_device_report
from edgepack.evidence.gate import gate, targets_check
from edgepack.evidence.policy import JUDGED, Policy, read_policy
from edgepack.evidence.verdict_checks import verdict_questions
from tests.evidence.planted import mend_manifest, put


def check_of(name: str, verdict: Verdict, bundle: Bundle, *devices: DeviceReport, **rules: Any) -> Check:
    questions = dict(verdict_questions(lambda: verdict, bundle.manifest, Policy(**rules), devices))
    (check,) = questions[name]()
    assert check.name == name
    return check


LIMITS = {"min_agreement": 0.5, "min_gain_over_linear": 0.0, "min_class_f1": 0.5, "max_calibration_error": 0.5} | {
    "max_flips": 0.5, "max_p50_ms": 9.0, "max_teacher_share": 0.5, "max_load_ms": 9.0, "max_peak_bytes": 9,
}  # fmt: skip
LIMITED = ("agreement", "linear", "classes", "calibration", "robustness", "latency", "speedup", "load", "memory")


def test_a_verdict_that_does_not_read_fails_each_check_of_it_by_its_name(copy: Path, tmp_path: Path) -> None:
    (copy / "verdict.json").write_text("{")
    mend_manifest(copy)
    (tmp_path / "gate.toml").write_text("".join(f"{key} = {limit}\n" for key, limit in LIMITS.items()))
    (result,) = gate([copy], tmp_path / "gate.toml").bundles
    wanted = ("retention", "parity", "finite", *LIMITED)
    assert {c.name for c in result.checks} == {*JUDGED, *LIMITED}
    assert {c.status for c in result.checks if c.name in wanted} == {"failed"}
    assert all("verdict.json: " in c.reason for c in result.checks if c.name in wanted)


@pytest.mark.parametrize("confidence", [-1.0, 0.4, 1.0, 1e300])
def test_a_test_at_no_confidence_fails_each_check_that_needs_one_in_a_line(
    confidence: float, copy: Path, tmp_path: Path
) -> None:
    put("verdict.json", "analysis", "noninferiority", "confidence", to=confidence)(copy)
    counted = {"counts": [75, 0, 0, 0], "bytes": 9, "features": "words", "trained": "here"}
    put(
        "verdict.json",
        "linear",
        to={**counted, "metric": {"name": "accuracy", "value": 1, "n": 75, "low": 1, "high": 1}},
    )(copy)
    mend_manifest(copy)
    (tmp_path / "gate.toml").write_text("min_gain_over_linear = -1\n")
    (result,) = gate([copy], tmp_path / "gate.toml").bundles
    for name in ("retention", "linear"):
        check = next(check for check in result.checks if check.name == name)
        assert check.status == "failed"
        assert f"and the confidence {confidence:g}; allowed: 0 to 1, and 0.5 to 0.999999" in check.reason


@pytest.mark.parametrize("row", [[], [1], [-1, 1, 1, 1, 75], [1, 1, 1, 1, -75], [2, 1, 1, 1, 75]], ids=str)
def test_counts_that_are_none_fail_retention_alone(row: list[int], copy: Path) -> None:
    put("verdict.json", "analysis", "noninferiority", "rows", 0, to=row)(copy)
    mend_manifest(copy)
    (result,) = gate([copy]).bundles
    found = {check.name: check for check in result.checks}
    assert set(found) == set(JUDGED)
    assert found["retention"].status == "failed"
    assert "\n" not in found["retention"].reason
    assert (found["parity"].status, found["finite"].status) == ("passed", "passed")


def test_the_test_is_made_again_with_the_policys_margin_and_confidence(bundle: Bundle) -> None:
    """75 examples without a fault: the exact lower end is 0.025^(1/75) = 0.952."""
    for rules, status in (
        ({}, "passed"),
        ({"max_drop": 0.04}, "undecided"),
        ({"max_drop": 0.04, "confidence": 0.8}, "passed"),
        ({"confidence": 0.99}, "undecided"),
    ):
        check = check_of("retention", bundle.verdict, bundle, **rules)
        assert check.status == status, check.reason
    assert "about 91 would" in check_of("retention", bundle.verdict, bundle, max_drop=0.04).reason


def changed(verdict: Verdict, **parts: Any) -> Verdict:
    return verdict.model_copy(update=parts)


def test_what_the_verdict_claims_has_to_follow_from_its_counts(bundle: Bundle) -> None:
    verdict = bundle.verdict
    assert verdict.retention is not None
    assert verdict.analysis is not None
    test = verdict.analysis.noninferiority
    assert test is not None
    few = verdict.metrics["artifact"].model_copy(update={"n": 76})
    lower = MetricRecord(name="accuracy", value=0.9, n=75, low=0.8, high=1.0)
    claims = {
        "retention is 0.99": changed(verdict, retention=verdict.retention.model_copy(update={"value": 0.99})),
        "lower end is 0.99": changed(verdict, retention=verdict.retention.model_copy(update={"low": 0.99})),
        "upper end is 1.5": changed(verdict, retention=verdict.retention.model_copy(update={"high": 1.5})),
        "retention is missing": changed(verdict, retention=None),
        "number of examples is 76": changed(verdict, metrics={**verdict.metrics, "artifact": few}),
        "teacher's metric is 0.9": changed(verdict, metrics={**verdict.metrics, "teacher": lower}),
    }
    for said, claim in claims.items():
        check = check_of("retention", claim, bundle)
        assert check.status == "failed"
        assert said in check.reason
    rows = test.model_copy(update={"rows": [[1, 1, 1, 1, 74], [0, 1, 1, 1, 1]]})
    other = changed(verdict, analysis=verdict.analysis.model_copy(update={"noninferiority": rows}))
    assert check_of("retention", other, bundle).status == "failed"


def test_a_verdict_without_counts_or_test_was_not_run(bundle: Bundle) -> None:
    check = check_of("retention", changed(bundle.verdict, analysis=None), bundle)
    assert check.status == "not_run"
    assert "run `edgepack validate` again" in check.reason
    assert check_of("retention", changed(bundle.verdict, checks=[]), bundle).status == "not_run"


def test_limits_on_what_lies_behind_the_metric(bundle: Bundle) -> None:
    analysis = bundle.verdict.analysis
    assert analysis is not None
    classes = [
        ClassScore(label=label, n=9, teacher=0.9, artifact=f1, low=-0.2, high=0.1)
        for label, f1 in (("yes", 0.9), ("no", 0.7))
    ]
    calibration = Calibration(
        teacher_ece=0.02, artifact_ece=0.2, temperature=2, scaled_ece=0.04, teacher_confidence=0.9,
        artifact_confidence=0.99,
    )  # fmt: skip
    shifts = [
        Robustness(change=change, n=50, teacher_flips=3, artifact_flips=9, flips_alone=alone, low=0.0, high=0.2)
        for change, alone in (("case", 2), ("typos", 8))
    ]
    known = analysis.model_copy(update={"classes": classes, "calibration": calibration, "robustness": shifts})
    verdict = changed(bundle.verdict, analysis=known)
    assert check_of("classes", verdict, bundle, min_class_f1=0.7).status == "passed"
    assert "worst class, no (9 examples)" in check_of("classes", verdict, bundle, min_class_f1=0.75).reason
    assert check_of("classes", verdict, bundle, min_class_f1=0.75).status == "failed"
    assert check_of("calibration", verdict, bundle, max_calibration_error=0.05).status == "passed"
    assert check_of("calibration", verdict, bundle, max_calibration_error=0.03).status == "failed"
    assert check_of("robustness", verdict, bundle, max_flips=0.16).status == "passed"
    assert "by typos" in check_of("robustness", verdict, bundle, max_flips=0.1).reason
    empty = changed(bundle.verdict, analysis=analysis.model_copy(update={"classes": [], "calibration": None}))
    limits = {"min_class_f1": 0.5, "max_calibration_error": 0.1, "max_flips": 0.1}
    for name in ("classes", "calibration", "robustness"):
        assert check_of(name, empty, bundle, **limits).status == "not_run"


SPEED = {
    "artifact": Speed(
        load_ms=20, p50_ms={16: 1.0, 32: 2.0}, peak_bytes=90_000_000, baseline_bytes=1, resident_bytes=50_000_000
    ),
    "teacher": Speed(load_ms=200, p50_ms={16: 16.0, 32: 20.0}, peak_bytes=900_000_000, baseline_bytes=1),
    "teacher_int8": Speed(load_ms=50, p50_ms={16: 8.0, 32: 10.0}, peak_bytes=300_000_000, baseline_bytes=1),
}


def test_limits_on_costs_of_the_machine_that_validated(bundle: Bundle) -> None:
    verdict = changed(bundle.verdict, speed=SPEED)
    assert check_of("latency", verdict, bundle, max_p50_ms=2.0).status == "passed"
    assert check_of("latency", verdict, bundle, max_p50_ms=1.9).status == "failed"
    assert check_of("speedup", verdict, bundle, max_teacher_share=0.2).status == "passed"
    assert check_of("speedup", verdict, bundle, max_teacher_share=0.19).status == "failed"
    without = changed(verdict, speed={name: SPEED[name] for name in ("artifact", "teacher")})
    assert check_of("speedup", without, bundle, max_teacher_share=0.9).status == "not_run"  # fp32 is no phone's teacher
    assert check_of("load", verdict, bundle, max_load_ms=19.0).status == "failed"
    assert check_of("memory", verdict, bundle, max_peak_bytes=100_000_000).status == "passed"
    assert check_of("memory", changed(verdict, speed={}), bundle, max_peak_bytes=1).status == "not_run"
    assert (
        check_of("memory", verdict, bundle, max_peak_bytes=90_000_000, max_resident_bytes=50_000_000).status == "passed"
    )
    after = check_of("memory", verdict, bundle, max_peak_bytes=90_000_000, max_resident_bytes=49_999_999)
    assert (after.status, after.value) == ("failed", 50_000_000)
    older = {"artifact": SPEED["artifact"].model_copy(update={"resident_bytes": None})}
    assert check_of("memory", changed(verdict, speed=older), bundle, max_resident_bytes=1).status == "not_run"
    # a p95 is a device's
    assert check_of("latency", verdict, bundle, max_p50_ms=2.0, max_p95_ms=9.0).status == "not_run"


def test_a_token_count_that_was_not_measured_is_told_those_that_were(bundle: Bundle) -> None:
    verdict = changed(bundle.verdict, speed=SPEED)
    check = check_of("latency", verdict, bundle, max_p50_ms=2.0, latency_tokens=33)
    assert check.status == "not_run"
    assert "at 33 tokens; token counts that were measured: 16, 32" in check.reason


def report(bundle: Bundle, path: Path | None = None, **changes: Any) -> DeviceReport:
    known = {
        "device": "Phone 1", "os": "OS 2", "runtime": "runtime 3", "artifact_sha256": artifact_sha256(bundle.manifest),
        "load_ms": 30.0, "p50_ms": {"32": 5.0}, "p95_ms": {"32": 7.0}, "peak_bytes": 60_000_000,
        "thermal": "nominal", "goldens": 10, "goldens_passed": 10, **changes,
    }  # fmt: skip
    if path is not None:
        path.write_text(json.dumps(known))
    return DeviceReport.model_validate_json(json.dumps(known))


def test_limits_are_held_against_the_device(bundle: Bundle) -> None:
    device, verdict = report(bundle), changed(bundle.verdict, speed=SPEED)
    check = check_of("latency", verdict, bundle, device, max_p50_ms=4.0)
    assert check.status == "failed"
    assert "on Phone 1" in check.reason
    assert check_of("latency", verdict, bundle, device, max_p50_ms=5.0, max_p95_ms=6.0).status == "failed"
    assert check_of("latency", verdict, bundle, device, max_p50_ms=4.0, max_p95_ms=7.0).status == "failed"
    assert check_of("latency", verdict, bundle, device, max_p50_ms=5.0, max_p95_ms=7.0).status == "passed"
    assert check_of("memory", verdict, bundle, device, max_peak_bytes=70_000_000).status == "passed"
    assert check_of("load", verdict, bundle, device, max_load_ms=25.0).status == "failed"


def test_each_of_several_devices_keeps_the_limits(bundle: Bundle) -> None:
    fast, slow = report(bundle), report(bundle, device="Phone 2", p50_ms={"32": 9.0}, p95_ms={"32": 9.0})
    for devices in ((fast, slow), (slow, fast), (slow, slow)):
        check = check_of("latency", bundle.verdict, bundle, *devices, max_p50_ms=6.0)
        assert check.status == "failed"
        assert "on Phone 2" in check.reason
    assert check_of("latency", bundle.verdict, bundle, fast, slow, max_p50_ms=10.0).status == "passed"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "passed"),
        ({"thermal": "fair"}, "passed"),
        ({"thermal": "serious"}, "failed"),
        ({"thermal": "critical"}, "failed"),
        ({"thermal": "unknown"}, "not_run"),
        ({"thermal": "unknown", "goldens_passed": 9}, "failed"),
        ({"goldens_passed": 9}, "failed"),
        ({"goldens": 0, "goldens_passed": 0}, "failed"),
        ({"goldens": 9, "goldens_passed": 9}, "failed"),  # of the ten that the bundle has
    ],
)
def test_a_phone_shows_all_goldens_and_that_it_was_cool(bundle: Bundle, changes: dict[str, Any], status: str) -> None:
    assert device_check(report(bundle, **changes), 10).status == status


def test_the_gate_takes_the_report_of_its_artifact_alone(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "phone.json"
    goldens = len((bundle.folder / "golden.jsonl").read_text().splitlines())
    for few, status in ((0, "passed"), (1, "failed")):
        report(bundle, path, goldens=goldens - few, goldens_passed=goldens - few)
        (result,) = gate([bundle.folder], device_reports=[path]).bundles
        assert [c.status for c in result.checks if c.name == "device"] == [status]
    report(bundle, path, artifact_sha256="0" * 64)
    with pytest.raises(InputError, match="none of the bundles holds it"):
        gate([bundle.folder], device_reports=[path])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"load_ms": -1.0}, "load_ms"),
        ({"p50_ms": {}}, "p50_ms"),
        ({"thermal": "warm"}, "thermal"),
        ({"artifact_sha256": "x"}, "artifact_sha256"),
        ({"load_ms": "41"}, "load_ms"),
        ({"load_ms": math.nan}, "load_ms"),
        ({"p50_ms": {"32": math.inf}}, "p50_ms.32"),
        ({"p50_ms": {"32": 1e300}}, "p50_ms.32"),
        ({"p50_ms": {"-1": 2.0}}, "p50_ms.-1"),
        ({"p50_ms": {str(n): 1.0 for n in range(1, 99)}}, "p50_ms"),
        ({"p50_ms": [2.0]}, "p50_ms"),
        ({"peak_bytes": True}, "peak_bytes"),
        ({"peak_bytes": 10**30}, "peak_bytes"),
        ({"goldens": None}, "goldens"),
        ({"device": "d" * 201}, "device"),
        ({"schema": 2}, "schema"),
        ({"goldens": 1, "goldens_passed": 2}, "the document: Value error, 2 of 1 goldens passed"),
        ({"p95_ms": {"32": 4.0}}, "the document: Value error, at 32 tokens p95 is 4 ms and p50 5 ms"),
        ({"resident_bytes": 70_000_000}, "the document: Value error, 70,000,000 bytes stayed of a peak of 60,000,000"),
    ],
)
def test_a_report_that_cannot_be_names_its_key(
    bundle: Bundle, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = tmp_path / "phone.json"
    path.write_text(json.dumps({**json.loads(report(bundle).model_dump_json()), **changes}))
    with pytest.raises(InputError, match=rf"^[^\n]*phone\.json: {said}[^\n]*; let the app write it again[^\n]*$"):
        read_device_report(path)


def test_a_file_that_is_no_report_is_one_line(bundle: Bundle, tmp_path: Path) -> None:
    path, pipe = tmp_path / "phone.json", tmp_path / "pipe"
    os.mkfifo(pipe)
    for data in (b"", b"{", b"[" * 100_000, b"[]", b"\xff", b"null"):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"^[^\n]*phone\.json: the document: [^\n]*$"):
            gate([bundle.folder], device_reports=[path])
    path.write_bytes(b" " * 1_000_001)
    for place, said in (
        (path, "is larger than 1,000,000 bytes"),
        (pipe, "no regular file"),
        (tmp_path / "no", "No such"),
    ):
        with pytest.raises(InputError, match=said):
            gate([bundle.folder], device_reports=[place])


def test_a_waiver_has_a_reason_and_an_end(bundle: Bundle, tmp_path: Path) -> None:
    path, today = tmp_path / "gate.toml", date.today()
    for until, passed, said in (
        (today, True, f"(waived until {today}: too few examples)"),
        (today - timedelta(days=1), False, "(its waiver ended on"),
    ):
        path.write_text(
            f'max_drop = 0.01\n[[waiver]]\ncheck = "retention"\nreason = "too few examples"\nuntil = {until}\n'
        )
        (result,) = gate([bundle.folder], path).bundles
        assert (result.failures == ()) == passed
        assert said in next(c for c in result.checks if c.name == "retention").reason


def test_the_reason_of_a_waiver_forges_no_line(bundle: Bundle, tmp_path: Path) -> None:
    reason = r"a\nPASSED  x \u001b[2J"
    waiver = f'[[waiver]]\ncheck = "retention"\nreason = "{reason}"\nuntil = 2099-01-01\n'
    (tmp_path / "gate.toml").write_text(f"max_drop = 0.01\n{waiver}")
    table = gate([bundle.folder], tmp_path / "gate.toml").table()
    (line,) = [line for line in table.splitlines() if "PASSED  x" in line]
    assert r"waived until 2099-01-01: a\nPASSED  x \x1b[2J)" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[waiver]]\ncheck = "parity"\nreason = "x"\n', "waiver.0.until"),
        ('[waiver]\ncheck = "parity"\n', r"key 'waiver' .*; it must be a list: write \[\[waiver\]\]"),
        ('waive = "parity"', r"key 'waive' is 'parity'; it must be a list, such as \[\"parity\"\]"),
        ('[[waiver]]\ncheck = "parity"\nreason = ""\nuntil = 2026-01-01\n', "waiver.0.reason"),
        ('[[waiver]]\ncheck = "nothing"\nreason = "x"\nuntil = 2026-01-01\n', "nothing"),
        ('[[waiver]]\ncheck = "parity"\nreason = "x"\nuntil = "someday"\n', "waiver.0.until"),
        ('require = ["parity"]\n[[waiver]]\ncheck = "parity"\nreason = "x"\nuntil = "2026-01-01"\n', "both required"),
    ],
)
def test_waivers_that_say_too_little_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_policy(path)


def test_a_required_target_without_a_bundle_fails(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('require_targets = ["android-onnx"]')
    assert gate([bundle.folder], path).passed
    path.write_text('require_targets = ["android-onnx", "ios-onnx"]')
    (result,) = gate([bundle.folder], path).bundles
    assert [(c.name, c.reason) for c in result.failures] == [("targets", "no bundle was given for ios-onnx")]
    path.write_text('require_targets = ["toaster"]')
    with pytest.raises(InputError, match="toaster"):
        gate([bundle.folder], path)


def test_required_targets() -> None:
    assert targets_check([]) == Check(
        name="targets", status="passed", value=0, limit=0, reason="there is a bundle for each required target"
    )
    assert targets_check(["ios-onnx", "web-onnx"]) == Check(
        name="targets", status="failed", value=2, limit=0, reason="no bundle was given for ios-onnx, web-onnx"
    )
