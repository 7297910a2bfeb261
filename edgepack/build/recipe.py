"""How a student is trained: the recipe behind each `--effort`, on one page.

One dial, `examples_seen`, sets the length: a large data set is passed over a few times, a small one often. A student
whose steps are cheap sees more (`LONGER_FROM`), so that an effort means about the same time for every budget. What it
sees more are new synthetic examples, and no example is seen more than `PASSES` times. A build's steps are then cut into
the stages `distil` (from `prune_ratio` times the planned heads and FFN units), `prune` (down to the planned shape; left
out when the ratio is 1) and `quantize` (with the planned bit widths, at the falling end of the learning rate). With
`--text`, a stage `general` on raw text comes first.

Every method of `edgepack/compress/` has its place in a field here. A method enters the default when figures show that
it helps: docs/experiments.md has those of what is in it, docs/methods.md has all of them, one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LAYER_MAPS, LearnedMap
from edgepack.compress.distil.objective import LOSSES, NAMES
from edgepack.compress.distil.signals import Loss
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.general import General
from edgepack.compress.l0 import L0Pruning
from edgepack.compress.low_rank import RANK_WEIGHTS
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.errors import InputError
from edgepack.plan.space import Structure
from edgepack.student.config import StudentConfig, changed_config
from edgepack.train import Phase, PruneTarget, Schedule, StageSettings

AUGMENTATION, GENERAL, PLAIN = Augmentation(share=0.3), General(share=0.1), Structure()
# students estimated at k times the speed of the teacher's int8 model see k / 4 times the examples, three times at most
LONGER_FROM, LONGEST = 4.0, 3.0
PASSES = 20.0  # how often an example is seen at most: small data gets more synthetic examples
SPLICED = 0.5  # share of the examples added for either that are cut or joined first


@dataclass(frozen=True)
class Recipe:
    """Settings of one effort."""

    examples_seen: int
    batch_size: int = 64
    peak_lr: float = 6e-4
    # a mean over 384 numbers is small: below a weight of 100 the hidden states are matched worse
    phases: tuple[Phase, ...] = (Phase(1.0, (SoftTargets(temperature=2.0), HiddenStates(weight=100.0))),)
    # which teacher layer each student layer learns from: the one that it was carved out of ("carved"), or as the papers
    # have it: evenly spread ("uniform"), the last ones ("last"), mixtures instead of hidden states ("learned")
    layer_map: str = "carved"
    module_replacing: ModuleReplacing | None = None  # the teacher's layers run instead of some of the student's
    augmentation: Augmentation | None = AUGMENTATION
    general: General | None = GENERAL  # only with --text
    structure: Structure = PLAIN  # hidden size, sharing, self-attentive embedding, low rank, given bit widths
    rank_weights: str = "inputs"  # what a low-rank matrix's error is weighed by: none, inputs, fisher
    allocate_ranks: bool = False  # a rank for each matrix, by what it captures, in the bytes of structure.rank_share
    prune_ratio: float = 1.0  # heads and units before gradual pruning, as a multiple of the plan's
    l0: L0Pruning | None = None  # prune by learned masks instead of first-order importance; the plan sets `keep`
    prune_from: float = 0.05  # shares of the steps at which `prune` begins and `quantize` begins
    quantize_from: float = 0.4
    mixed_widths: bool = False  # a bit width for each matrix, by sensitivity, in the bytes of the plan's one
    importance_examples: int = 2048

    def __post_init__(self) -> None:
        if self.rank_weights not in RANK_WEIGHTS:
            raise InputError(f"recipe: rank_weights is {self.rank_weights!r}; allowed: {', '.join(RANK_WEIGHTS)}")
        if self.layer_map not in LAYER_MAPS:
            raise InputError(f"recipe: layer_map is {self.layer_map!r}; allowed: {', '.join(LAYER_MAPS)}")
        if self.layer_map == "learned" and not any(isinstance(loss, HiddenStates) for loss in self._losses):
            raise InputError("recipe: layer_map 'learned' has no hidden states to mix; add the loss hidden_states")
        if self.allocate_ranks and not self.structure.rank_share:
            raise InputError("recipe: allocate_ranks has no ranks to allocate; give structure.rank_share too")
        if self.prune_ratio < 1:
            raise InputError(f"recipe: prune_ratio is {self.prune_ratio}; allowed: 1 or more")
        if self.l0 is not None and self.prune_ratio == 1:
            raise InputError("recipe: l0 prunes nothing at a prune_ratio of 1; give a greater one")
        if self.module_replacing is not None and (self.needs_vectors or self.structure.hidden_size):
            raise InputError(
                "recipe: module replacing needs the teacher's hidden size and losses without queries, keys and "
                "values; leave out structure.hidden_size and attention losses"
            )

    @property
    def _losses(self) -> list[Loss]:
        return [loss for phase in self.phases for loss in phase.losses]

    @property
    def needs_vectors(self) -> bool:
        """Whether any loss looks at queries, keys and values."""
        return any(loss.needs_vectors for loss in self._losses)

    @property
    def paired_states_only(self) -> bool:
        """Whether all losses look only at the teacher's states that the student's layers came from."""
        paired = tuple(LOSSES[name] for name in ("soft_targets", "hard_labels", "cosine_states", "hidden_states"))
        return self.layer_map != "learned" and all(isinstance(loss, paired) for loss in self._losses)


RECIPES: dict[str, Recipe] = {
    "quick": Recipe(examples_seen=96_000),
    "standard": Recipe(examples_seen=400_000),
    "max": Recipe(examples_seen=1_500_000, augmentation=Augmentation(share=0.5)),
}


def find_recipe(effort: str) -> Recipe:
    """The recipe of an effort by name."""
    if effort not in RECIPES:
        raise InputError(f"effort is {effort!r}; allowed: {', '.join(RECIPES)}")
    return RECIPES[effort]


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON, losses by name."""
    record: dict[str, Any] = asdict(recipe)
    for phase, written in zip(recipe.phases, record["phases"], strict=True):
        named = zip(phase.losses, written["losses"], strict=True)
        written["losses"] = [{"loss": NAMES[type(loss)], **fields} for loss, fields in named]
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def read_recipe(record: Mapping[str, Any]) -> Recipe:
    """The recipe that `recipe_record` wrote."""
    parts = {
        "augmentation": Augmentation,
        "general": General,
        "structure": Structure,
        "module_replacing": ModuleReplacing,
        "l0": L0Pruning,
    }
    fields = dict(record)
    for name, kind in parts.items():
        fields[name] = None if record[name] is None else kind(**record[name])
    fields["phases"] = tuple(
        Phase(phase["until"], tuple(_read_loss(loss) for loss in phase["losses"])) for phase in record["phases"]
    )
    return Recipe(**fields)


def _read_loss(record: Mapping[str, Any]) -> Loss:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
    kind: Any = LOSSES[str(fields.pop("loss"))]
    loss: Loss = kind(**fields)
    return loss


def times_longer(speed: float) -> float:
    """How many times the recipe's examples a student sees; `speed`: its own, compared with the teacher's int8 model."""
    return min(LONGEST, max(1.0, speed / LONGER_FROM))


def make_augmentation(recipe: Recipe, speed: float, own_examples: int, spliceable: bool = True) -> Augmentation | None:
    """More synthetic examples instead of more passes, where a student sees more examples than the recipe's.

    A student that is trained k times longer gets k times the data, small data more, until no example is seen more than
    `PASSES` times. Half of those beyond the recipe's share are cut or joined first, where texts are `spliceable`.
    """
    settings, times = recipe.augmentation, times_longer(speed)
    if settings is None or settings.share == 0:
        return settings
    own = min(1 - settings.share, own_examples * PASSES / recipe.examples_seen) / times
    if own >= 1 - settings.share:
        return settings
    before, now = 1 / (1 - settings.share) - 1, 1 / own - 1  # synthetic examples for each of the task's own
    more = 1 - before / now
    splice = settings.splice + more * (SPLICED - settings.splice) if spliceable else settings.splice
    return replace(settings, share=1 - own, splice=splice)


def make_schedule(recipe: Recipe, speed: float = 1.0) -> Schedule:
    """The learning-rate schedule of a whole build; `speed`: the student's, compared with the teacher's int8 model."""
    examples = recipe.examples_seen * times_longer(speed)
    return Schedule(
        total_steps=max(1, int(examples) // recipe.batch_size),
        batch_size=recipe.batch_size,
        peak_lr=recipe.peak_lr,
        phases=_mapped(recipe, recipe.phases),
    )


def _mapped(recipe: Recipe, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """The phases with learned mixtures instead of hidden states, where the recipe maps layers so."""
    if recipe.layer_map != "learned":
        return phases

    def mapped(loss: Loss) -> Loss:
        return LearnedMap(weight=loss.weight) if isinstance(loss, HiddenStates) else loss

    return tuple(Phase(phase.until, tuple(mapped(loss) for loss in phase.losses)) for phase in phases)


def general_schedule(recipe: Recipe, general: General) -> Schedule:
    """Of the stage on raw text: hidden states alone, since predictions on such text mean nothing."""
    steps = round(general.share * recipe.examples_seen / recipe.batch_size)
    phases = (Phase(1.0, (HiddenStates(weight=100.0),)),)
    return Schedule(max(1, steps), recipe.batch_size, recipe.peak_lr, phases=_mapped(recipe, phases))


def make_stages(recipe: Recipe, schedule: Schedule, shape: StudentConfig) -> dict[str, StageSettings]:
    """The training stages, in order, as ranges of the schedule's steps."""
    total = schedule.total_steps
    quantize_from = round(recipe.quantize_from * total)
    stages: dict[str, StageSettings] = {}
    prune_from = quantize_from
    if recipe.prune_ratio > 1:
        prune_from = round(recipe.prune_from * total)
        goal = PruneTarget(tuple(shape.num_heads or []), tuple(shape.intermediate_sizes or []))
        stages["prune"] = StageSettings(prune_from, quantize_from, prune=goal, l0=recipe.l0)
    stages = {"distil": StageSettings(0, prune_from), **stages}
    stages["quantize"] = StageSettings(quantize_from, total, shape.body_bits, shape.embedding_bits)
    return stages


def carved_shape(recipe: Recipe, shape: StudentConfig, full: StudentConfig) -> StudentConfig:
    """The shape that training starts from: the planned one, wider by `prune_ratio` where pruning is to follow."""

    def wider(counts: list[int] | None, limits: list[int] | None) -> list[int]:
        most = max(limits or [1])
        return [min(most, round(count * recipe.prune_ratio)) for count in counts or []]

    return changed_config(
        shape,
        num_heads=wider(shape.num_heads, full.num_heads),
        intermediate_sizes=wider(shape.intermediate_sizes, full.intermediate_sizes),
        body_bits=32,
        embedding_bits=32,
    )
