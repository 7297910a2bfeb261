"""What a recipe asks for and the planned student has no place for: refused or said before anything is trained."""

from __future__ import annotations

from edgepack.build.inputs import Inputs
from edgepack.build.recipe import carved_shape
from edgepack.build.recipe_check import check_shape, named
from edgepack.console import Console
from edgepack.plan.search import Plan
from edgepack.plan.space import Structure
from edgepack.student.config import StudentConfig


def check_planned(inputs: Inputs, plan: Plan, full: StudentConfig, console: Console) -> None:
    """`InputError` for what the first candidate cannot be trained by; a warning for what does nothing for it alone.

    `full`: the teacher as a student.
    """
    request, shape = inputs.request, plan.chosen.config
    check_shape(request.chosen_recipe, request.effort, shape, request.budget_bytes)
    for warning in plan_warnings(inputs, shape, full):
        console.warn(warning)


def plan_warnings(inputs: Inputs, shape: StudentConfig, full: StudentConfig) -> list[str]:
    """A warning for each key of the recipe that does nothing for this shape, and may for another budget's."""
    recipe, request = inputs.recipe, inputs.request
    where, student = named(request.effort), f"the student planned for {request.budget_bytes:,} bytes"
    found = []
    start = carved_shape(recipe, shape, full)
    if recipe.prune_ratio > 1 and (start.num_heads, start.intermediate_sizes) == (
        shape.num_heads,
        shape.intermediate_sizes,
    ):
        found.append(
            f"{where}: prune_ratio {recipe.prune_ratio:g} prunes nothing: {student} has all heads and FFN units that "
            "it could begin with; give a smaller budget or a greater ratio"
        )
    rows = recipe.structure.wide_rows
    if inputs.unseen and rows not in (0, Structure.wide_rows) and not shape.wide_rows:
        found.append(f"{where}: structure.wide_rows {rows}: {student} has no room for a table; give a larger budget")
    return found
