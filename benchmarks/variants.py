"""The rows of the methods table: the default recipe changed by one method of the field, as a built-in recipe has it.

Weights of losses follow the papers' where these give them for means; a mean over hundreds of numbers (hidden states)
gets 100, as in the default recipe. Where a method is a set of losses it takes the place of the default's, soft
targets staying; "added" means beside the default's.

A recorded row stays what it was: where a built-in recipe has changed since its row was measured, the row says so here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from benchmarks.runs import AS_IT_IS, DEFAULT, Variant
from edgepack.build.recipe import Recipe, find_recipe
from edgepack.build.recipe_settings import GENERAL
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.relations import Relations
from edgepack.compress.distil.signals import Loss
from edgepack.compress.general import General
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.train import Phase

Change = Callable[[Recipe], Recipe]
MEASURED_SO: dict[str, Any] = {"layer_map": "carved", "general": GENERAL}  # before recipes had the maps of their papers


def built_in(name: str, **as_measured: Any) -> Change:
    """What the built-in recipe has in another way than the default, with what its row was measured with."""

    def change(recipe: Recipe) -> Recipe:
        named, default = find_recipe(name), find_recipe("standard")
        own = {field.name: getattr(named, field.name) for field in fields(Recipe)}
        changed = {key: value for key, value in own.items() if value != getattr(default, key)}
        return replace(recipe, **{**changed, **as_measured})

    return change


def with_classes(name: str, classes: int) -> Change:
    """The built-in recipe with the number of classes written out."""

    def fixed(loss: Loss) -> Loss:
        return replace(loss, classes=classes) if isinstance(loss, OutputSpace) else loss

    def change(recipe: Recipe) -> Recipe:
        changed = built_in(name)(recipe)
        return replace(changed, phases=tuple(Phase(p.until, tuple(map(fixed, p.losses))) for p in changed.phases))

    return change


def with_added(*losses: Loss) -> Change:
    """These losses in addition to those of every phase."""
    return lambda recipe: replace(
        recipe, phases=tuple(Phase(phase.until, (*phase.losses, *losses)) for phase in recipe.phases)
    )


def with_fields(**fields: Any) -> Change:
    """These fields of the recipe changed."""
    return lambda recipe: replace(recipe, **fields)


def with_structure(**fields: Any) -> Change:
    """These fields of the recipe's structure changed."""
    return lambda recipe: replace(recipe, structure=replace(recipe.structure, **fields))


def general(masked_words: float = 0.0, sentence_order: float = 0.0) -> Change:
    """A tenth more steps on raw text, with these objectives in addition to the distillation."""
    return with_fields(general=General(share=0.1, masked_words=masked_words, sentence_order=sentence_order))


WIDTHS = {8: "8-bit", 4: "4-bit", 3: "3-bit", 2: "2-bit", 1: "ternary"}

DISTILLATION = {
    "soft-targets": Variant("soft targets only (Hinton et al. 2015)", built_in("soft-targets")),
    "hard-labels": Variant("soft targets and hard labels", built_in("hard-labels")),
    "distilbert": Variant("DistilBERT: soft, hard, cosine of the last state", built_in("distilbert")),
    "pkd-skip": Variant("PKD-Skip: soft, hard, patience on [CLS], layers as carved", built_in("pkd", **MEASURED_SO)),
    "pkd-last": Variant("PKD-Last", built_in("pkd-last", **MEASURED_SO)),
    "tinybert": Variant(
        "TinyBERT: embedding, hidden states and attention scores for 60 % of the steps, then predictions; "
        "layers as carved",
        built_in("tinybert", **MEASURED_SO),
    ),
    **{
        f"{name}-uniform": Variant(f"`{name}` with the layer map of its paper, evenly spread", built_in(name))
        for name in ("pkd", "tinybert", "theseus")
    },
    "normalized-states": Variant("hidden states by the teacher's mean square", built_in("normalized-states")),
    "hidden-first": Variant(
        "the default's losses for 60 % of the steps, then soft targets alone",
        built_in("hidden-first"),
    ),
    "mobilebert": Variant(
        "MobileBERT: feature maps and attention, layer after layer",
        built_in("mobilebert"),
    ),
    "minilm": Variant("MiniLM: attention and value relations of the last layer", built_in("minilm")),
    "minilmv2": Variant("MiniLMv2: query, key and value relations of the last layer", built_in("minilmv2")),
    "minilmv2-added": Variant("MiniLMv2's relations added to the default's losses", with_added(Relations())),
    "learned-map": Variant("hidden states to learned mixtures of layers", built_in("learned-map")),
    "earth-mover": Variant("BERT-EMD: many layers to many", built_in("emd")),
    "output-space": Variant(
        "Universal-KD: layers matched in class space", with_classes("universal-kd", 2), tasks=("sst2",)
    ),
    "theseus": Variant(
        "BERT-of-Theseus: modules replaced one by one, soft targets only, layers as carved",
        built_in("theseus", **MEASURED_SO),
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
    "no-augmentation": Variant("no augmentation", built_in("no-augmentation")),
    "augmentation-words": Variant(
        "as many new examples as old: words replaced", with_fields(augmentation=Augmentation(0.5))
    ),
    "augmentation-splice": Variant("the same, half of them cut or joined first", built_in("splicing")),
    "augmentation-more": Variant(
        "four new examples for each old one, half of them cut or joined",
        with_fields(augmentation=Augmentation(0.8, splice=0.5)),
    ),
}
STRUCTURE = {
    "share-all": Variant("ALBERT: all layers share their weights", built_in("albert")),
    "share-attention": Variant("ALBERT: attention shared", built_in("share-attention")),
    "share-ffn": Variant("ALBERT: FFN shared", built_in("share-ffn")),
    "sandwich": Variant("Subformer: the middle layers shared", built_in("subformer")),
    "safe": Variant("Subformer: self-attentive embedding (SAFE)", built_in("safe")),
    "low-rank": Variant("half the rank, plain SVD", built_in("svd")),
    "low-rank-inputs": Variant("half the rank, weighed by activations", built_in("low-rank")),
    "low-rank-fisher": Variant("half the rank, weighed by Fisher information (FWSVD)", built_in("fwsvd")),
    "allocated-ranks": Variant(
        "the same bytes as half the rank, a rank for each matrix by what it captures", built_in("allocated-ranks")
    ),
    "no-norm": Variant("MobileBERT's NoNorm instead of LayerNorm", built_in("no-norm")),
    "hidden-256": Variant("hidden size cut to 256", built_in("hidden-256")),
    "gradual-pruning": Variant(
        "carved 1.5 times as wide, then pruned gradually (Molchanov et al. 2019)", built_in("gradual-pruning")
    ),
    "l0-pruning": Variant(
        "carved 1.5 times as wide, then pruned by hard-concrete masks (Louizos et al. 2018)",
        built_in("l0"),
    ),
    "whole-vocabulary": Variant("no token trimmed", built_in("whole-vocabulary")),
    "task-vocabulary": Variant("the training data's tokens only", built_in("task-vocabulary")),
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
    "learned-scales": Variant("the steps of blocks are trained (Esser et al. 2020)", built_in("learned-scales")),
    "mixed-widths": Variant("a width for each matrix, by sensitivity", built_in("mixed-widths")),
}
METHODS: dict[str, Variant] = {DEFAULT: AS_IT_IS, **DISTILLATION, **DATA, **STRUCTURE, **ROUNDING}
