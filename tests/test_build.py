"""A whole build on a tiny teacher: it finishes, repeats to the byte, and survives SIGKILL in every stage."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from edgepack import measure, recipe
from edgepack.build import build as run_build
from edgepack.build import plan_build
from edgepack.console import Console
from edgepack.data import Columns
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.finetune import finetune
from edgepack.gate import gate
from edgepack.inputs import BuildRequest
from edgepack.manifest import load_build_manifest, load_manifest
from edgepack.single_stage import bundle_output, export_student, validate_output
from edgepack.train import loop

TARGETS = ("android-onnx", "android-torchscript")
EXAMPLES_SEEN = 6_400
TINY = replace(recipe.RECIPES["quick"], examples_seen=EXAMPLES_SEEN, batch_size=16, prune_ratio=2.0)
STAGES = (
    "teacher",
    "plan",
    "carve",
    "distil",
    "prune",
    "quantize",
    "export-android-onnx",
    "validate-android-onnx",
    "bundle",
)
QUIET = Console(quiet=True)

# runs a build with the tiny recipe in a process of its own, to be killed
DRIVER = f"""
import sys
from dataclasses import replace
from pathlib import Path
from edgepack import measure, recipe
from edgepack.train import loop
recipe.RECIPES["quick"] = replace(
    recipe.RECIPES["quick"], examples_seen={EXAMPLES_SEEN}, batch_size=16, prune_ratio=2.0
)
loop.CHECKPOINT_SECONDS = 0.0
measure.REPEATS, measure.RUNS = 1, 2
from edgepack.build import build
from edgepack.console import Console
from edgepack.inputs import BuildRequest
teacher, data, evaluation, output = sys.argv[1:]
build(
    BuildRequest(teacher, data, evaluation, 60_000, {TARGETS!r}, Path(output), effort="quick", max_drop=0.3),
    Console(quiet=True),
)
"""


@dataclass(frozen=True)
class Files:
    teacher: str
    train: str
    evaluation: str


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A two-layer teacher of a task that a bag of words decides."""
    folder = tmp_path_factory.mktemp("teacher")
    generator = np.random.default_rng(0)
    words = {"light": ["lamp", "bright", "dim"], "music": ["song", "play", "tune"], "time": ["clock", "alarm", "hour"]}
    fillers = ["please", "now", "could", "you", "just", "the", "my", "a", "some", "very"]
    rows = [
        (" ".join([*generator.choice(fillers, generator.integers(1, 6)), generator.choice(keys)]), label)
        for _ in range(200)
        for label, keys in words.items()
    ]
    for name, chosen in (("train", rows[:480]), ("eval", rows[480:])):
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{label}\n" for t, label in chosen))
    tokenizer = make_tokenizer([text for text, _ in rows])
    tokenizer.save_pretrained(folder / "base")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder / "base")
    paths = Files(str(folder / "teacher"), str(folder / "train.tsv"), str(folder / "eval.tsv"))
    finetune(
        str(folder / "base"),
        paths.train,
        paths.evaluation,
        folder / "teacher",
        columns=Columns(),
        epochs=6,
        batch_size=16,
        learning_rate=2e-3,
        seed=0,
        max_length=None,
        console=QUIET,
    )
    return paths


def shorten(patch: pytest.MonkeyPatch) -> None:
    """Little training, and each speed measured once: its figures are not what is tested here."""
    patch.setitem(recipe.RECIPES, "quick", TINY)
    patch.setattr(measure, "REPEATS", 1)
    patch.setattr(measure, "RUNS", 2)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


def request(files: Files, output: Path, **changes: object) -> BuildRequest:
    asked = BuildRequest(
        files.teacher, files.train, files.evaluation, 60_000, TARGETS, output, effort="quick", max_drop=0.3
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def hashes(output: Path) -> dict[str, str]:
    """sha256 of every shipped file, by target and path."""
    return {
        f"{target}/{record.path}": record.sha256
        for target in TARGETS
        for record in load_manifest(output / "bundles" / target).files
        if record.shipped
    }


@pytest.fixture(scope="module")
def unbroken(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("build") / "out"
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        assert run_build(request(files, output), QUIET).passed
    return output


def test_bundles_fit_and_pass_the_gate(unbroken: Path) -> None:
    bundles = [unbroken / "bundles" / target for target in TARGETS]
    for bundle in bundles:
        assert load_manifest(bundle).shipped_bytes <= 60_000
    assert gate(bundles, console=QUIET).passed
    assert (unbroken / "report.html").is_file()
    assert (unbroken / "student" / "model.safetensors").is_file()


def test_predicted_bytes_are_the_shipped_bytes(unbroken: Path) -> None:
    predicted = load_build_manifest(unbroken).plan["candidates"][0]["bytes"]
    assert predicted == {target: load_manifest(unbroken / "bundles" / target).shipped_bytes for target in TARGETS}


def test_the_second_run_finds_everything_finished(
    files: Files, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(unbroken)
    monkeypatch.setattr("edgepack.build.train", lambda *_, **__: pytest.fail("trained again"))
    run_build(request(files, unbroken), QUIET)
    validate_output(unbroken, QUIET)
    bundle_output(unbroken, QUIET)
    assert hashes(unbroken) == before


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


def kill_in(stage: str, files: Files, output: Path) -> bool:
    """Start a build and SIGKILL it once `stage` is being worked on; False if it was too quick to be caught."""
    arguments = [sys.executable, "-c", DRIVER, files.teacher, files.train, files.evaluation, str(output)]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    scratch = output / ".edgepack" / "scratch"
    try:
        while process.poll() is None:
            if any(scratch.glob(f"{stage}-*/*")) or (stage == "bundle" and any(output.glob("bundles/.*/*"))):
                time.sleep(0.05)
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.002)
    finally:
        process.wait()
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "stage", [pytest.param(s, marks=() if s in ("prune", "quantize") else pytest.mark.slow) for s in STAGES]
)
def test_a_killed_build_ends_with_the_same_bytes(
    stage: str, files: Files, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    killed = kill_in(stage, files, output)
    if stage in ("distil", "prune", "quantize", "validate-android-onnx", "bundle"):
        assert killed, "the stage was over before it could be killed"
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    run_build(request(files, output), QUIET)
    assert hashes(output) == hashes(unbroken)
    assert sorted(path.name for path in (output / "bundles").iterdir()) == sorted(TARGETS)  # nothing half-written left


def test_validation_alone_never_trains(files: Files, unbroken: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(unbroken, copy)
    for folder in (copy / ".edgepack" / "stages").glob("distil-*"):
        shutil.rmtree(folder)
    with pytest.raises(InputError, match="stage distil is not finished"):
        validate_output(copy, QUIET)
