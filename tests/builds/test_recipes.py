"""One build for each method of a recipe, barely trained: what is checked is that the method did its part."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from edgepack.build import training_data
from edgepack.build.flow import build as run_build
from edgepack.build.flow import open_build, plan_build
from edgepack.build.inputs import BuildRequest, open_inputs
from edgepack.build.recipe import Recipe, find_recipe, recipe_record
from edgepack.build.recipe_file import open_recipe
from edgepack.build.recipe_names import BUILT_IN
from edgepack.build.rounding import begin_scales
from edgepack.build.single_stage import reopen, validate_output
from edgepack.bundle.manifest import load_build_manifest, load_manifest
from edgepack.cli import main
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
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.plan.search import Plan, search
from edgepack.plan.space import SearchSpace, Structure
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train import Phase
from edgepack.workspace import Workspace
from tests.builds.tiny import QUIET, TARGETS, Files, request

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
    """A build of one target with `BARELY` changed; `budget_bytes` and `raw_text` are the request's."""
    asked: dict[str, object] = {name: changes.pop(name) for name in ("budget_bytes", "raw_text") if name in changes}
    recipe = replace(BARELY, **changes)  # type: ignore[arg-type]
    run_build(request(files, output, targets=ONE, recipe=recipe, max_drop=1.0, timed=False, **asked), QUIET)
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
    assert json.loads((folder / "kept.json").read_text())["states"] == [0, 1, 2]
    assert not any(name.startswith("learned.") for name in made.student_files("quantize"))


def test_module_replacing_trains_a_student_that_runs_alone(files: Files, tmp_path: Path) -> None:
    made = make(files, tmp_path / "out", module_replacing=ModuleReplacing(), phases=(Phase(1.0, (SoftTargets(),)),))
    assert made.shipped_bytes == predicted(made)
    assert made.student_files("distil").keys() >= {"student.attention.0.query.full.weight"}


def test_l0_pruning_ends_at_the_plans_shape(files: Files, tmp_path: Path) -> None:
    made = make(files, tmp_path / "out", l0=L0Pruning(), prune_ratio=2.0, budget_bytes=30_000)
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
    objectives: dict[str, float], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.txt"
    sentence = "could you play the song now . please just dim my lamp . set a clock ."
    text.write_text(f"{sentence} {sentence}\n\n" * 40)
    packed = Mock(wraps=training_data.encode_text)
    monkeypatch.setattr(training_data, "encode_text", packed)
    made = make(files, tmp_path / "out", general=General(0.5, **objectives), raw_text=text)
    assert "general" in made.stages
    assert packed.call_count == ("sentence_order" not in objectives)  # once for plan and training
    if not objectives:  # the same words in another order: the same plan, but another text to train on
        text.write_text("\n".join(reversed(text.read_text().split(" "))))
        again = make(files, tmp_path / "out", general=General(0.5), raw_text=text)
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


def test_a_convolution_over_words_is_trained_from_nothing_and_shipped(files: Files, tmp_path: Path) -> None:
    structure = Structure(embedding_kernel=5, body_bits=8, embedding_bits=4)
    made = make(files, tmp_path / "out", structure=structure)
    assert made.shipped_bytes == predicted(made)
    assert (made.config.embedding_kernel, made.plan["candidates"][0]["embedding_kernel"]) == (5, 5)
    weight = "student.embeddings.convolution.weight"
    assert not made.student_files("carve")[weight].any()
    assert made.student_files("distil")[weight].any()


def test_ranks_are_allocated_within_the_plans_bytes(files: Files, tmp_path: Path) -> None:
    structure = Structure(rank_share=0.5, body_bits=8, embedding_bits=8)
    made = make(files, tmp_path / "out", structure=structure, allocate_ranks=True)
    planned, ranks = made.plan["shape"]["ranks"], made.config.ranks or {}
    assert ranks != planned
    assert len({rank for matrix in ranks.values() for rank in matrix}) > len({r for m in planned.values() for r in m})
    assert made.shipped_bytes <= predicted(made)


def one_layer(patch: pytest.MonkeyPatch) -> None:
    """Plans of a single layer, carved out of the teacher's first of two: a search that knows of no other."""
    per_set = ("attention_sharing", "ffn_sharing", "num_heads", "head_sizes", "intermediate_sizes")

    def search_one(space: SearchSpace, budget_bytes: int, *options: Any, **others: Any) -> Plan:
        first = {name: getattr(space.full, name)[:1] for name in per_set}
        one = changed_config(space.full, num_hidden_layers=1, ranks=None, **first)
        return search(replace(space, full=one), budget_bytes, *options, **others)

    patch.setattr("edgepack.build.search_space.search", search_one)


@pytest.mark.parametrize(("layer_map", "states"), [("carved", [0, 1]), ("uniform", [0, 2]), ("learned", [0, 1, 2])])
def test_layers_learn_from_those_that_the_recipe_maps_them_to(
    layer_map: str, states: list[int], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_layer(monkeypatch)
    made = make(files, tmp_path / "out", layer_map=layer_map, augmentation=None)
    assert made.config.num_hidden_layers == 1
    (folder,) = (made.output / ".edgepack" / "stages").glob("teacher-*")
    assert json.loads((folder / "kept.json").read_text())["states"] == states
    mixtures = [value for name, value in made.student_files("distil").items() if name.endswith(".mixture")]
    assert [tuple(mixture.shape) for mixture in mixtures] == ([(2, 3)] if layer_map == "learned" else [])


def make_masked_model(files: Files, folder: Path, word: str, **changes: int) -> None:
    """A masked-language model of the teacher's vocabulary that answers `word` everywhere."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(files.teacher)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, **changes}
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes))
    with torch.no_grad():
        model.cls.predictions.bias[tokenizer.convert_tokens_to_ids(word)] = 100.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_words_are_replaced_by_what_the_recipes_masked_language_model_says(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_masked_model(files, tmp_path / "masked", "alarm")
    settings = Augmentation(0.5, p_replace=1.0, candidates=1, masked_model=str(tmp_path / "masked"))
    made = make(files, tmp_path / "out", augmentation=settings)
    (folder,) = (made.output / ".edgepack" / "stages").glob("synthetic-*")
    with np.load(folder / "examples.npz") as arrays:
        data = Encoded(**arrays)
    assert len(data) >= 2 * 480
    tokenizer = PreTrainedTokenizerFast.from_pretrained(files.teacher)
    new = data.select(np.arange(480, len(data))).input_ids
    words = set(tokenizer.convert_ids_to_tokens(new.tolist())) - set(tokenizer.all_special_tokens)
    assert {word for word in words if len(word) > 1 and not word.startswith("##")} == {"alarm"}
    # the model runs once; what it made is trained on
    monkeypatch.setattr("edgepack.build.flow.augment_by_masked_words", lambda *_: pytest.fail("ran again"))
    recipe = replace(BARELY, augmentation=settings)
    run_build(request(files, made.output, targets=ONE, max_drop=1.0, recipe=recipe), QUIET)
    (outputs,) = (made.output / ".edgepack" / "stages").glob("teacher-*")
    assert len(np.load(outputs / "logits.npy")) == len(data)


def test_a_masked_language_model_that_cannot_serve_is_refused_before_any_work(files: Files, tmp_path: Path) -> None:
    def asked(folder: Path) -> BuildRequest:
        recipe = replace(BARELY, augmentation=Augmentation(0.5, masked_model=str(folder)))
        return request(files, tmp_path / "out", targets=ONE, recipe=recipe)

    def built(folder: Path) -> None:
        run_build(asked(folder), QUIET)

    make_masked_model(files, tmp_path / "short", "alarm", max_position_embeddings=4)
    with pytest.raises(InputError, match=r"short: .*allow 4 tokens; at least 8"):
        built(tmp_path / "short")
    other = make_tokenizer(["quite another text"])
    config = BertConfig(vocab_size=len(other), hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
    BertForMaskedLM(config).save_pretrained(tmp_path / "other")
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="its vocabulary is not the teacher's"):
        built(tmp_path / "other")
    with pytest.raises(InputError, match="its vocabulary is not the teacher's"):
        plan_build(asked(tmp_path / "other"), QUIET)
    with pytest.raises(InputError, match=r"no masked-word head, its weights lack .* not a fine-tuned one"):
        plan_build(asked(Path(files.teacher)), QUIET)
    assert not list((tmp_path / "out" / ".edgepack" / "stages").glob("*"))
    with pytest.raises(InputError, match=r"no masked-word head, its weights lack"):
        built(Path(files.teacher))


def test_mixed_widths_stay_within_the_plans_bytes(files: Files, tmp_path: Path) -> None:
    structure = Structure(body_bits=4)
    made = make(files, tmp_path / "out", mixed_widths=True, structure=structure, budget_bytes=40_000)
    assert made.stages.index("widths") == made.stages.index("quantize") - 1
    assert made.shipped_bytes <= predicted(made)
    assert made.shipped_bytes == predicted(made) or made.config.widths
    both = replace(request(files, tmp_path / "no"), recipe=replace(BARELY, mixed_widths=True))
    with pytest.raises(InputError, match="mixed widths: target android-torchscript"):
        run_build(both, QUIET)


def test_mixed_widths_that_are_one_are_said(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not make(files, tmp_path / "out", mixed_widths=True, structure=Structure(body_bits=8)).config.widths
    assert "mixed_widths: every matrix stays at 8 bits" in " ".join(capsys.readouterr().err.split())


def test_learned_scales_are_trained_and_exported(files: Files, tmp_path: Path) -> None:
    made = make(files, tmp_path / "out", learned_scales=True, structure=Structure(body_bits=2))
    assert made.stages.index("scales") == made.stages.index("quantize") - 1
    first, last = (made.student_files(stage) for stage in ("scales", "quantize"))
    steps = [name for name in first if name.startswith("student.") and name.endswith(".log_step")]
    matrices = len(Student(made.config).matrices())
    assert len(steps) == matrices
    assert all(not torch.equal(first[name], last[name]) for name in steps)
    assert made.config.learned_scales
    assert made.shipped_bytes == predicted(made)


def test_learned_scales_without_blocks_are_said(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(files, tmp_path / "out", learned_scales=True, budget_bytes=60_000)
    shown = " ".join(capsys.readouterr().err.split())
    assert made.config.learned_scales == (made.config.body_bits < 8)
    assert ("learned_scales: none are learned" in shown) == (made.config.body_bits == 8)
    begin_scales(Student(StudentConfig(num_hidden_layers=1)), StudentConfig(body_bits=8), Console())
    assert "learned_scales: none are learned: matrices at 8 bits" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match=r"learned_scales has no blocks at a structure.body_bits of 8"):
        Recipe(examples_seen=800, learned_scales=True, structure=Structure(body_bits=8))


def test_a_build_with_a_recipe_of_its_own_can_be_opened_again(files: Files, tmp_path: Path) -> None:
    made = make(files, tmp_path / "out", phases=(Phase(1.0, (SoftTargets(temperature=3.0),)),))
    before = made.student_files("quantize")
    validate_output(made.output, QUIET)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.student_files("quantize").items())


MINE = """
summary = "all that a file can say, in small"
base = "tinybert"
examples_seen = 800
batch_size = 16
clip_norm = 0.5
structure.norm = "no_norm"
[general]
examples = 160
[augmentation]
share = 0.5
"""


def test_a_recipes_file_is_built_recorded_whole_and_opened_again(files: Files, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    text = tmp_path / "text.txt"
    text.write_text("could you play the song now . please just dim my lamp . set a clock .\n\n" * 40)
    output = tmp_path / "out"
    words = ["build", "-m", files.teacher, "-d", files.train, "--eval", files.evaluation, "-b", "60000", "-t", ONE[0]]
    words += ["-o", str(output), "--recipe", str(tmp_path / "mine.toml"), "--raw-text", str(text), "--max-drop", "99%"]
    result = CliRunner().invoke(main, [*words, "--quiet"])
    assert result.exit_code in (0, 1), result.output  # so little training may leave a check failed
    manifest = load_build_manifest(output)
    recipe = open_recipe(str(tmp_path / "mine.toml")).recipe
    asked = manifest.inputs["request"]
    assert (asked["effort"], asked["recipe"]) == ("mine.toml", recipe_record(recipe))
    (general,) = [stage for stage in manifest.stages if stage["name"] == "general"]
    assert general["steps"] == 10
    assert 0 <= general["clipped"] <= 1
    student = Student.from_pretrained(output / "student")
    assert student.config.norm == "no_norm"
    assert reopen(output, QUIET).recipe == recipe
    again = [str(stage["key"]) for stage in manifest.stages]
    validate_output(output, QUIET)
    assert [str(stage["key"]) for stage in load_build_manifest(output).stages] == again


NOT_HERE = {
    "anchors": r"phases\[0\]\.losses\[1\]: anchors compares vectors; allowed: feature-extraction",
    "subformer": r"structure\.sharing is 'sandwich', which 4 layers or more can do; the teacher has 2",
    "hidden-256": r"structure\.hidden_size is 256; the teacher's is 64",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_recipe_ends_in_a_bundle_or_says_why_not(name: str, files: Files, tmp_path: Path) -> None:
    recipe = replace(find_recipe(name), examples_seen=800, batch_size=16)
    if recipe.general is not None:
        recipe = replace(recipe, general=replace(recipe.general, examples=min(160, recipe.general.examples)))
    text = tmp_path / "text.txt"
    text.write_text("could you play the song now . please just dim my lamp . set a clock .\n\n" * 40)
    given = {"effort": name, "recipe": recipe, "raw_text": text}
    asked = request(files, tmp_path / "out", targets=ONE, max_drop=1.0, timed=False, **given)
    if name in NOT_HERE:
        with pytest.raises(InputError, match=f"recipe {name}: {NOT_HERE[name]}"):
            run_build(asked, QUIET)
        return
    bundle = run_build(asked, QUIET).bundles[0]
    wrong = [c.name for c in bundle.verdict.checks if c.status == "failed" and c.name not in ("retention", "metric")]
    assert wrong == []
    assert load_build_manifest(tmp_path / "out").inputs["request"]["effort"] == name


def test_inputs_that_are_open_are_compared_with_another_recipe_too(files: Files, tmp_path: Path) -> None:
    """As the benchmarks do, and `plan` with the planned shape."""
    asked = request(files, tmp_path / "out", targets=ONE, recipe=BARELY)
    inputs = open_inputs(asked, QUIET)
    other = replace(asked, effort="hidden-256", recipe=find_recipe("hidden-256"))
    with pytest.raises(InputError, match=r"recipe hidden-256: structure\.hidden_size is 256; the teacher's is 64"):
        open_build(other, Workspace(tmp_path / "out"), QUIET, inputs)
    loss = Relations(relation_heads=64)  # the teacher has as many numbers; the student that fits has fewer
    wide = replace(BARELY, phases=(Phase(1.0, (SoftTargets(), loss)),))
    with pytest.raises(InputError, match=r"mine\.toml: phases\[0\]\.losses\[1\]\.relation_heads is 64; the student"):
        plan_build(replace(asked, effort="mine.toml", recipe=wide, budget_bytes=25_000), QUIET)
