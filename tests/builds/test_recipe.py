"""Recipes: stages cover the schedule without gaps and end at the plan's shape and widths."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from edgepack.build.recipe import (
    PASSES,
    RECIPES,
    Recipe,
    carved_shape,
    find_recipe,
    general_schedule,
    make_augmentation,
    make_schedule,
    make_stages,
    read_recipe,
    recipe_record,
)
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.cosine import CosineStates
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap, followed_layers
from edgepack.compress.distil.relations import Relations
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.general import General
from edgepack.compress.l0 import L0Pruning
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.errors import InputError
from edgepack.plan.space import Structure
from edgepack.student.config import StudentConfig
from edgepack.train import Phase

LARGE = 10**6  # examples
PLAN = StudentConfig(
    hidden_size=64,
    num_hidden_layers=2,
    num_heads=[2, 3],
    head_sizes=[8, 8],
    intermediate_sizes=[40, 64],
    body_bits=4,
    embedding_bits=8,
)


@pytest.mark.parametrize("effort", RECIPES)
@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_stages_follow_each_other_to_the_end(effort: str, ratio: float) -> None:
    recipe = replace(RECIPES[effort], prune_ratio=ratio)
    schedule = make_schedule(recipe)
    stages = make_stages(recipe, schedule, PLAN)
    assert list(stages) == (["distil", "prune", "quantize"] if ratio > 1 else ["distil", "quantize"])
    edges = [(stage.first, stage.last) for stage in stages.values()]
    assert edges[0][0] == 0
    assert edges[-1][1] == schedule.total_steps
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    assert (stages["quantize"].body_bits, stages["quantize"].embedding_bits) == (4, 8)
    if ratio > 1:
        assert stages["prune"].prune is not None
        assert stages["prune"].prune.heads == (2, 3)


@pytest.mark.parametrize(("speed", "times"), [(1.0, 1), (4.0, 1), (6.0, 1.5), (12.0, 3), (40.0, 3)])
def test_fast_students_are_trained_longer_up_to_three_times(speed: float, times: float) -> None:
    recipe = replace(RECIPES["quick"], examples_seen=64_000, batch_size=64)
    assert make_schedule(recipe, speed).total_steps == 1000 * times


@pytest.mark.parametrize(
    ("speed", "share"), [(1.0, 0.3), (4.0, 0.3), (8.0, 0.65), (12.0, 1 - 0.7 / 3), (40.0, 1 - 0.7 / 3)]
)
def test_what_is_seen_more_are_new_made_examples(speed: float, share: float) -> None:
    recipe = replace(RECIPES["quick"], augmentation=Augmentation(0.3, candidates=7))
    made = make_augmentation(recipe, speed, LARGE)
    assert made is not None
    assert (made.share, made.candidates) == (pytest.approx(share), 7)
    more = share / (1 - share) - 0.3 / 0.7  # made examples for each of the task's own; half of these are spliced
    assert made.splice * share / (1 - share) == pytest.approx(more / 2, abs=1e-9)
    plain = make_augmentation(recipe, speed, LARGE, spliceable=False)
    assert plain is not None
    assert (plain.share, plain.splice) == (made.share, 0.0)


@pytest.mark.parametrize("splice", [0.5, 1.0])
def test_of_more_made_examples_as_many_are_spliced_as_the_recipe_says(splice: float) -> None:
    made = make_augmentation(replace(RECIPES["quick"], augmentation=Augmentation(0.5, splice=splice)), 12.0, LARGE)
    assert made is not None
    assert (made.share > 0.5, made.splice) == (True, splice)


@pytest.mark.parametrize("off", [None, Augmentation(0.0)])
def test_a_recipe_without_made_examples_gets_none_for_longer_training(off: Augmentation | None) -> None:
    assert make_augmentation(replace(RECIPES["quick"], augmentation=off), 12.0, 10) == off


@pytest.mark.parametrize("speed", [1.0, 6.0, 40.0])
@pytest.mark.parametrize("own", [10, 2_000, 30_000, LARGE])
def test_small_data_gets_made_examples_until_none_is_seen_too_often(own: int, speed: float) -> None:
    recipe = replace(RECIPES["standard"], augmentation=Augmentation(0.3))
    schedule, made = make_schedule(recipe, speed), make_augmentation(recipe, speed, own)
    assert made is not None
    passes = schedule.total_steps * schedule.batch_size * (1 - made.share) / own
    assert passes <= PASSES * 1.001
    if passes < PASSES * 0.999:  # then nothing but the longer training made its examples
        assert made == make_augmentation(recipe, speed, LARGE)


@pytest.mark.parametrize(("sequences", "seen"), [(100, 2_000), (1_999, 39_980), (2_000, 40_000), (10**6, 40_000)])
def test_raw_text_is_not_seen_too_often_either(sequences: int, seen: int) -> None:
    recipe = RECIPES["standard"]
    assert recipe.general is not None
    schedule = general_schedule(recipe, recipe.general, sequences)
    assert schedule.total_steps == round(seen / recipe.batch_size)
    assert schedule.total_steps * recipe.batch_size <= PASSES * sequences + recipe.batch_size


def test_the_carved_shape_is_wider_up_to_the_teachers_and_not_rounded() -> None:
    full = replace_widths(PLAN, [4, 4], [64, 64])
    shape = carved_shape(replace(RECIPES["quick"], prune_ratio=1.5), PLAN, full)
    assert shape.num_heads == [3, 4]
    assert shape.intermediate_sizes == [60, 64]
    assert (shape.body_bits, shape.embedding_bits) == (32, 32)


def replace_widths(config: StudentConfig, heads: list[int], units: list[int]) -> StudentConfig:
    return carved_shape(
        replace(RECIPES["quick"], prune_ratio=1.0),
        StudentConfig(**{**config.to_dict(), "num_heads": heads, "intermediate_sizes": units}),
        StudentConfig(**{**config.to_dict(), "num_heads": heads, "intermediate_sizes": units}),
    )


def test_an_unknown_effort_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="quick, standard, max"):
        find_recipe("extreme")


def test_a_recipe_written_as_json_reads_back_and_losses_of_the_same_fields_are_told_apart() -> None:
    full = Recipe(
        examples_seen=5,
        phases=(Phase(0.5, (HiddenStates(weight=7.0),)), Phase(1.0, (SoftTargets(temperature=3.0), Relations()))),
        augmentation=Augmentation(0.5, masked_model="a/checkpoint"),
        general=General(0.2, masked_words=1.0),
        structure=Structure(hidden_size=32, rank_share=0.5, vocabulary="task"),
        layer_map="learned",
        allocate_ranks=True,
        prune_ratio=2.0,
        l0=L0Pruning(),
    )
    for recipe in (full, Recipe(5, general=None, module_replacing=ModuleReplacing()), *RECIPES.values()):
        record = json.loads(json.dumps(recipe_record(recipe)))
        assert record == recipe_record(recipe)
        assert read_recipe(record) == recipe
    states, cosines = (
        recipe_record(Recipe(5, phases=(Phase(1.0, (loss,)),))) for loss in (HiddenStates(1.0), CosineStates(1.0))
    )
    assert states != cosines


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l0": L0Pruning()}, "prune_ratio"),
        ({"prune_ratio": 0.5}, "prune_ratio is 0.5; allowed: 1 or more"),
        ({"rank_weights": "none"}, "rank_weights 'none' has no ranks"),
        ({"prune_from": 0.1}, "prune_from begins nothing"),
        ({"rank_weights": "all"}, "allowed: none, inputs, fisher"),
        ({"layer_map": "first"}, "layer_map is 'first'; allowed: carved, uniform, last, learned"),
        ({"layer_map": "learned", "phases": (Phase(1.0, (SoftTargets(),)),)}, "layer_map 'learned'.*add the loss"),
        ({"allocate_ranks": True}, "allocate_ranks.*give structure.rank_share too"),
        ({"module_replacing": ModuleReplacing(), "phases": (Phase(1.0, (Relations(),)),)}, "module replacing"),
        ({"module_replacing": ModuleReplacing(), "structure": Structure(hidden_size=8)}, "module replacing"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(5, **changes)


@pytest.mark.parametrize("examples", [1, 64, 128, 6_400])
@pytest.mark.parametrize("shares", [(0.05, 0.4), (0.0, 0.001), (0.399, 0.4)])
@pytest.mark.parametrize("l0", [None, L0Pruning()])
def test_what_is_to_be_pruned_is_pruned_however_short_the_training(
    examples: int, shares: tuple[float, float], l0: L0Pruning | None
) -> None:
    recipe = Recipe(examples, prune_ratio=1.5, prune_from=shares[0], quantize_from=shares[1], l0=l0)
    stages = make_stages(recipe, make_schedule(recipe), PLAN)
    distil, prune, quantize = (stages[name] for name in ("distil", "prune", "quantize"))
    assert 0 == distil.first <= distil.last == prune.first < prune.last == quantize.first <= quantize.last
    assert prune.removal_steps()[-1] == prune.last
    assert prune.removal_steps().count(prune.last) == 1  # the last removal, to the planned shape


def test_masks_are_learned_over_the_stage_and_remove_once_at_its_end() -> None:
    recipe = replace(RECIPES["quick"], prune_ratio=1.5, l0=L0Pruning())
    stages = make_stages(recipe, make_schedule(recipe), PLAN)
    assert stages["prune"].removal_steps() == [stages["prune"].last]
    assert stages["distil"].l0 is None


def test_learned_layer_maps_take_the_place_of_hidden_states_at_their_weight() -> None:
    phases = (Phase(0.5, (HiddenStates(weight=7.0), Relations())), Phase(1.0, (SoftTargets(temperature=3.0),)))
    recipe = Recipe(640, phases=phases, layer_map="learned")
    expected = (Phase(0.5, (LearnedMap(weight=7.0), Relations())), phases[1])
    assert make_schedule(recipe).phases == expected
    assert make_schedule(replace(recipe, layer_map="uniform")).phases == phases
    assert general_schedule(recipe, General(0.5)).phases == (Phase(1.0, (LearnedMap(weight=100.0),)),)


@pytest.mark.parametrize(
    ("layer_map", "layers"),
    [("carved", [0, 3, 7]), ("uniform", [2, 5, 7]), ("last", [5, 6, 7]), ("learned", [0, 3, 7])],
)
def test_layer_maps_are_those_of_the_papers(layer_map: str, layers: list[int]) -> None:
    assert followed_layers(layer_map, (0, 3, 7), 8) == layers


def test_losses_say_whether_they_compare_queries_keys_and_values() -> None:
    assert not RECIPES["quick"].needs_vectors
    assert Recipe(5, phases=(Phase(0.5, (SoftTargets(),)), Phase(1.0, (Relations(),)))).needs_vectors
