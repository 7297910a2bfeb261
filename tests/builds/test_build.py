"""A whole build on a tiny teacher: it finishes, repeats to the byte, and finds what is finished."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgepack.build.flow import build as run_build
from edgepack.build.flow import plan_build
from edgepack.build.single_stage import bundle_output, export_student, validate_output
from edgepack.bundle.manifest import load_build_manifest, load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.errors import InputError
from edgepack.evidence.gate import gate
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


def test_the_teacher_answers_other_data_in_the_gate(unbroken: Path, files: Files, tmp_path: Path) -> None:
    """The training data are other data than the recorded ones; the teacher knows them as well as the artifact does."""
    bundle = unbroken / "bundles" / TARGETS[0]
    (result,) = gate([bundle], evaluation=files.train, teacher=files.teacher, console=QUIET).bundles
    check = next(check for check in result.checks if check.name == "metric")
    assert check.status == "passed", check.reason
    assert "480 other examples than the recorded ones, the teacher's too" in check.reason
    changed = tmp_path / "teacher"
    shutil.copytree(files.teacher, changed)
    (changed / "config.json").write_text((changed / "config.json").read_text() + " ")
    (result,) = gate([bundle], evaluation=files.train, teacher=str(changed), console=QUIET).bundles
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


def test_validation_alone_never_trains(files: Files, unbroken: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(unbroken, copy)
    for folder in (copy / ".edgepack" / "stages").glob("distil-*"):
        shutil.rmtree(folder)
    with pytest.raises(InputError, match="stage distil is not finished"):
        validate_output(copy, QUIET)
