"""A whole build on a tiny teacher: it finishes, repeats to the byte, and survives SIGKILL in every stage."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from edgepack import measure, recipe
from edgepack.build import build as run_build
from edgepack.build import plan_build
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.attention_maps import AttentionScores
from edgepack.compress.distil.earth_mover import EarthMover
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap
from edgepack.compress.distil.patience import Patience
from edgepack.compress.distil.relations import Relations
from edgepack.compress.distil.soft_targets import HardLabels, SoftTargets
from edgepack.compress.general import General
from edgepack.compress.l0 import L0Pruning
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.console import Console
from edgepack.data import Columns
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError, MissingDependency
from edgepack.finetune import finetune
from edgepack.gate import gate
from edgepack.inputs import BuildRequest
from edgepack.manifest import load_build_manifest, load_manifest
from edgepack.plan.search import Structure
from edgepack.recipe import Recipe
from edgepack.runtime import RUNTIMES, Session
from edgepack.single_stage import bundle_output, export_student, validate_output
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.train import Phase, loop

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
    assert load_build_manifest(copy).missing == result.to_json()["missing"]
    assert "| android-torchscript | the runtime is not here; run: pip install it |" in (copy / "report.md").read_text()


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


# one build for each method of a recipe, barely trained: what is checked is that the method did its part

BARELY = Recipe(examples_seen=800, batch_size=16)
ONE = TARGETS[:1]


@dataclass(frozen=True)
class Made:
    """A finished build's plan, student and stages."""

    plan: dict[str, Any]
    config: StudentConfig
    stages: list[str]
    shipped_bytes: int
    output: Path

    def student_files(self, stage: str) -> dict[str, torch.Tensor]:
        """What a training stage handed on."""
        (folder,) = (self.output / ".edgepack" / "stages").glob(f"{stage}-*")
        return load_file(folder / "result" / "progress.safetensors")


def make(files: Files, output: Path, **changes: object) -> Made:
    """A build of one target with `BARELY` changed; `budget_bytes` and `text` are the request's."""
    asked: dict[str, object] = {name: changes.pop(name) for name in ("budget_bytes", "text") if name in changes}
    recipe = replace(BARELY, **changes)  # type: ignore[arg-type]
    run_build(request(files, output, targets=ONE, recipe=recipe, max_drop=1.0, **asked), QUIET)
    manifest = load_build_manifest(output)
    return Made(
        manifest.plan,
        Student.from_pretrained(output / "student").config,
        [str(stage["name"]) for stage in manifest.stages],
        load_manifest(output / "bundles" / ONE[0]).shipped_bytes,
        output,
    )


def predicted(made: Made) -> int:
    return int(made.plan["candidates"][0]["bytes"][ONE[0]])


def test_losses_over_attention_and_other_layers_get_the_states_that_they_need(files: Files, tmp_path: Path) -> None:
    phases = (
        Phase(0.3, (AttentionScores(), HiddenStates())),
        Phase(0.6, (Relations(relation_heads=4), LearnedMap(), EarthMover(), HardLabels())),
        Phase(1.0, (SoftTargets(), Patience(layers="last"))),
    )
    made = make(files, tmp_path / "out", phases=phases, augmentation=Augmentation(0.3), budget_bytes=40_000)
    assert made.shipped_bytes == predicted(made)
    (folder,) = (made.output / ".edgepack" / "stages").glob("teacher-*")
    assert np.load(folder / "states.npy").tolist() == [0, 1, 2]
    assert not any(name.startswith("learned.") for name in made.student_files("quantize"))


def test_module_replacing_trains_a_student_that_runs_alone(files: Files, tmp_path: Path) -> None:
    made = make(files, tmp_path / "out", module_replacing=ModuleReplacing(), phases=(Phase(1.0, (SoftTargets(),)),))
    assert made.shipped_bytes == predicted(made)
    assert made.student_files("distil").keys() >= {"student.attention.0.query.full.weight"}


def test_l0_pruning_ends_at_the_plans_shape(files: Files, tmp_path: Path) -> None:
    made = make(files, tmp_path / "out", l0=L0Pruning(0.5), prune_ratio=2.0, budget_bytes=30_000)
    assert made.shipped_bytes == predicted(made)
    assert (made.config.num_heads, made.config.intermediate_sizes) == (
        made.plan["shape"]["num_heads"],
        made.plan["shape"]["intermediate_sizes"],
    )
    before, after = made.student_files("distil"), made.student_files("prune")
    name = "student.feed_forward.0.up.full.bias"
    assert len(before[name]) > len(after[name])
    assert not any("l0." in key for key in after)


@pytest.mark.parametrize("objectives", [{}, {"masked_words": 1.0}, {"masked_words": 1.0, "sentence_order": 1.0}])
def test_the_general_stage_trains_its_objectives_and_drops_their_heads(
    objectives: dict[str, float], files: Files, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    sentence = "could you play the song now . please just dim my lamp . set a clock ."
    text.write_text(f"{sentence} {sentence}\n\n" * 40)
    made = make(files, tmp_path / "out", general=General(0.5, **objectives), text=text)
    assert "general" in made.stages
    if not objectives:  # the same words in another order: the same plan, but another text to train on
        text.write_text("\n".join(reversed(text.read_text().split(" "))))
        again = make(files, tmp_path / "out", general=General(0.5), text=text)
        assert (again.plan["shape"], again.shipped_bytes) == (made.plan["shape"], made.shipped_bytes)
        assert len(list((made.output / ".edgepack" / "stages").glob("general-*"))) == 2
        return
    assert made.shipped_bytes == predicted(made)
    assert not any(name.startswith("learned.") for name in made.student_files("general"))


@pytest.mark.parametrize("weights", ["none", "inputs", "fisher"])
def test_a_cut_hidden_width_with_low_rank_matrices(weights: str, files: Files, tmp_path: Path) -> None:
    structure = Structure(hidden_size=48, rank_share=0.5, vocabulary="whole", body_bits=8, embedding_bits=4)
    made = make(files, tmp_path / "out", structure=structure, rank_weights=weights)
    assert made.shipped_bytes == predicted(made)
    config = made.config
    assert (config.hidden_size, config.body_bits, config.embedding_bits) == (48, 8, 4)
    assert all((config.ranks or {})["query"])
    assert made.student_files("carve")["hidden_map"].sum() == 48


def test_mixed_widths_stay_within_the_plans_bytes(files: Files, tmp_path: Path) -> None:
    structure = Structure(body_bits=4)
    made = make(files, tmp_path / "out", mixed_widths=True, structure=structure, budget_bytes=40_000)
    assert made.stages.index("widths") == made.stages.index("quantize") - 1
    assert made.shipped_bytes <= predicted(made)
    assert made.shipped_bytes == predicted(made) or made.config.widths
    both = replace(request(files, tmp_path / "no"), recipe=replace(BARELY, mixed_widths=True))
    with pytest.raises(InputError, match="mixed widths: target android-torchscript"):
        run_build(both, QUIET)


def test_a_build_with_a_recipe_of_its_own_can_be_opened_again(files: Files, tmp_path: Path) -> None:
    made = make(files, tmp_path / "out", phases=(Phase(1.0, (SoftTargets(temperature=3.0),)),))
    before = made.student_files("quantize")
    validate_output(made.output, QUIET)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.student_files("quantize").items())


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
    assert {check.name for check in outcome.failures} == set(missing)
    policy = tmp_path / "gate.toml"
    policy.write_text(f"waive = {json.dumps(missing)}")
    assert gate([bundle.folder], policy, console=QUIET).passed


@pytest.mark.slow
@pytest.mark.needs_executorch
@pytest.mark.needs_litert
@pytest.mark.needs_coreml
def test_one_student_for_every_kind_of_target(files: Files, tmp_path: Path) -> None:
    for package in ("executorch", "ai_edge_litert", "coremltools"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    targets = (*TARGETS, "android-executorch", "android-litert", "ios-coreml")
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
