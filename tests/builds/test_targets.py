"""Targets of a build that lack something here, and one build for every kind of target."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepack.build import delivery
from edgepack.build.delivery import Delivery, what_runs
from edgepack.build.flow import build as run_build
from edgepack.build.single_stage import validate_output
from edgepack.bundle.manifest import load_build_manifest
from edgepack.bundle.verdict import Verdict
from edgepack.errors import MissingDependency
from edgepack.evidence.gate import gate
from edgepack.export import Artifact
from edgepack.runtime import RUNTIMES, Session
from edgepack.student.model import Student
from edgepack.target import Target, load_target
from tests.builds.tiny import QUIET, TARGETS, TINY, Files, request

ONE = TARGETS[:1]


def test_a_runtime_that_is_missing_leaves_the_other_targets(
    files: Files, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "out"
    shutil.copytree(unbroken, copy)

    def missing(*_: Any) -> Session:
        raise MissingDependency("the runtime is not here; run: pip install it")

    monkeypatch.setattr("edgepack.runtime.pytorch_lite.load", missing)
    result = validate_output(copy, QUIET)
    assert (result.passed, result.exit_code) == (False, 3)
    assert [bundle.manifest.target for bundle in result.bundles] == ["android-onnx"]
    assert "android-torchscript: not built: the runtime is not here; run: pip install it" in result.table()
    assert load_build_manifest(copy).missing == result.to_record()["missing"]
    assert "| android-torchscript | the runtime is not here; run: pip install it |" in (copy / "report.md").read_text()


def test_a_target_without_its_package_is_recorded_and_the_others_are_built(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)  # not installed
    output = tmp_path / "out"
    result = run_build(request(files, output, targets=("android-litert", *ONE), budget_bytes=80_000), QUIET)
    assert result.exit_code == 3
    assert [bundle.manifest.target for bundle in result.bundles] == list(ONE)
    assert result.bundles[0].passed
    line = 'LiteRT is not installed; run: pip install "edgepack[litert]"'
    assert load_build_manifest(output).missing == {"android-litert": line}
    assert f"android-litert: not built: {line}" in result.table()
    assert "edgepack[litert]" in (output / "report.md").read_text()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS runs Core ML")
def test_what_cannot_run_here_is_reported_as_not_run_and_fails_the_gate(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNTIMES, "onnxruntime", "edgepack.runtime.coreml:load")  # a runtime that is not here
    result = run_build(request(files, tmp_path / "out", targets=ONE), QUIET)
    (bundle,) = result.bundles
    assert (result.passed, result.exit_code) == (False, 1)
    statuses = {check.name: check.status for check in bundle.verdict.checks}
    missing = ("retention", "parity", "finite", "goldens")
    assert statuses == {"size": "passed", **dict.fromkeys(missing, "not_run")}
    assert "artifact" not in bundle.verdict.metrics
    assert "not run: retention, parity" in result.table()
    outcome = gate([bundle.folder], console=QUIET).bundles[0]
    not_run = (*missing, "batches", "vocabulary")
    assert {(check.name, check.status) for check in outcome.failures} == {(name, "not_run") for name in not_run}
    policy = tmp_path / "gate.toml"
    policy.write_text(f"waive = {json.dumps(not_run)}")
    assert gate([bundle.folder], policy, console=QUIET).passed


@pytest.mark.slow
@pytest.mark.needs_executorch
@pytest.mark.needs_litert
@pytest.mark.needs_coreml
@pytest.mark.needs_coreai
def test_one_student_for_every_kind_of_target(files: Files, tmp_path: Path) -> None:
    for package in ("executorch", "ai_edge_litert", "coremltools", "coreai"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    targets = (*TARGETS, "android-executorch", "android-litert", "ios-coreml", "ios-coreai")
    output = tmp_path / "out"
    result = run_build(request(files, output, targets=targets, budget_bytes=120_000), QUIET)
    assert result.missing == {}
    planned = load_build_manifest(output).plan["candidates"][0]["bytes"]
    for bundle in result.bundles:
        name = bundle.manifest.target
        # structure is half of a file this small, so estimated ones may be further off than half a percent
        assert bundle.manifest.shipped_bytes == pytest.approx(planned[name], rel=0.03), name
        statuses = {check.status for check in bundle.verdict.checks if check.name in ("parity", "finite", "goldens")}
        assert statuses == {"not_run" if name == "ios-coreml" else "passed"}, name
    assert result.exit_code == 1  # what was not run has not passed
    outcome = gate([output / "bundles" / "ios-coreai"], console=QUIET).bundles[0]
    failures = {check.name for check in outcome.failures}
    assert failures <= {"retention"}  # of so short a training
    assert {"artifact", "goldens", "batches"} <= {check.name for check in outcome.checks}


def test_equal_artifacts_are_made_and_measured_once(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, made = list[str](), list[str]()
    judge, export = Delivery.judge, delivery.export

    def count(self: Delivery, target: Target, *rest: Any) -> Verdict:
        judged.append(target.name)
        return judge(self, target, *rest)

    def count_exports(student: Student, target: Target, folder: Path) -> Artifact:
        made.append(target.name)
        return export(student, target, folder)

    monkeypatch.setattr(Delivery, "judge", count)
    monkeypatch.setattr(delivery, "export", count_exports)
    names = ("android-onnx", "linux-onnx", "android-torchscript")
    output = tmp_path / "out"
    short = replace(TINY, examples_seen=640, prune_ratio=1.0)
    result = run_build(request(files, output, targets=names, timed=False, recipe=short, max_drop=1.0), QUIET)
    assert judged == made == ["android-onnx", "android-torchscript"]
    android, linux, torchscript = (bundle.verdict for bundle in result.bundles)
    assert (android.measured_as, linux.measured_as, torchscript.measured_as) == (None, "android-onnx", None)
    assert (linux.target, linux.metrics, linux.checks) == ("linux-onnx", android.metrics, android.checks)
    assert "passed; measured as android-onnx" in result.table()
    assert gate([output / "bundles" / "linux-onnx"]).passed


def test_a_target_that_runs_otherwise_is_measured_by_itself() -> None:
    names = ("android-onnx", "ios-onnx", "linux-onnx", "web-onnx", "android-torchscript")
    alike = {name: what_runs(load_target(name)) for name in names}
    assert alike["android-onnx"] == alike["ios-onnx"] == alike["linux-onnx"]
    assert alike["web-onnx"] != alike["android-onnx"] != alike["android-torchscript"]
