"""How a student is trained: the schedule, stages and data that follow from a recipe, on one page.

One dial, `examples_seen`, sets the length: a large data set is passed over a few times, a small one often. A student
whose steps are cheap sees more (`LONGER_FROM`), so that an effort means about the same time for every budget. What it
sees more are new synthetic examples, and no example is seen more than `PASSES` times. A build's steps are then cut into
the stages `distil` (from `prune_ratio` times the planned heads and FFN units), `prune` (down to the planned shape; left
out when the ratio is 1) and `quantize` (with the planned bit widths, at the falling end of the learning rate). With
`--raw-text`, a stage `general` on raw text comes first.

The settings are in `recipe_settings.py`, the recipes themselves in `recipes/`, a file for each. A method enters the
default when figures show that it helps: docs/experiments.md has those of what is in it, docs/methods.md has all of
them, one at a time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgepack.build.recipe_file import read_built_in
from edgepack.build.recipe_names import BUILT_IN, EFFORTS
from edgepack.build.recipe_settings import Recipe, read_recipe, recipe_record
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap
from edgepack.compress.distil.signals import Loss
from edgepack.compress.general import General
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig, changed_config
from edgepack.train import Phase, PruneTarget, Schedule, StageSettings

__all__ = [
    "RECIPES",
    "Recipe",
    "carved_shape",
    "find_recipe",
    "general_schedule",
    "make_augmentation",
    "make_schedule",
    "make_stages",
    "read_recipe",
    "recipe_record",
    "times_longer",
    "used_recipe",
]

# students estimated at k times the speed of the teacher's int8 model see k / 4 times the examples, three times at most
LONGER_FROM, LONGEST = 4.0, 3.0
NEW_BODY = 3.0  # a student with a new body sees so many times as many: 9,600 gave 0.635, 28,800 what carving gives
PASSES = 20.0  # how often an example is seen at most: small data gets more synthetic examples
SPLICED = 0.5  # share of the examples added for either that are cut or joined first
RECIPES: dict[str, Recipe] = {name: read_built_in(name) for name in EFFORTS}  # the efforts


def find_recipe(name: str) -> Recipe:
    """A built-in recipe by name; the name of an effort is that of its recipe."""
    if name in RECIPES:
        return RECIPES[name]
    if name not in BUILT_IN:
        raise InputError(f"effort is {name!r}; allowed: {', '.join(RECIPES)}, or a recipe: {', '.join(BUILT_IN)}")
    return read_built_in(name)


def times_longer(speed: float) -> float:
    """How many times the recipe's examples a student sees; `speed`: its own, compared with the teacher's int8 model."""
    return min(LONGEST, max(1.0, speed / LONGER_FROM))


def make_augmentation(recipe: Recipe, speed: float, own_examples: int, spliceable: bool = True) -> Augmentation | None:
    """More synthetic examples instead of more passes, where a student sees more examples than the recipe's.

    A student that is trained k times longer gets k times the data, small data more, until no example is seen more than
    `PASSES` times. Of those beyond the recipe's share half are cut or joined first, or more where the recipe says so,
    if texts are `spliceable`.
    """
    settings, times = recipe.augmentation, times_longer(speed)
    if settings is None or settings.share == 0:
        return settings
    own = min(1 - settings.share, own_examples * PASSES / recipe.examples_seen) / times
    if own >= 1 - settings.share:
        return settings
    before, now = 1 / (1 - settings.share) - 1, 1 / own - 1  # synthetic examples for each of the task's own
    more = 1 - before / now
    splice = settings.splice + more * max(0.0, SPLICED - settings.splice) if spliceable else settings.splice
    return replace(settings, share=1 - own, splice=splice)


def make_schedule(recipe: Recipe, speed: float = 1.0) -> Schedule:
    """The learning-rate schedule of a whole build; `speed`: the student's, compared with the teacher's int8 model."""
    examples = recipe.examples_seen * times_longer(speed)
    return Schedule(
        total_steps=max(1, int(examples) // recipe.batch_size), phases=_mapped(recipe, recipe.phases), **rates(recipe)
    )


def rates(recipe: Recipe) -> dict[str, Any]:
    """What all schedules of a recipe have in common: batch size and optimizer."""
    names = ("batch_size", "peak_lr", "warmup", "betas", "weight_decay", "clip_norm")
    return {name: getattr(recipe, name) for name in names}


def _mapped(recipe: Recipe, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """The phases with learned mixtures instead of hidden states, where the recipe maps layers so."""
    if recipe.layer_map != "learned":
        return phases

    def mapped(loss: Loss) -> Loss:
        return LearnedMap(loss.weight, normalized=loss.normalized) if isinstance(loss, HiddenStates) else loss

    return tuple(Phase(phase.until, tuple(mapped(loss) for loss in phase.losses)) for phase in phases)


def used_recipe(recipe: Recipe, text: Path | None, is_carved: bool = True) -> Recipe:
    """The settings to train by: without raw text there is no stage on it; a new body sees more examples."""
    if not is_carved:
        recipe = replace(recipe, examples_seen=round(NEW_BODY * recipe.examples_seen))
    return recipe if text is not None else replace(recipe, general=None)


def general_schedule(recipe: Recipe, general: General, sequences: int | None = None) -> Schedule:
    """Of the stage on raw text: its own losses, for as many examples as it says, or a share of the recipe's.

    `sequences`: of the text there is; none is seen more than `PASSES` times.
    """
    examples = general.examples or general.share * recipe.examples_seen
    examples = min(examples, PASSES * sequences) if sequences is not None else examples
    phases = _mapped(recipe, (Phase(1.0, general.losses),))
    return Schedule(max(1, round(examples / recipe.batch_size)), phases=phases, **rates(recipe))


def make_stages(recipe: Recipe, schedule: Schedule, shape: StudentConfig) -> dict[str, StageSettings]:
    """The training stages, in order, as ranges of the schedule's steps."""
    total = schedule.total_steps
    quantize_from = round(recipe.quantize_from * total)
    stages: dict[str, StageSettings] = {}
    prune_from = quantize_from
    if recipe.prune_ratio > 1:
        quantize_from = max(1, quantize_from)  # a step at least, or nothing would be removed
        prune_from = min(round(recipe.prune_from * total), quantize_from - 1)
        goal = PruneTarget(tuple(shape.num_heads or []), tuple(shape.intermediate_sizes or []))
        stages["prune"] = StageSettings(prune_from, quantize_from, prune=goal, l0=recipe.l0)
    stages = {"distil": StageSettings(0, prune_from), **stages}
    stages["quantize"] = StageSettings(quantize_from, total, shape.body_bits, shape.embedding_bits)
    return stages


def carved_shape(recipe: Recipe, shape: StudentConfig, full: StudentConfig) -> StudentConfig:
    """The shape that training starts from: the planned one, wider by `prune_ratio` where pruning is to follow.

    A table beside the encoder comes when training is over.
    """

    def wider(counts: list[int] | None, limits: list[int] | None) -> list[int]:
        most = max(limits or [1])
        return [min(most, round(count * recipe.prune_ratio)) for count in counts or []]

    return changed_config(
        shape,
        num_heads=wider(shape.num_heads, full.num_heads),
        intermediate_sizes=wider(shape.intermediate_sizes, full.intermediate_sizes),
        wide_rows=0,
        body_bits=32,
        embedding_bits=32,
    )
