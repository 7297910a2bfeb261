"""The rows of the methods table: the default recipe changed by one method of the field.

Weights of losses follow the papers' where these give them for means; a mean over hundreds of numbers (hidden states)
gets 100, as in the default recipe. Where a method is a set of losses it takes the place of the default's, soft
targets staying; "added" means beside the default's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.runs import AS_IT_IS, DEFAULT, Variant
from edgepack.build.recipe import Recipe
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.attention_maps import AttentionScores, AttentionTransfer
from edgepack.compress.distil.cosine import CosineStates
from edgepack.compress.distil.earth_mover import EarthMover
from edgepack.compress.distil.feature_maps import FeatureMaps
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.patience import Patience
from edgepack.compress.distil.relations import LastLayerAttention, Relations
from edgepack.compress.distil.signals import Loss
from edgepack.compress.distil.soft_targets import HardLabels, SoftTargets
from edgepack.compress.general import General
from edgepack.compress.l0 import L0Pruning
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.train import Phase

Change = Callable[[Recipe], Recipe]
SOFT = SoftTargets(temperature=2.0)
LAST = Phase(1.0, (SOFT,))


def with_losses(*losses: Loss, **fields: Any) -> Change:
    """These losses from the first step to the last, in the place of the recipe's."""
    return lambda recipe: replace(recipe, phases=(Phase(1.0, losses),), **fields)


def with_added(*losses: Loss) -> Change:
    """These losses in addition to those of every phase."""
    return lambda recipe: replace(
        recipe, phases=tuple(Phase(phase.until, (*phase.losses, *losses)) for phase in recipe.phases)
    )


def with_phases(*phases: Phase) -> Change:
    """These phases in the place of the recipe's."""
    return lambda recipe: replace(recipe, phases=phases)


def with_fields(**fields: Any) -> Change:
    """These fields of the recipe changed."""
    return lambda recipe: replace(recipe, **fields)


def with_structure(**fields: Any) -> Change:
    """These fields of the recipe's structure changed."""
    return lambda recipe: replace(recipe, structure=replace(recipe.structure, **fields))


def with_low_rank(weights: str) -> Change:
    """Every body matrix at half its rank, the error weighed so."""
    return lambda recipe: replace(recipe, structure=replace(recipe.structure, rank_share=0.5), rank_weights=weights)


def general(**weights: float) -> Change:
    """A tenth more steps on raw text, with these objectives in addition to the distillation."""
    return with_fields(general=General(share=0.1, **weights))


TINYBERT = (Phase(0.6, (HiddenStates(), AttentionScores())), LAST)
WIDTHS = {8: "8-bit", 4: "4-bit", 3: "3-bit", 2: "2-bit", 1: "ternary"}

DISTILLATION = {
    "soft-targets": Variant("soft targets only (Hinton et al. 2015)", with_losses(SOFT)),
    "hard-labels": Variant("soft targets and hard labels", with_losses(SOFT, HardLabels())),
    "distilbert": Variant(
        "DistilBERT: soft, hard, cosine of the last state", with_losses(SOFT, HardLabels(), CosineStates())
    ),
    "pkd-skip": Variant(
        "PKD-Skip: soft, hard, patience on [CLS]", with_losses(SOFT, HardLabels(), Patience(weight=10.0))
    ),
    "pkd-last": Variant("PKD-Last", with_losses(SOFT, HardLabels(), Patience(weight=10.0, layers="last"))),
    "tinybert": Variant(
        "TinyBERT: embedding, hidden states and attention scores for 60 % of the steps, then predictions",
        with_phases(*TINYBERT),
    ),
    "hidden-first": Variant(
        "the default's losses for 60 % of the steps, then soft targets alone",
        lambda recipe: replace(recipe, phases=(*(Phase(0.6 * p.until, p.losses) for p in recipe.phases), LAST)),
    ),
    "mobilebert": Variant(
        "MobileBERT: feature maps and attention, layer after layer",
        with_losses(SOFT, FeatureMaps(weight=10.0, progressive=True), AttentionTransfer(progressive=True)),
    ),
    "minilm": Variant(
        "MiniLM: attention and value relations of the last layer", with_losses(SOFT, LastLayerAttention())
    ),
    "minilmv2": Variant("MiniLMv2: query, key and value relations of the last layer", with_losses(SOFT, Relations())),
    "minilmv2-added": Variant("MiniLMv2's relations added to the default's losses", with_added(Relations())),
    "learned-map": Variant("hidden states to learned mixtures of layers", with_losses(SOFT, LearnedMap(weight=100.0))),
    "earth-mover": Variant("BERT-EMD: many layers to many", with_losses(SOFT, EarthMover(weight=100.0))),
    "output-space": Variant(
        "Universal-KD: layers matched in class space", with_losses(SOFT, OutputSpace()), tasks=("sst2",)
    ),
    "theseus": Variant(
        "BERT-of-Theseus: modules replaced one by one, soft targets only",
        with_losses(SOFT, module_replacing=ModuleReplacing()),
    ),
    "theseus-added": Variant(
        "modules replaced one by one, with the default's losses", with_fields(module_replacing=ModuleReplacing())
    ),
}
DATA = {
    "general": Variant("general stage on raw text: distillation", general(), text=True),
    "general-masked-words": Variant("the same, and masked words", general(masked_words=0.1), text=True),
    "general-sentence-order": Variant(
        "the same, and sentence order", general(masked_words=0.1, sentence_order=0.1), text=True
    ),
    "no-augmentation": Variant("no augmentation", with_fields(augmentation=None)),
    "augmentation-words": Variant(
        "as many new examples as old: words replaced", with_fields(augmentation=Augmentation(0.5))
    ),
    "augmentation-splice": Variant(
        "the same, half of them cut or joined first", with_fields(augmentation=Augmentation(0.5, splice=0.5))
    ),
    "augmentation-more": Variant(
        "four new examples for each old one, half of them cut or joined",
        with_fields(augmentation=Augmentation(0.8, splice=0.5)),
    ),
}
STRUCTURE = {
    "share-all": Variant("ALBERT: all layers share their weights", with_structure(sharing="all")),
    "share-attention": Variant("ALBERT: attention shared", with_structure(sharing="attention")),
    "share-ffn": Variant("ALBERT: FFN shared", with_structure(sharing="ffn")),
    "sandwich": Variant("Subformer: the middle layers shared", with_structure(sharing="sandwich")),
    "safe": Variant("Subformer: self-attentive embedding (SAFE)", with_structure(embedding="self_attentive")),
    "low-rank": Variant("half the rank, plain SVD", with_low_rank("none")),
    "low-rank-inputs": Variant("half the rank, weighed by activations", with_low_rank("inputs")),
    "low-rank-fisher": Variant("half the rank, weighed by Fisher information (FWSVD)", with_low_rank("fisher")),
    "hidden-256": Variant("hidden size cut to 256", with_structure(hidden_size=256)),
    "gradual-pruning": Variant(
        "carved 1.5 times as wide, then pruned gradually (Molchanov et al. 2019)", with_fields(prune_ratio=1.5)
    ),
    "l0-pruning": Variant(
        "carved 1.5 times as wide, then pruned by hard-concrete masks (Louizos et al. 2018)",
        with_fields(prune_ratio=1.5, l0=L0Pruning(keep=0.5)),
    ),
    "whole-vocabulary": Variant("no token trimmed", with_structure(vocabulary="whole")),
    "task-vocabulary": Variant("the training data's tokens only", with_structure(vocabulary="task")),
}
ROUNDING = {
    **{
        f"body-{name}": Variant(f"{name} body, the shape to fit", with_structure(body_bits=bits))
        for bits, name in WIDTHS.items()
    },
    **{
        f"embedding-{name}": Variant(f"{name} embedding table, the shape to fit", with_structure(embedding_bits=bits))
        for bits, name in WIDTHS.items()
    },
    "mixed-widths": Variant("a width for each matrix, by sensitivity", with_fields(mixed_widths=True)),
}
METHODS: dict[str, Variant] = {DEFAULT: AS_IT_IS, **DISTILLATION, **DATA, **STRUCTURE, **ROUNDING}
