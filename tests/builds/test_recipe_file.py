"""Recipe files: built-in ones give what they always gave, show prints them whole, and mistakes are one line."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.build.recipe import RECIPES, find_recipe, general_schedule, make_schedule, read_recipe, recipe_record
from edgepack.build.recipe_file import built_in_file, open_recipe, parse_recipe, read_built_in
from edgepack.build.recipe_names import BUILT_IN, FOLDER
from edgepack.build.recipe_settings import Recipe
from edgepack.build.recipe_text import COMMENTS, OPTIONAL, TABLES, recipe_text
from edgepack.cli import main
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.earth_mover import EarthMover
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.objective import LOSSES
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.general import General
from edgepack.compress.l0 import L0Pruning
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.errors import EdgepackError, InputError
from edgepack.plan.space import Structure
from edgepack.train import Phase
from tests.builds.recipe_texts import MINE, with_losses


def test_the_efforts_are_the_recipes_that_they_were() -> None:
    """As they stood in code before they were files; artifacts depend on them."""
    losses = (SoftTargets(temperature=2.0), HiddenStates(weight=100.0))
    as_it_was = Recipe(
        examples_seen=400_000,
        batch_size=64,
        peak_lr=6e-4,
        phases=(Phase(1.0, losses),),
        layer_map="carved",
        augmentation=Augmentation(share=0.3),
        general=General(share=0.1),
        structure=Structure(wide_rows=512),
    )
    assert read_built_in("standard") == as_it_was == Recipe(400_000)
    assert read_built_in("quick") == replace(as_it_was, examples_seen=96_000)
    assert read_built_in("max") == replace(as_it_was, examples_seen=1_500_000, augmentation=Augmentation(share=0.5))
    schedule = make_schedule(as_it_was)
    assert (schedule.warmup, schedule.betas, schedule.weight_decay, schedule.clip_norm) == (
        0.06,
        (0.9, 0.98),
        0.01,
        1.0,
    )


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_recipe_is_said_whole_and_reads_back(name: str) -> None:
    found = built_in_file(name)
    text = recipe_text(found)
    assert parse_recipe("again.toml", text).recipe == found.recipe == read_built_in(name)
    assert parse_recipe("again.toml", text).summary == found.summary
    assert len(found.summary) <= 100
    assert text.count("\n# ") >= len(COMMENTS) - len([key for key in COMMENTS if key.split(".")[0] in OPTIONAL])
    record = recipe_record(found.recipe)
    assert read_recipe(json.loads(json.dumps(record))) == found.recipe


def test_every_key_has_a_comment_and_the_standard_file_is_the_commented_one() -> None:
    kinds = {"structure": Structure, "module_replacing": ModuleReplacing, "augmentation": Augmentation}
    kinds |= {"general": General, "l0": L0Pruning}
    keys = {field.name for field in fields(Recipe)} - {"phases"}
    inside = {f"{name}.{field.name}" for name, kind in kinds.items() for field in fields(kind)} - {"general.losses"}
    assert set(COMMENTS) == keys | inside
    assert set(kinds) == set(TABLES)
    assert (FOLDER / "standard.toml").read_text(encoding="utf-8") == recipe_text(built_in_file("standard"))


def test_every_loss_and_every_method_has_a_built_in_recipe() -> None:
    every = [built_in_file(name).recipe for name in BUILT_IN]
    assert {type(loss) for recipe in every for _, loss in recipe.losses()} == set(LOSSES.values())
    default = Recipe(400_000)
    for field in ("module_replacing", "l0", "prune_ratio", "mixed_widths", "allocate_ranks", "augmentation", "general"):
        assert any(getattr(recipe, field) != getattr(default, field) for recipe in every), field
    for field in ("sharing", "embedding", "rank_share", "hidden_size", "body_bits", "vocabulary", "norm", "wide_rows"):
        assert any(getattr(r.structure, field) != getattr(Structure(), field) for r in every), field


def test_the_papers_layer_maps_are_theirs() -> None:
    assert {find_recipe(name).layer_map for name in ("tinybert", "pkd", "theseus")} == {"uniform"}
    general = find_recipe("tinybert").general
    assert general is not None
    assert [type(loss) for loss in general.losses] == [LOSSES["hidden_states"], LOSSES["attention_scores"]]
    assert general_schedule(find_recipe("tinybert"), general).total_steps == 400_000 // 64


def test_a_file_changes_what_it_says_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "\ufeffsummary = 'mine'\r\nbase = 'max'\r\npeak_lr = 1e-3\r\nbetas = [0.8, 1e-1]\r\naugmentation.splice = 1\r\n"
        "general = false\r\n[structure]\r\nsharing = 'all'\r\n[[phases]]\r\nuntil = 1\r\n"
        "losses = [{ loss = 'earth_mover', temperature = false, weight = 3 }]\r\n"
    )
    found = open_recipe(str(path))
    assert (found.name, found.summary) == ("mine.toml", "mine")
    assert found.recipe == replace(
        RECIPES["max"],
        peak_lr=1e-3,
        betas=(0.8, 0.1),
        augmentation=Augmentation(share=0.5, splice=1.0),
        general=None,
        structure=Structure(sharing="all"),
        phases=(Phase(1.0, (EarthMover(weight=3, temperature=None),)),),
    )
    schedule = make_schedule(replace(found.recipe, clip_norm=0.0, warmup=0.5, weight_decay=0.1))
    assert (schedule.peak_lr, schedule.betas, schedule.clip_norm) == (1e-3, (0.8, 0.1), 0.0)
    assert (schedule.warmup, schedule.weight_decay) == (0.5, 0.1)


MISTAKES = {
    "examples_seen = 5\npeek_lr = 3": r"peek_lr is unknown; allowed: examples_seen, .*did you mean 'peak_lr'",
    "peak_lr = 0.1": r'examples_seen is missing; give it, or base = "standard"',
    "base = 'best'": "base is 'best'; allowed: quick, standard, max, albert",
    f"{MINE}peak_lr = '3'": "peak_lr is '3'; it must be a valid number",
    f"{MINE}peak_lr = nan": "peak_lr is nan; it must be a finite number",
    f"{MINE}batch_size = true": "batch_size is True; it must be a valid integer",
    f"{MINE}batch_size = 0": "batch_size is 0; allowed: 1 to",
    f"{MINE}betas = [0.9, 1.0]": r"betas is \(0.9, 1.0\); allowed: two numbers from 0",
    f"{MINE}clip_norm = -1": "clip_norm is -1.0; allowed: 0 .none. or more",
    f"{MINE}peak_lr = 1979-05-27": "peak_lr is '1979-05-27'; it must be a valid number",
    f"{MINE}layer_map = 'first'": "layer_map is 'first'; allowed: carved, uniform, last, learned",
    f"{MINE}augmentation = true": "augmentation is True; it must be a table",
    f"{MINE}augmentation.shar = 1": "augmentation.shar is unknown; allowed: share, .*did you mean 'share'",
    f"{MINE}augmentation.share = 1": "augmentation.share is 1.0; allowed: 0 up to",
    f"{MINE}structure.embedding_kernel = 4": "embedding_kernel is 4; allowed: 0, 1, 3, 5",
    f"{MINE}structure.body_bits = 5": "structure.body_bits is 5; allowed: 0, ",
    f"{MINE}structure.sharing = 'some'": "sharing is 'some'; allowed: none, all, attention, ffn, sandwich",
    f"{MINE}augmentation.candidates = 1_000_000_000": "augmentation.candidates is 1000000000; allowed: 1 to 1,000",
    f"{MINE}augmentation.masked_model = ''": "augmentation.masked_model is ''; allowed: a folder or a hub id",
    f"{MINE}general.share = 0": "general.share is 0, and so is examples; give one of them",
    f"{MINE}general.examples = -1": "general.examples is -1; allowed: 0 or more",
    f"{MINE}prune_ratio = 2\nl0.gate_lr = -1.0": "l0.gate_lr is -1.0; allowed: above 0",
    f"{MINE}prune_ratio = 2\nl0.keep = 0.5": "l0.keep is unknown; allowed: warmup, gate_lr",
    f"{MINE}module_replacing.b = 2": "module_replacing.k is 1.0 and b is 2.0; allowed",
    f"{MINE}rank_weights = 'fisher'": "rank_weights 'fisher' has no ranks; give structure.rank_share",
    f"{MINE}prune_from = 0.2": "prune_from begins nothing at a prune_ratio of 1",
    f"{MINE}sumary = ''": "sumary is unknown; allowed: .*, base, summary; did you mean 'summary'",
    with_losses("{ loss = 'soft_targets', temperature = 0 }"): r"losses\[0\].temperature is 0.0; allowed: above 0",
    with_losses("{ loss = 'earth_mover', temperature = 0 }"): r"temperature is 0.0; allowed: above 0, or false",
    with_losses("{ loss = 'relations', kinds = ['keys', 'keys'] }"): r"losses\[0\].kinds is \['keys', 'keys'\]; all",
    with_losses("{ loss = 'output_space', classes = 1 }"): r"losses\[0\].classes is 1; allowed: 0 .the task's labels",
    with_losses("{ loss = 'soft_targets', weight = 0 }"): r"phases\[0\].losses weigh nothing; give one of them",
    f"{MINE}phases = 3": "phases is 3; it must be a list of tables",
    f"{MINE}phases = []": r"phases end at \[\]; allowed: rising shares",
    f"{MINE}phases = [{{ until = 0.5, losses = [{{ loss = 'soft_targets' }}] }}]": r"phases end at \[0.5\]",
    with_losses(""): r"phases\[0\].losses is empty; allowed: some of soft_targets",
    with_losses("3"): r"phases\[0\].losses\[0\] is 3; it must be a table such as",
    with_losses("{ loss = 'kl' }"): r"losses\[0\].loss is 'kl'; allowed: soft_targets",
    with_losses("{ loss = 'soft_targets', t = 1 }"): r"losses\[0\].t is unknown; allowed",
    with_losses("{ loss = 'patience', layers = 'x' }"): r"losses\[0\].layers is 'x'; it",
    with_losses("{ loss = 'soft_targets', weight = -1 }"): "weight of soft_targets is",
    f"{MINE}l0 = {{}}": "l0 prunes nothing at a prune_ratio of 1",
    f"{MINE}allocate_ranks = true": "give structure.rank_share too",
    f"{MINE}prune_ratio = 2\nquantize_from = 0.01": "prune_from is 0.05; allowed: below quantize_from",
    "base = 'tinybert'\nprune_ratio = 2": r"phases\[0\].losses has no prediction loss, and units are pruned",
    "base = 'minilm'\nmodule_replacing = {}": r"module replacing does not go with phases\[0\].losses\[1\]",
    "base = 'theseus'\nstructure.hidden_size = 8": "module replacing does not go with structure.hidden_size",
    f"{MINE}general.losses = [{{ loss = 'soft_targets' }}]": r"general.losses\[0\] is soft_targets, and predictions on",
    "base = ": "not valid TOML",
    # keys that would do nothing
    with_losses("{ loss = 'feature_maps', share = 0.3 }"): r"losses\[0\].share is 0.3; it goes with progressive = true",
    with_losses("{ loss = 'attention_transfer', share = 1 }"): r"losses\[0\].share is 1.0; it goes with progressive",
    "base = 'mobilebert'\nphases = [{ until = 0.5, losses = [{ loss = 'soft_targets' }] }, "
    "{ until = 1, losses = [{ loss = 'feature_maps', progressive = true }] }]": r"phases\[1\] begins at 0.5 .* alone",
    f"{MINE}general.losses = [{{ loss = 'hidden_states', weight = 0 }}]": "general.losses weigh nothing; give",
    f"{MINE}module_replacing.b = 1": "module_replacing.b is 1, so the teacher's layers never run",
    "base = 'splicing'\naugmentation.share = 0": "augmentation.share is 0, so nothing else of it counts",
    f"{MINE}augmentation.p_replace = 0": "at an augmentation.p_replace of 0 synthetic examples are copies",
    "base = 'splicing'\naugmentation.p_replace = 0\naugmentation.masked_model = 'a'": "a masked_model replaces nothing",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line_with_file_and_key(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"^mine.toml: .*{MISTAKES[text]}") as caught:
        open_recipe(str(path))
    assert "\n" not in str(caught.value).strip()


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([field.name for field in fields(Recipe)] + ["base", "summary", "structure.norm", "l0.warmup"]),
    st.sampled_from(
        ["-1", "0", "1e400", "nan", "''", "'a'", "[]", "{}", "[[]]", "true", "false", "1979-05-27", "9" * 40]
    ),
)
def test_any_value_is_taken_or_refused_in_one_line(key: str, value: str) -> None:
    problem = "mine.toml: "
    try:
        parse_recipe("mine.toml", f"{'' if key == 'base' else MINE}{key} = {value}\n")
    except InputError as e:
        problem = str(e)
    assert problem.startswith("mine.toml: ")
    assert "\n" not in problem


def test_files_that_do_not_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recipe is 'emdd'; allowed: a \.toml file, or one of .*did you mean 'emd'"):
        open_recipe("emdd")
    with pytest.raises(InputError, match=r"gone\.toml: recipe does not read: No such file"):
        open_recipe(str(tmp_path / "gone.toml"))
    (tmp_path / "latin.toml").write_bytes(b"summary = '\xe9'")
    with pytest.raises(InputError, match=r"latin\.toml: recipe is not UTF-8"):
        open_recipe(str(tmp_path / "latin.toml"))
    (tmp_path / "long.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(InputError, match=r"1,000,001 bytes; a recipe has 1,000,000 at most"):
        open_recipe(str(tmp_path / "long.toml"))


@pytest.mark.parametrize(
    "text", ["a = " + "9" * 5_000, "a = " + "[" * 100_000, ".".join("a" * 200) + " = 1", "a = {", "a = \x00"]
)
def test_toml_of_any_kind_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=r"^mine\.toml: not valid TOML: [^\n]+$"):
        open_recipe(str(tmp_path / "mine.toml"))


def test_a_pipe_is_no_recipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(InputError, match=r"pipe\.toml: is no regular file"):
        open_recipe(str(tmp_path / "pipe.toml"))


def call(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit | EdgepackError)
    return result.exit_code, result.stdout, result.stderr


def test_recipes_are_listed_and_shown() -> None:
    code, out, _ = call("recipes")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(BUILT_IN)
    assert list(json.loads(call("recipes", "--json")[1])) == list(BUILT_IN)
    assert call("recipes", "show", "emd")[1] == recipe_text(built_in_file("emd"))
    shown = json.loads(call("recipes", "show", "emd", "--json")[1])
    assert json.loads(call("recipes", "--json", "show", "emd")[1]) == shown
    assert shown.pop("summary") == built_in_file("emd").summary
    assert read_recipe(shown) == find_recipe("emd")
    assert call("recipes", "show", "emdd")[0] == 2


def test_effort_and_recipe_are_not_both_given(tmp_path: Path) -> None:
    inputs = ["-m", "t", "-d", "d", "--eval", "e", "-b", "1MB", "-t", "android-onnx"]
    code, _, err = call("plan", *inputs, "--effort", "quick", "--recipe", "max")
    assert (code, "--effort and --recipe are both given" in err) == (2, True)
    (tmp_path / "mine.toml").write_text("examples = 3")
    code, _, err = call("build", *inputs, "-o", str(tmp_path / "out"), "--recipe", str(tmp_path / "mine.toml"))
    assert code == 2
    assert err.startswith("error: mine.toml: examples is unknown; allowed: examples_seen")
    assert not (tmp_path / "out").exists()
