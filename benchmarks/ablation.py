"""The default recipe at 2 MB with each of its parts taken away, on SNIPS, two seeds.

    python -m benchmarks ablation --shared ../shared --work WORK

A row of the table in docs/methods.md for each variant. A variant takes one part away and leaves the rest; a part that
the default recipe does not have makes no row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks import methods
from benchmarks.runs import AS_IT_IS, DEFAULT, Variant
from edgepack.build.recipe import Recipe
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.signals import Loss
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.train import Phase

EXAMPLES = 32_000  # two seeds of six rows are fewer builds than all methods on both tasks


def each_loss(recipe: Recipe, change: Callable[[Loss], Loss | None]) -> Recipe:
    """Every loss of every phase changed; None takes it out, and a phase that has none left goes to the one after."""
    phases = []
    for phase in recipe.phases:
        losses = tuple(new for loss in phase.losses if (new := change(loss)) is not None)
        phases += [Phase(phase.until, losses)] if losses else []
    return replace(recipe, phases=(*phases[:-1], replace(phases[-1], until=1.0)))


def without_hidden_states(loss: Loss) -> Loss | None:
    """Hidden states taken out."""
    return None if isinstance(loss, HiddenStates) else loss


def at_temperature_one(loss: Loss) -> Loss:
    """Soft targets as they are."""
    return replace(loss, temperature=1.0) if isinstance(loss, SoftTargets) else loss


VARIANTS: dict[str, Variant] = {
    DEFAULT: AS_IT_IS,
    "no-hidden-states": Variant("hidden-state loss off", lambda recipe: each_loss(recipe, without_hidden_states)),
    "temperature-1": Variant("soft targets at temperature 1", lambda recipe: each_loss(recipe, at_temperature_one)),
    "no-augmentation": Variant("no augmentation", lambda recipe: replace(recipe, augmentation=None)),
    "no-pruning": Variant(
        "carved to the plan's shape at once", lambda recipe: replace(recipe, prune_ratio=1.0, l0=None)
    ),
    "late-quantization": Variant(
        "quantization-aware training in the last 2 % of the steps only",
        lambda recipe: replace(recipe, quantize_from=0.98),
    ),
}


def main(arguments: Sequence[str]) -> None:
    """Run what is left, print the table and put it into the page."""
    methods.compare("ablation", arguments, tasks=("snips",), examples=EXAMPLES)
