"""Whether a checkpoint's weights are all that its model has, and nothing that another model had.

Harmless are the heads that pretraining leaves behind, tables of positions that are computed anyway, a pooler that
the task's head does not read, and weights of a loss. Anything else that would be left out is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgepack.errors import InputError, bare
from edgepack.teacher.families import FAMILIES
from edgepack.teacher.weight_names import Stored, few

HARMLESS = re.compile(
    r"(lm_|mask_)predictions\.|cls\.(predictions|seq_relationship)\.|lm_head\.|predictions\.|sop_classifier\.|(discriminator|generator)_predictions\."
    r"|generator_lm_head\.|vocab_(transform|layer_norm|projector)\.|(\w+\.)?pooler\.|(loss|loss_fct|criterion)\."
    r"|class_weights?$|.*(position_ids|token_type_ids)$"
)
MASKED = re.compile(r"(weight|bias)_(orig|mask)$")  # what torch.nn.utils.prune leaves
COMPUTED = re.compile(
    r"weight_(g|v|u)$|(^|\.)parametrizations\."
)  # weight and spectral norm: torch computes the weight
TABLES = {
    ".word_embeddings.": "vocab_size",
    ".position_embeddings.": "max_position_embeddings",
    "transformer.embeddings.weight": "vocab_size",  # XLM's
}


def check_names(
    stored: Mapping[str, Stored],
    expected: Mapping[str, tuple[int, ...]],
    what: str,
    family: str,
    labels: int,
    task: str,
) -> None:
    """`InputError` where what is stored is not what config and head ask for; one line says what differs.

    `expected`: shapes by name of the model that the config describes; `family`: the config's `model_type`; `labels`:
    how many classes the config names.
    """
    missing = sorted(set(expected) - set(stored))
    unexpected = sorted(name for name in set(stored) - set(expected) if not HARMLESS.match(name))
    _check_family(stored, what, family)
    _check_layers(stored, expected, what, family)
    _check_shapes(stored, expected, what, labels)
    masked = [name for name in unexpected if MASKED.search(name)]
    if masked:
        raise InputError(f"{what}: its weights hold masks of pruning ({few(masked)}); call prune.remove before saving")
    computed = [name for name in unexpected if COMPUTED.search(name)]
    if computed:
        raise InputError(
            f"{what}: its weights hold parts of which torch computes others ({few(computed)}); call "
            "parametrize.remove_parametrizations, or remove_weight_norm, before saving"
        )
    if missing:
        body = [name for name in missing if name.startswith(f"{FAMILIES[family].prefix}.") and ".pooler." not in name]
        lost = f"its weights lack {few(body or missing)}"
        if unexpected:
            lost += f", and hold {few(unexpected)}, which a {family} has no place for"
        if body:
            raise InputError(f"{what}: {lost}; save the model again with save_pretrained")
        raise InputError(
            f"{what}: not fine-tuned for {task}, {lost}; give a fine-tuned checkpoint, or make one with `edgepack "
            "finetune`"
        )
    if unexpected:
        raise InputError(
            f"{what}: its weights hold {few(unexpected)}, which a {family} for {task} does not have, so that it would "
            "be another model without them; give a checkpoint of a plain head, or take them out if nothing used them"
        )


def _check_family(stored: Mapping[str, Stored], what: str, family: str) -> None:
    own = FAMILIES[family]
    other = [each.prefix for each in FAMILIES.values() if f"{each.prefix}.{each.word_table}" in stored]
    if other and f"{own.prefix}.{own.word_table}" not in stored:
        raise InputError(
            f"{what}: model_type is of the family {family}, and its weights are named {other[0]}.…; one of the two is "
            "not this checkpoint's"
        )


def _check_layers(
    stored: Mapping[str, Stored], expected: Mapping[str, tuple[int, ...]], what: str, family: str
) -> None:
    held, wanted = (_layer_numbers(names, family) for names in (stored, expected))
    if held != wanted and held:
        field = "num_hidden_groups" if family == "albert" else "number of layers"
        raise InputError(
            f"{what}: config.json gives {len(wanted)} as the {field}, its weights hold {len(held)}; correct "
            "config.json, or cut the model in its own code and save it with save_pretrained"
        )


def _layer_numbers(names: Mapping[str, object], family: str) -> set[int]:
    pattern = re.compile(rf"{re.escape(FAMILIES[family].prefix)}\.{re.escape(FAMILIES[family].layers)}(\d{{1,6}})\.")
    return {int(match[1]) for name in names if (match := pattern.match(name))}


def _check_shapes(
    stored: Mapping[str, Stored], expected: Mapping[str, tuple[int, ...]], what: str, labels: int
) -> None:
    for name in sorted(set(stored) & set(expected)):
        held, wanted = stored[name].shape, expected[name]
        if held == wanted:
            continue
        if name.startswith("classifier") and held[:1] != wanted[:1] == (labels,):
            outputs = held[0] if held else 0
            raise InputError(
                f"{what}: config.json names {labels} labels (id2label), the head in its weights has {outputs} outputs; "
                "give config.json a name for each output"
            )
        field = next((field for table, field in TABLES.items() if table in name), None)
        hint = f"set {field} in config.json to {held[0]}" if field and held[1:] == wanted[1:] else None
        if hint is None and ".attention." in name:
            hint = "if heads were pruned, give the checkpoint before that (edgepack removes heads itself)"
        raise InputError(
            f"{what}: weights do not fit config.json: {bare(name)} has shape {list(held)}, the config asks for "
            f"{list(wanted)}; {hint or 'give the config.json that was saved with them'}"
        )
