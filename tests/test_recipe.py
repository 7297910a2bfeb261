"""Recipes: stages cover the schedule without gaps and end at the plan's shape and widths."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from edgepack.errors import InputError
from edgepack.recipe import RECIPES, carved_shape, find_recipe, make_schedule, make_stages
from edgepack.student.config import StudentConfig

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
