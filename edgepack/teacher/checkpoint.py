"""A checkpoint opened: its folder, its config, and what a config must not ask for.

Nothing is loaded here but config.json. Whatever it says that would make another model than edgepack's encoder, or
that edgepack would have to run code for, is refused by its name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimum.utils import NormalizedConfigManager
from transformers import AutoConfig, PreTrainedConfig

from edgepack.errors import InputError, bare, one_line, shown
from edgepack.teacher.files import CONFIG, deciding_files, read_json, refuse_pointers
from edgepack.teacher.hub import find_folder
from edgepack.teacher.labels import read_labels
from edgepack.teacher.other_models import refuse_other_folders
from edgepack.teacher.quiet import quiet_transformers

FAMILIES = ("bert", "distilbert", "roberta", "electra", "albert", "mpnet")
LARGEST = {"layers": 1_000, "hidden size": 65_536, "attention heads": 4_096, "vocabulary": 10_000_000}
MOST_LABELS = 100_000
STUDENT = "edgepack-student"  # model_type of what edgepack itself makes
BACKWARD = ("is_decoder", "add_cross_attention", "is_encoder_decoder")  # settings that no encoder here has
MPNET_PADDING = 1  # written into the code of its positions


@dataclass(frozen=True)
class Sizes:
    """A config's sizes by one name for every family, as optimum normalizes them."""

    layers: int
    hidden_size: int
    heads: int
    vocabulary: int


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's files, resolved and not yet loaded."""

    folder: Path
    name: str
    config: PreTrainedConfig

    @property
    def family(self) -> str:
        """One of `FAMILIES`."""
        return str(self.config.model_type)

    @property
    def sizes(self) -> Sizes:
        """Layers, widths and vocabulary."""
        return config_sizes(self.config)

    def files(self) -> list[Path]:
        """The files that decide what the checkpoint computes: config, weights, tokenizer."""
        return deciding_files(self.folder)


def config_sizes(config: PreTrainedConfig) -> Sizes:
    """The sizes that a config states, whatever its family calls them."""
    normalized = NormalizedConfigManager.get_normalized_config_class(str(config.model_type))(config)
    return Sizes(normalized.num_layers, normalized.hidden_size, normalized.num_attention_heads, normalized.vocab_size)


def open_checkpoint(source: str) -> Checkpoint:
    """Find the checkpoint and read its config; what edgepack cannot carve is refused here."""
    folder = find_folder(source)
    refuse_other_folders(folder, source)
    refuse_pointers(folder, source)
    what = f"checkpoint {source}"
    raw = read_json(folder / CONFIG, what)
    _check_settings(raw, what)
    names = read_labels(raw, what)
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as e:  # a broken file trips transformers in too many ways to list
        raise InputError(f"{what}: config.json does not load: {one_line(e)}") from e
    if names is not None:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: i for i, name in enumerate(names)}
    _check_sizes(config, what)
    return Checkpoint(folder, folder.resolve().name if Path(source).is_dir() else source, config)


def _check_settings(raw: dict[str, Any], what: str) -> None:
    family = raw.get("model_type")
    if family == STUDENT:
        raise InputError(f"{what}: is a student that edgepack made; give the teacher that it was made from")
    if family not in FAMILIES:
        raise InputError(f"{what}: model_type is {shown(family)}; supported: {', '.join(FAMILIES)}")
    if raw.get("auto_map"):
        raise InputError(
            f"{what}: config.json asks for its own Python code (auto_map), which edgepack never runs; "
            f"give a plain {family} checkpoint"
        )
    if raw.get("quantization_config"):
        raise InputError(f"{what}: its weights are quantized (quantization_config); give the checkpoint before that")
    for setting in BACKWARD:
        if raw.get(setting):
            raise InputError(
                f"{what}: config.json says {setting} {shown(raw[setting])}, which makes a decoder of it, and students "
                "are encoders; if it was trained as an encoder, set it to false"
            )
    if raw.get("pruned_heads"):
        raise InputError(
            f"{what}: config.json names pruned_heads, and layers of different width do not load; give the checkpoint "
            "before pruning (edgepack removes heads itself)"
        )
    for setting, value in raw.items():
        broken = isinstance(value, float) and not math.isfinite(value)
        if broken or ("dropout" in setting and isinstance(value, int | float) and not 0 <= value <= 1):
            raise InputError(
                f"{what}: config.json says {bare(setting)} {shown(value)}; a finite number is needed, a "
                "dropout between 0 and 1"
            )
    count = raw.get("num_labels")
    if count is not None and (not isinstance(count, int) or not 0 <= count <= MOST_LABELS):
        raise InputError(f"{what}: num_labels is {shown(count)}; allowed: 2 to {MOST_LABELS}")


def _check_sizes(config: PreTrainedConfig, what: str) -> None:
    try:
        sizes = config_sizes(config)
    except (AttributeError, KeyError) as e:
        raise InputError(f"{what}: config.json lacks a size: {one_line(e)}") from e
    stated = {
        "layers": sizes.layers,
        "hidden size": sizes.hidden_size,
        "attention heads": sizes.heads,
        "vocabulary": sizes.vocabulary,
    }
    for name, value in stated.items():
        if type(value) is not int or not 1 <= value <= LARGEST[name]:
            raise InputError(f"{what}: config.json says {shown(value)} {name}; allowed: 1 to {LARGEST[name]}")
    if sizes.hidden_size % sizes.heads:
        raise InputError(f"{what}: hidden size {sizes.hidden_size} is no multiple of its {sizes.heads} attention heads")
    for setting in ("max_position_embeddings", "type_vocab_size", "embedding_size", "intermediate_size", "hidden_dim"):
        value = getattr(config, setting, 1)
        least = 0 if setting == "type_vocab_size" else 1
        if type(value) is not int or not least <= value <= LARGEST["vocabulary"]:
            raise InputError(f"{what}: config.json says {setting} {shown(value)}; a number from {least} is needed")
    groups = getattr(config, "num_hidden_groups", 1)
    if type(groups) is not int or not 1 <= groups <= sizes.layers:
        raise InputError(f"{what}: config.json says num_hidden_groups {shown(groups)}; allowed: 1 to {sizes.layers}")
    padding = config.pad_token_id
    if padding is not None and (type(padding) is not int or not 0 <= padding < sizes.vocabulary):
        raise InputError(f"{what}: pad_token_id is {shown(padding)}; the vocabulary has {sizes.vocabulary} tokens")
    if config.model_type == "mpnet" and padding != MPNET_PADDING:
        raise InputError(
            f"{what}: pad_token_id is {shown(padding)}; an MPNet counts positions from behind {MPNET_PADDING}, "
            f"whatever config.json says: set it to {MPNET_PADDING}"
        )
