"""A whole build on a tiny teacher: it finishes, repeats to the byte, and finds what is finished."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepack.build import delivery
from edgepack.build.flow import build as run_build
from edgepack.build.flow import plan_build
from edgepack.build.single_stage import bundle_output, check_bits, export_student, validate_output
from edgepack.bundle.linear import ENOUGH, compared
from edgepack.bundle.manifest import load_build_manifest, load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.errors import InputError
from edgepack.evidence.gate import gate
from edgepack.student.folder import load_student
from edgepack.target import load_target
from tests.builds.tiny import QUIET, TARGETS, Files, hashes, request


def test_bundles_fit_and_pass_the_gate(unbroken: Path) -> None:
    bundles = [unbroken / "bundles" / target for target in TARGETS]
    for bundle in bundles:
        assert load_manifest(bundle).shipped_bytes <= 60_000
    assert gate(bundles, console=QUIET).passed
    page = (unbroken / "report.html").read_text()
    assert "Training loss by step" in page
    assert "not recorded" not in page  # the teacher's bytes are
    assert (unbroken / "student" / "model.safetensors").is_file()
    config, limits = (
        json.loads((unbroken / "student" / f"{n}.json").read_text()) for n in ("config", "tokenizer_config")
    )
    assert limits["model_max_length"] == config["max_position_embeddings"]  # where transformers truncates


def test_a_verdict_holds_what_lies_behind_the_metric(unbroken: Path) -> None:
    verdict = read_model(unbroken / "bundles" / TARGETS[0] / VERDICT_NAME, Verdict)
    analysis, manifest = verdict.analysis, load_manifest(unbroken / "bundles" / TARGETS[0])
    assert analysis is not None
    assert [score.label for score in analysis.classes] == ["light", "music", "time"]
    assert {found.change for found in analysis.robustness} == {"case", "typos", "spacing", "emoji", "accents"}
    assert all(found.n == 120 for found in analysis.robustness)
    assert {part.kind for part in analysis.slices} >= {"label"}
    assert analysis.calibration is not None
    assert manifest.temperature == analysis.calibration.temperature
    assert manifest.evaluation is not None
    assert manifest.evaluation.n == 120
    assert manifest.training is not None
    assert manifest.training.n == 480
    assert 0 < manifest.training.shared < 0.5


def test_an_artifact_is_timed_beside_the_teacher_in_int8(unbroken: Path, tmp_path: Path) -> None:
    verdict = read_model(unbroken / "bundles" / TARGETS[0] / VERDICT_NAME, Verdict)
    assert set(verdict.speed) == {"artifact", "teacher", "teacher_int8"}
    policy = tmp_path / "gate.toml"
    policy.write_text(f"max_teacher_share = 1e6\nlatency_tokens = {min(verdict.speed['artifact'].p50_ms)}\n")
    (result,) = gate([unbroken / "bundles" / TARGETS[0]], policy, console=QUIET).bundles
    assert next(check.status for check in result.checks if check.name == "speedup") == "passed"


def refuse(*_: object) -> None:
    raise RuntimeError("no symbolic for aten::unheard_of")


@pytest.mark.parametrize(
    ("function", "instead", "message"),
    [
        ("export_int8", refuse, r"no symbolic for aten::unheard_of"),
        ("free_memory", lambda: 1000, r"it takes about .* of memory, and 1\.0 kB are free"),
    ],
)
def test_a_teacher_that_has_no_int8_model_is_a_warning(
    function: str,
    instead: Callable[..., Any],
    message: str,
    unbroken: Path,
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(delivery, function, instead)
    output = tmp_path / "out"
    shutil.copytree(unbroken, output, symlinks=True)
    for kind in ("validate", "int8-teacher"):
        for stage in (output / ".edgepack" / "stages").glob(f"{kind}-*"):
            shutil.rmtree(stage)
    run_build(request(files, output), QUIET)
    verdict = read_model(output / "bundles" / TARGETS[0] / VERDICT_NAME, Verdict)
    assert set(verdict.speed) == {"artifact", "teacher"}
    assert re.search(f"int8 model is not timed: exporting it failed: {message}", capsys.readouterr().err)


def test_a_linear_model_is_trained_within_the_budget_and_compared_with_each_artifact(unbroken: Path) -> None:
    """One word decides this task, so the linear model is as good as any student, and everything says so."""
    build, bundle = load_build_manifest(unbroken), unbroken / "bundles" / TARGETS[0]
    verdict, manifest = read_model(bundle / VERDICT_NAME, Verdict), load_manifest(bundle)
    assert manifest.linear == verdict.linear is not None
    assert verdict.linear is not None
    assert verdict.linear.bytes <= 60_000
    assert verdict.linear.metric.value == 1.0
    assert sum(verdict.linear.counts) == 120
    assert {**build.linear, "counts": verdict.linear.counts} == verdict.linear.model_dump(mode="json")
    assert next(stage for stage in build.stages if stage["name"] == "linear")["seconds"] > 0
    line = compared(verdict.linear, verdict.metrics["artifact"], "this model")
    assert ENOUGH in line
    assert line in (bundle / "README.md").read_text()
    assert ENOUGH in (unbroken / "report.md").read_text()
    assert "The cheap baseline" in (unbroken / "report.html").read_text()


def test_a_policy_may_ask_for_a_gain_over_the_linear_model(unbroken: Path, tmp_path: Path) -> None:
    policy = tmp_path / "gate.toml"
    for least, status in (("-0.2", "passed"), ("0.02", "failed"), ("0.0", "undecided")):
        policy.write_text(f"min_gain_over_linear = {least}\n")
        (result,) = gate([unbroken / "bundles" / TARGETS[0]], policy, console=QUIET).bundles
        check = next(check for check in result.checks if check.name == "linear")
        assert check.status in (status, "failed" if least == "0.0" else status), check.reason


def test_the_teacher_answers_other_data_in_the_gate(unbroken: Path, files: Files, tmp_path: Path) -> None:
    """The teacher knows most of the training data as well as the artifact does; all of them are refused."""
    bundle, most = unbroken / "bundles" / TARGETS[0], tmp_path / "most.tsv"
    (result,) = gate([bundle], evaluation=files.train, teacher=files.teacher, console=QUIET).bundles
    check = next(check for check in result.checks if check.name == "metric")
    assert check.status == "failed"
    assert "the examples that the model was trained on" in check.reason
    most.write_text("\n".join(Path(files.train).read_text().splitlines()[:-1]))
    (result,) = gate([bundle], evaluation=str(most), teacher=files.teacher, console=QUIET).bundles
    check = next(check for check in result.checks if check.name == "metric")
    assert check.status == "passed", check.reason
    assert "479 other examples than the recorded ones, the teacher's too" in check.reason
    changed = tmp_path / "teacher"
    shutil.copytree(files.teacher, changed)
    (changed / "config.json").write_text((changed / "config.json").read_text() + " ")
    (result,) = gate([bundle], evaluation=str(most), teacher=str(changed), console=QUIET).bundles
    check = next(check for check in result.checks if check.name == "metric")
    assert check.status == "failed"
    assert "is not the one that the bundle was made from" in check.reason


def test_runtimes_are_compared_over_the_evaluation_set(unbroken: Path) -> None:
    (pair,) = load_build_manifest(unbroken).runtimes
    assert (pair["targets"], pair["runtimes"]) == (list(TARGETS), ["onnxruntime", "pytorch-lite"])
    metrics = [load_manifest(unbroken / "bundles" / target).metrics["artifact"].value for target in TARGETS]
    assert pair["metrics"] == metrics
    assert pair["agreement"] > 0.95
    assert 0 < pair["relative_error"] < 0.05
    assert "| onnxruntime / pytorch-lite | android-onnx / android-torchscript |" in (unbroken / "report.md").read_text()


def test_predicted_bytes_are_the_shipped_bytes(unbroken: Path) -> None:
    predicted = load_build_manifest(unbroken).plan["candidates"][0]["bytes"]
    assert predicted == {target: load_manifest(unbroken / "bundles" / target).shipped_bytes for target in TARGETS}


def test_the_second_run_finds_everything_finished(
    files: Files, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(unbroken)
    monkeypatch.setattr("edgepack.build.flow.train", lambda *_, **__: pytest.fail("trained again"))
    run_build(request(files, unbroken), QUIET)
    validate_output(unbroken, QUIET)
    bundle_output(unbroken, QUIET)
    assert hashes(unbroken) == before


def test_the_teachers_states_go_when_training_is_done_and_come_again_with_it(
    files: Files, unbroken: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "out"
    shutil.copytree(unbroken, copy)
    stages = copy / ".edgepack" / "stages"
    (outputs,) = stages.glob("teacher-*")
    left = {path.name for path in outputs.iterdir()}
    assert left == {"logits.npy", "first_rows.npy", "kept.json", "stage.json"}
    kept = ("teacher", "plan", "carve", "distil")
    after = [path for path in stages.iterdir() if not path.name.startswith(kept)]
    for path in [*after, copy / "bundles"]:
        shutil.rmtree(path)
    run_build(request(files, copy), QUIET)
    assert {path.name for path in outputs.iterdir()} == left
    assert hashes(copy) == hashes(unbroken)
    (quantized,) = stages.glob("quantize-*")
    shutil.rmtree(quantized)
    run_build(request(files, copy, keep_states=True), QUIET)
    assert {path.name for path in outputs.iterdir()} == left | {"hidden.npy"}


def test_another_seed_gives_other_weights(files: Files, unbroken: Path, tmp_path: Path) -> None:
    run_build(request(files, tmp_path / "out", seed=1), QUIET)
    assert hashes(tmp_path / "out") != hashes(unbroken)


def test_a_dry_run_writes_nothing(files: Files, tmp_path: Path) -> None:
    report = plan_build(request(files, tmp_path / "out"), QUIET)
    assert report.plan.candidates
    assert report.time is not None
    assert report.to_record()["time"]["seconds"] > 0
    assert f"{report.time.examples:,} examples seen in {report.time.steps:,} steps, about " in report.table()
    assert "to compare with: a linear model of" in report.table()
    assert report.to_record()["linear"]["metric"]["value"] == 1.0
    assert not (tmp_path / "out").exists()


def test_a_budget_that_nothing_fits_names_one_that_does(files: Files, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no shape fits; the smallest needs (\d+) bytes") as caught:
        plan_build(request(files, tmp_path, budget_bytes=9_000), QUIET)
    needed = int(str(caught.value).split("needs ")[1].split()[0])
    assert plan_build(request(files, tmp_path, budget_bytes=needed), QUIET).plan.chosen
    with pytest.raises(InputError):
        plan_build(request(files, tmp_path, budget_bytes=needed - 1), QUIET)


def test_a_student_folder_exports_at_other_widths(unbroken: Path, tmp_path: Path) -> None:
    wide = export_student(unbroken / "student", TARGETS, tmp_path / "wide", 8, 8, QUIET)
    narrow = export_student(unbroken / "student", TARGETS, tmp_path / "narrow", 4, 4, QUIET)
    for a, b in zip(wide.artifacts, narrow.artifacts, strict=True):
        assert a.size_bytes > b.size_bytes
    with pytest.raises(InputError, match="allowed: 8, 4"):
        export_student(unbroken / "student", TARGETS, tmp_path / "no", 32, 8, QUIET)


def test_widths_given_for_an_export_are_those_of_every_matrix(unbroken: Path, tmp_path: Path) -> None:
    mixed = shutil.copytree(unbroken / "student", tmp_path / "mixed")
    config = json.loads((mixed / "config.json").read_text())
    (mixed / "config.json").write_text(json.dumps({**config, "widths": {"attention.0.output": 3}}))
    sizes = [
        sum(each.size_bytes for each in export_student(student, TARGETS, tmp_path / name, 8, 8, QUIET).artifacts)
        for name, student in (("a", unbroken / "student"), ("b", mixed))
    ]
    assert sizes[0] == sizes[1]
    with pytest.raises(InputError, match="android-torchscript stores every matrix at one; give --body-bits"):
        export_student(mixed, TARGETS, tmp_path / "no", None, None, QUIET)
    student = load_student(mixed)
    student.set_bits(8, 8)
    for name in ("ios-onnx", "ios-coreai"):
        check_bits(student, load_target(name))  # both hold a width for each matrix


def test_validation_alone_never_trains(files: Files, unbroken: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(unbroken, copy)
    for folder in (copy / ".edgepack" / "stages").glob("distil-*"):
        shutil.rmtree(folder)
    with pytest.raises(InputError, match="stage distil is not finished"):
        validate_output(copy, QUIET)
