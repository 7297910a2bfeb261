"""A recipe as the text of its file, every key with what it does: what `edgepack recipes show` prints.

Reading the text gives the same recipe back. `recipes/standard.toml` is such a text.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from edgepack.build.recipe_file import RecipeFile
from edgepack.compress.distil.layer_maps import LAYER_MAPS
from edgepack.compress.distil.objective import LOSSES, NAMES
from edgepack.compress.distil.signals import Loss
from edgepack.compress.low_rank import RANK_WEIGHTS
from edgepack.compress.sharing import SHARING_KINDS
from edgepack.plan.space import EMBEDDINGS, VOCABULARIES
from edgepack.student.config import NORMS

WIDTH = 110
COMMENTS: dict[str, str] = {
    "examples_seen": "training examples seen, repeats counted; fast students see up to three times as many",
    "batch_size": "examples in a step",
    "peak_lr": "the learning rate after its warm-up; from there it falls to 0",
    "warmup": "share of the steps in which the learning rate rises",
    "betas": "AdamW's decay rates",
    "weight_decay": "AdamW's, of matrices alone",
    "clip_norm": "gradients longer than this are cut to it; 0: none are",
    "layer_map": f"the teacher layer that a student layer learns from: {', '.join(LAYER_MAPS)}",
    "rank_weights": f"what the error of a low-rank matrix is weighed by: {', '.join(RANK_WEIGHTS)}",
    "allocate_ranks": "a rank for each matrix by what it captures, in the bytes of structure.rank_share",
    "prune_ratio": "heads and FFN units at the start, as a multiple of the plan's; 1: nothing is pruned in training",
    "prune_from": "share of the steps at which pruning begins",
    "quantize_from": "share of the steps at which weights are rounded, and pruning is over",
    "mixed_widths": "a bit width for each matrix by its sensitivity; targets of format onnx",
    "learned_scales": "steps of blocks are trained, not chosen by the weights (LSQ); below 8 bits",
    "importance_examples": "training examples that heads and units are judged on",
    "module_replacing": "the teacher's layers run instead of the student's, ever more rarely (BERT-of-Theseus)",
    "module_replacing.k": "a layer is the student's own with probability k · (share of the training done) + b",
    "module_replacing.b": "that probability at the start",
    "l0": "prune by learned masks instead of first-order importance; needs a prune_ratio above 1",
    "l0.warmup": "share of the pruning steps in which the target falls",
    "l0.gate_lr": "learning rate of the masks",
    "l0.multiplier_lr": "learning rate of the Lagrangian's multipliers",
    "l0.initial_log_alpha": "2.5: a unit is there with probability 0.98 at first",
    "augmentation": "synthetic examples; small data get more of them than the share says",
    "augmentation.share": "of all examples",
    "augmentation.p_replace": "probability that a word is replaced",
    "augmentation.candidates": "words that it may be replaced by",
    "augmentation.splice": "share of these that are cut or joined first; of those beyond the share at least half",
    "augmentation.masked_model": "candidates from this masked-language model, a folder or a hub id; false: neighbours",
    "general": "a stage on raw text before the task's data; runs with --raw-text alone",
    "general.share": "its length, as a share of examples_seen",
    "general.masked_words": "weight of BERT's masked words; 0: off",
    "general.sentence_order": "weight of ALBERT's sentence order; 0: off; the text must be in running order",
    "general.examples": "its length in sequences instead of the share; 0: the share",
    "structure": "what is fixed of the student; the plan chooses the rest",
    "structure.sharing": f"layers that share their weights: {', '.join(SHARING_KINDS)}",
    "structure.embedding": f"the way from the embedding to the hidden size: {', '.join(EMBEDDINGS)}",
    "structure.rank_share": "every body matrix in two factors of this share of its rank; 0: whole matrices",
    "structure.hidden_size": "0: the teacher's",
    "structure.body_bits": "8, 4, 3, 2, or 1 for ternary; 0: free",
    "structure.embedding_bits": "the same for the embedding table",
    "structure.vocabulary": f"tokens that are kept: {', '.join(VOCABULARIES)}",
    "structure.norm": f"{', '.join(NORMS)}; no_norm is MobileBERT's, an affine map",
    "structure.embedding_kernel": "words that a convolution reads; 1: none; 0: 5 for tags in a student of few layers",
    "structure.match_feature": "of pairs: mark the tokens that the other text has too (exact match feature)",
    "structure.wide_rows": "rows of a table of tokens' scores beside the encoder, at most; 0: none (wide and deep)",
}
OPTIONAL = ("module_replacing", "augmentation", "general", "l0")
TABLES = ("structure", *OPTIONAL)


def recipe_text(file: RecipeFile) -> str:
    """The whole recipe as TOML, each key below its comment."""
    recipe = file.recipe
    lines = [f"summary = {json.dumps(file.summary, ensure_ascii=False)}", ""]
    lines += _keys(recipe, [name for name in COMMENTS if "." not in name and name not in TABLES], "")
    off = [name for name in OPTIONAL if getattr(recipe, name) is None]
    for name in off:
        lines += [f"# {COMMENTS[name]}", f"{name} = false"]
    lines += ["", *_loss_comments()]
    for phase in recipe.phases:
        lines += ["[[phases]]", f"until = {phase.until}  # share of the steps", *_losses(phase.losses), ""]
    for name in TABLES:
        part = getattr(recipe, name)
        if part is None:
            continue
        own = [field.name for field in fields(part)]
        lines += [f"# {COMMENTS[name]}", f"[{name}]", *_keys(part, [key for key in own if key != "losses"], f"{name}.")]
        lines += [*_losses(part.losses), ""] if "losses" in own else [""]
    return "\n".join(lines[:-1]) + "\n"


def _keys(part: Any, names: Sequence[str], before: str) -> Iterator[str]:
    for name in names:
        yield f"# {COMMENTS[before + name]}"
        yield f"{name} = {_value(getattr(part, name))}"


def _losses(losses: Sequence[Loss]) -> Iterator[str]:
    yield "losses = ["
    for loss in losses:
        settings = "".join(f", {field.name} = {_value(getattr(loss, field.name))}" for field in fields(loss))
        yield f'  {{ loss = "{NAMES[type(loss)]}"{settings} }},'
    yield "]"


def _loss_comments() -> Iterator[str]:
    """What losses there are, with their settings."""
    yield "# Losses up to a share of the steps, weighed and summed. There are, with their settings:"
    for name, kind in LOSSES.items():
        settings = ", ".join(field.name for field in fields(kind))
        what = (kind.__doc__ or "").split("\n")[0].rstrip(".")
        yield from textwrap.wrap(f"{name}: {what} ({settings})", WIDTH, initial_indent="# - ", subsequent_indent="#   ")


def _value(value: Any) -> str:
    """A setting as TOML; None as `false`."""
    if value is None or isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"[{', '.join(map(_value, value))}]" if isinstance(value, tuple) else repr(value)
