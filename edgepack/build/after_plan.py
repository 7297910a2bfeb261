"""What is to be said of the planned student before anything is trained.

A recipe that it cannot be trained by is refused; what a recipe asks for and it has no place for is said, and so is what
students of its size did badly.
"""

from __future__ import annotations

from edgepack.build.inputs import Inputs
from edgepack.build.recipe import carved_shape
from edgepack.build.recipe_check import check_shape, named
from edgepack.console import Console
from edgepack.plan.search import Plan
from edgepack.student.config import StudentConfig
from edgepack.task.task import Task

FEW_LAYERS = 2  # of a student of pairs, as in the build that lost more than a linear model


def check_planned(inputs: Inputs, plan: Plan, full: StudentConfig, console: Console | None) -> None:
    """`InputError` for what the first candidate cannot be trained by; a warning for what does nothing for it alone.

    `full`: the teacher as a student. `console`: None where training is over, and there is nothing to be said of it.
    """
    request, shape = inputs.request, plan.chosen.config
    check_shape(request.chosen_recipe, request.effort, shape, request.budget_bytes)
    if console is None:
        return
    marks = request.chosen_recipe.structure.match_feature
    for warning in [*plan_warnings(inputs, shape, full), *pair_warnings(inputs.teacher.task, shape, marks)]:
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
    if inputs.unseen and recipe.structure.asks_for_table and not shape.wide_rows:
        rows = recipe.structure.wide_rows
        found.append(f"{where}: structure.wide_rows {rows}: {student} has no room for a table; give a larger budget")
    return found


def pair_warnings(task: Task, shape: StudentConfig, marks: bool) -> list[str]:
    """A warning for a student of few layers that is not told which words both texts of a pair have (docs/plan.md).

    `marks`: the recipe says that it should be told.
    """
    if not task.pair or shape.num_hidden_layers > FEW_LAYERS or shape.match_separator is not None:
        return []
    layers = f"{shape.num_hidden_layers} layer{'s' if shape.num_hidden_layers > 1 else ''}"
    why = "no token of its tokenizer says where the first text ends" if marks else "structure.match_feature is false"
    return [
        f"the planned student has {layers} to compare two texts in, and no mark on words that both have ({why}): on "
        f"SICK's pairs such a one of {FEW_LAYERS} layers lost 16 % of the metric and a linear model 3 %; compare with "
        "the linear model, or give a larger budget"
    ]
