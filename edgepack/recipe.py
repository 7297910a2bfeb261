"""How a student is trained: the recipe behind each `--effort`, on one page.

One dial, `examples_seen`, sets the length: a large data set is passed over a few times, a small one often. A
build's steps are then cut into the stages `distil` (from `prune_ratio` times the plan's heads and FFN units),
`prune` (down to the plan's shape; empty when the ratio is 1) and `quantize` (with the plan's bit widths, at the
falling end of the learning rate). With `--text`, a stage `general` on raw text comes first.

Every method of `edgepack/compress/` has its place in a field here. What the default leaves out did not help;
docs/methods.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.general import General
from edgepack.errors import InputError
from edgepack.plan.search import Structure
from edgepack.student.config import StudentConfig, changed_config
from edgepack.train import Phase, PruneTarget, Schedule, StageSettings

GENERAL, PLAIN = General(share=0.1), Structure()


@dataclass(frozen=True)
class Recipe:
    """Settings of one effort."""

    examples_seen: int
    batch_size: int = 64
    peak_lr: float = 6e-4
    # a mean over 384 numbers is small: below a weight of 100 the hidden states are matched worse
    phases: tuple[Phase, ...] = (Phase(1.0, (SoftTargets(temperature=2.0), HiddenStates(weight=100.0))),)
    augmentation: Augmentation | None = None
    general: General | None = GENERAL  # only with --text
    structure: Structure = PLAIN  # sharing, self-attentive embedding, low rank
    prune_ratio: float = 1.0  # width of the carved student before gradual pruning, as a multiple of the plan's
    prune_from: float = 0.05  # shares of the steps at which `prune` begins and `quantize` begins
    quantize_from: float = 0.75
    importance_examples: int = 2048


RECIPES: dict[str, Recipe] = {
    "quick": Recipe(examples_seen=96_000),
    "standard": Recipe(examples_seen=400_000),
    "max": Recipe(examples_seen=1_500_000),
}


def find_recipe(effort: str) -> Recipe:
    """The recipe of an effort by name."""
    if effort not in RECIPES:
        raise InputError(f"effort is {effort!r}; allowed: {', '.join(RECIPES)}")
    return RECIPES[effort]


def make_schedule(recipe: Recipe) -> Schedule:
    """The learning-rate schedule of the whole build."""
    return Schedule(
        total_steps=max(1, recipe.examples_seen // recipe.batch_size),
        batch_size=recipe.batch_size,
        peak_lr=recipe.peak_lr,
        phases=recipe.phases,
    )


def general_schedule(recipe: Recipe, general: General) -> Schedule:
    """Of the stage on raw text: hidden states alone, since predictions on such text mean nothing."""
    steps = round(general.share * recipe.examples_seen / recipe.batch_size)
    phases = (Phase(1.0, (HiddenStates(weight=100.0),)),)
    return Schedule(max(1, steps), recipe.batch_size, recipe.peak_lr, phases=phases)


def make_stages(recipe: Recipe, schedule: Schedule, plan: StudentConfig) -> dict[str, StageSettings]:
    """The training stages, in order, as ranges of the schedule's steps."""
    total = schedule.total_steps
    quantize_from = round(recipe.quantize_from * total)
    stages: dict[str, StageSettings] = {}
    prune_from = quantize_from
    if recipe.prune_ratio > 1:
        prune_from = round(recipe.prune_from * total)
        goal = PruneTarget(tuple(plan.num_heads or []), tuple(plan.intermediate_sizes or []))
        stages["prune"] = StageSettings(prune_from, quantize_from, prune=goal)
    stages = {"distil": StageSettings(0, prune_from), **stages}
    stages["quantize"] = StageSettings(quantize_from, total, plan.body_bits, plan.embedding_bits)
    return stages


def carved_shape(recipe: Recipe, plan: StudentConfig, full: StudentConfig) -> StudentConfig:
    """The shape that training starts from: the plan's, wider by `prune_ratio` where pruning is to follow."""

    def wider(counts: list[int] | None, limits: list[int] | None) -> list[int]:
        most = max(limits or [1])
        return [min(most, round(count * recipe.prune_ratio)) for count in counts or []]

    return changed_config(
        plan,
        num_heads=wider(plan.num_heads, full.num_heads),
        intermediate_sizes=wider(plan.intermediate_sizes, full.intermediate_sizes),
        body_bits=32,
        embedding_bits=32,
    )
