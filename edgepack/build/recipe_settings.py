"""What a recipe can say, and which settings do not go together. What training makes of it belongs to `build/recipe.py`.

Every method of `edgepack/compress/` has its place in a field here; a default changes nothing. The fields are the keys
of a recipe's file too (`recipe_file.py`), so an error names what a user wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.attention_maps import AttentionTransfer
from edgepack.compress.distil.feature_maps import FeatureMaps
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LAYER_MAPS
from edgepack.compress.distil.objective import LOSSES, NAMES
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.signals import Loss
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.general import General
from edgepack.compress.l0 import L0Pruning
from edgepack.compress.low_rank import RANK_WEIGHTS
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.errors import InputError
from edgepack.plan.space import Structure
from edgepack.train import Phase
from edgepack.train.optimizer import BETAS
from edgepack.train.schedule import check_phases

AUGMENTATION, GENERAL, PLAIN = Augmentation(share=0.3), General(share=0.1), Structure()
MOST = 10**9  # examples and the like: more is a slip of the pen


@dataclass(frozen=True)
class Recipe:
    """Settings of one training; a method is off where its field is None, 0, 1 or "none"."""

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
    general: General | None = GENERAL  # only with --raw-text
    structure: Structure = PLAIN  # hidden size, sharing, self-attentive embedding, low rank, given bit widths
    rank_weights: str = "inputs"  # what a low-rank matrix's error is weighed by: none, inputs, fisher
    allocate_ranks: bool = False  # a rank for each matrix, by what it captures, in the bytes of structure.rank_share
    prune_ratio: float = 1.0  # heads and units before gradual pruning, as a multiple of the plan's
    l0: L0Pruning | None = None  # prune by learned masks instead of first-order importance
    prune_from: float = 0.05  # shares of the steps at which `prune` begins and `quantize` begins
    quantize_from: float = 0.4
    mixed_widths: bool = False  # a bit width for each matrix, by sensitivity, in the bytes of the plan's one
    learned_scales: bool = False  # the steps of blocks are trained with the weights, not chosen by them (LSQ)
    importance_examples: int = 2048
    warmup: float = 0.06  # share of the steps in which the learning rate rises
    betas: tuple[float, float] = BETAS  # AdamW's
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # 0: gradients are not cut

    def __post_init__(self) -> None:
        check_ranges(self)
        for name, choices in (("rank_weights", RANK_WEIGHTS), ("layer_map", LAYER_MAPS)):
            if getattr(self, name) not in choices:
                raise InputError(f"recipe: {name} is {getattr(self, name)!r}; allowed: {', '.join(choices)}")
        check_losses(self)
        if self.layer_map == "learned" and not any(isinstance(loss, HiddenStates) for _, loss in self.task_losses()):
            raise InputError("recipe: layer_map 'learned' has no hidden states to mix; add the loss hidden_states")
        if self.allocate_ranks and not self.structure.rank_share:
            raise InputError("recipe: allocate_ranks has no ranks to allocate; give structure.rank_share too")
        check_unused(self)
        if self.l0 is not None and self.prune_ratio == 1:
            raise InputError("recipe: l0 prunes nothing at a prune_ratio of 1; give a greater one")
        attention = [key for key, loss in self.task_losses() if loss.needs_vectors]
        if self.module_replacing is not None and (attention or self.structure.hidden_size):
            raise InputError(
                f"recipe: module replacing does not go with {attention[0] if attention else 'structure.hidden_size'}; "
                "it needs the teacher's hidden size and losses without queries, keys and values"
            )

    def task_losses(self) -> Iterator[tuple[str, Loss]]:
        """The losses on the task's data, each with its key."""
        for number, phase in enumerate(self.phases):
            for place, loss in enumerate(phase.losses):
                yield f"phases[{number}].losses[{place}]", loss

    def losses(self) -> Iterator[tuple[str, Loss]]:
        """All losses, those on raw text too, each with its key."""
        yield from self.task_losses()
        for place, loss in enumerate(self.general.losses if self.general is not None else ()):
            yield f"general.losses[{place}]", loss

    @property
    def needs_vectors(self) -> bool:
        """Whether any loss looks at queries, keys and values."""
        return any(loss.needs_vectors for _, loss in self.losses())


Rule = tuple[Callable[[Any], bool], str]
COUNT: Rule = (lambda value: 1 <= value <= MOST, f"1 to {MOST:,}")
SHARE: Rule = (lambda value: 0 <= value <= 1, "0 to 1")
RANGES: dict[str, Rule] = {
    "examples_seen": COUNT,
    "batch_size": COUNT,
    "importance_examples": COUNT,
    "peak_lr": (lambda value: 0 < value <= 1, "above 0, up to 1"),
    "prune_ratio": (lambda value: value >= 1, "1 or more"),
    "prune_from": SHARE,
    "quantize_from": SHARE,
    "warmup": (lambda value: 0 <= value < 1, "0 up to, not including, 1"),
    "betas": (lambda value: all(0 <= beta < 1 for beta in value), "two numbers from 0 up to, not including, 1"),
    "weight_decay": (lambda value: value >= 0, "0 or more"),
    "clip_norm": (lambda value: value >= 0, "0 (none) or more"),
}


def check_ranges(recipe: Recipe) -> None:
    """`InputError` naming a number that is out of its range."""
    for name, (is_right, allowed) in RANGES.items():
        if not is_right(getattr(recipe, name)):
            raise InputError(f"recipe: {name} is {getattr(recipe, name)}; allowed: {allowed}")
    if recipe.prune_ratio > 1 and recipe.prune_from >= recipe.quantize_from:
        raise InputError(
            f"recipe: prune_from is {recipe.prune_from}; allowed: below quantize_from, which is {recipe.quantize_from}"
        )


def check_unused(recipe: Recipe) -> None:
    """`InputError` for a key that says how something is done which the recipe does not do."""
    if recipe.rank_weights != Recipe.rank_weights and not recipe.structure.rank_share:
        raise InputError(f"recipe: rank_weights {recipe.rank_weights!r} has no ranks; give structure.rank_share")
    if recipe.prune_from != Recipe.prune_from and recipe.prune_ratio == 1:
        raise InputError("recipe: prune_from begins nothing at a prune_ratio of 1; give a greater one")
    if recipe.learned_scales and recipe.structure.body_bits == 8 and not recipe.mixed_widths:
        raise InputError("recipe: learned_scales has no blocks at a structure.body_bits of 8; give 4 or fewer, or 0")
    if recipe.module_replacing is not None and recipe.module_replacing.b == 1:
        raise InputError("recipe: module_replacing.b is 1, so the teacher's layers never run; give a smaller one")
    general, made = recipe.general, recipe.augmentation
    if general is not None and not any(
        (general.masked_words, general.sentence_order, *(loss.weight for loss in general.losses))
    ):
        raise InputError("recipe: general.losses weigh nothing; give one of them a weight above 0, or general = false")
    if made is None:
        return
    if not made.share and made != Augmentation(share=0):
        raise InputError("recipe: augmentation.share is 0, so nothing else of it counts; give a share above 0")
    if made.share and not made.p_replace and (made.masked_model is not None or not made.splice):
        what = "a masked_model replaces nothing" if made.masked_model is not None else "synthetic examples are copies"
        raise InputError(f"recipe: at an augmentation.p_replace of 0 {what}; give a greater one")


def check_losses(recipe: Recipe) -> None:
    """`InputError` where phases have no losses, or losses that cannot do what the stage of their phase needs."""
    try:
        check_phases(recipe.phases)
    except InputError as e:
        raise InputError(f"recipe: {e}") from e
    for key, loss in recipe.losses():
        if loss.weight < 0:
            raise InputError(f"recipe: {key}.weight of {NAMES[type(loss)]} is {loss.weight}; allowed: 0 or more")
        if key.startswith("general") and (loss.is_prediction or isinstance(loss, OutputSpace)):
            raise InputError(
                f"recipe: {key} is {NAMES[type(loss)]}, and predictions on raw text mean nothing; allowed: "
                "losses of states and attention"
            )
    begin = 0.0
    for number, phase in enumerate(recipe.phases):
        if not phase.losses:
            raise InputError(f"recipe: phases[{number}].losses is empty; allowed: some of {', '.join(LOSSES)}")
        if not any(loss.weight for loss in phase.losses):
            raise InputError(f"recipe: phases[{number}].losses weigh nothing; give one of them a weight above 0")
        for loss in phase.losses:
            if isinstance(loss, FeatureMaps | AttentionTransfer) and loss.progressive and begin >= loss.share:
                raise InputError(
                    f"recipe: phases[{number}] begins at {begin} of the training, and {NAMES[type(loss)]} goes layer "
                    f"after layer until {loss.share} alone; give a greater share, or progressive = false"
                )
        pruned = recipe.prune_ratio > 1 and begin < recipe.quantize_from and phase.until > recipe.prune_from
        if pruned and recipe.l0 is None and not any(loss.is_prediction for loss in phase.losses):
            raise InputError(
                f"recipe: phases[{number}].losses has no prediction loss, and units are pruned in it by their "
                "importance to that; add soft_targets, or leave prune_ratio at 1"
            )
        begin = phase.until


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON, losses by name."""
    record: dict[str, Any] = asdict(recipe)
    for phase, written in zip(recipe.phases, record["phases"], strict=True):
        written["losses"] = _loss_records(phase.losses, written["losses"])
    if recipe.general is not None:
        record["general"]["losses"] = _loss_records(recipe.general.losses, record["general"]["losses"])
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def _loss_records(losses: tuple[Loss, ...], fields: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [{"loss": NAMES[type(loss)], **own} for loss, own in zip(losses, fields, strict=True)]


def read_recipe(record: Mapping[str, Any]) -> Recipe:
    """The recipe that `recipe_record` wrote; fields that an older one lacks have their defaults."""
    parts = {
        "augmentation": Augmentation,
        "general": General,
        "structure": Structure,
        "module_replacing": ModuleReplacing,
        "l0": L0Pruning,
    }
    fields: dict[str, Any] = {name: tuple(v) if name == "betas" else v for name, v in record.items()}
    for name, kind in parts.items():
        if record[name] is not None:
            own = dict(record[name])
            if "losses" in own:
                own["losses"] = _read_losses(own["losses"])
            fields[name] = kind(**own)
    fields["phases"] = tuple(Phase(phase["until"], _read_losses(phase["losses"])) for phase in record["phases"])
    return Recipe(**fields)


def _read_losses(records: list[Mapping[str, Any]]) -> tuple[Loss, ...]:
    losses = []
    for record in records:
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
        kind: Any = LOSSES[str(fields.pop("loss"))]
        losses.append(kind(**fields))
    return tuple(losses)
