"""A checkpoint opened: its folder, its config, and what a config must not ask for.

Nothing is loaded here but config.json. Whatever it says that would make another model than edgepack's encoder, or
that edgepack would have to run code for, is refused by its name.
"""

from __future__ import annotations

import math
from codecs import BOM_UTF8
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from optimum.utils import NormalizedConfigManager, NormalizedTextConfig
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from edgepack.errors import InputError, bare, one_line, shown
from edgepack.task.reading.table import listed
from edgepack.teacher.families import FAMILIES, MPNET_BUCKETS, XMOD, Family, can_carve, family_of, model_class
from edgepack.teacher.files import CONFIG, deciding_files, deciding_names, read_json, refuse_unusable
from edgepack.teacher.hub import find_folder
from edgepack.teacher.labels import read_labels
from edgepack.teacher.other_models import refuse_other_folders
from edgepack.teacher.quiet import quiet_transformers

LARGEST = {"layers": 1_000, "hidden size": 65_536, "attention heads": 4_096, "vocabulary": 10_000_000}
MOST_LABELS = 100_000
SUPPORTED = "single stacks of layers that transformers has a classification head for"
HEAD_SIZE = 64  # of an architecture without attention heads
FFN_NAMES = ("intermediate_size", "ffn_dim", "d_inner", "n_inner", "d_ff")
MPNET_PADDING = 1  # written into the code of its positions
STUDENT = "edgepack-student"  # model_type of what edgepack itself makes
SAME_NUMBERS = {  # settings of how a model answers, and not what, with the values to run it with
    "chunk_size_feed_forward": 0,  # in pieces, which every length of a text must divide into
    "return_dict": True,  # False: a tuple, as TorchScript needs
    "torchscript": False,
    "output_hidden_states": False,
    "output_attentions": False,
    "_attn_implementation": None,  # by a package that may not be here
}
QUANTIZED = ("quantization_config", "compression_config")
BACKWARD = ("is_decoder", "add_cross_attention", "is_encoder_decoder")  # settings that no encoder here has


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
        """The config's `model_type`."""
        return str(self.config.model_type)

    @property
    def traits(self) -> Family:
        """How checkpoints of its family differ from others."""
        return family_of(self.config)

    @property
    def is_carved(self) -> bool:
        """Whether students are cut out of its layers."""
        return can_carve(self.config)

    @property
    def sizes(self) -> Sizes:
        """Layers, widths and vocabulary."""
        return config_sizes(self.config)

    def files(self) -> list[Path]:
        """The files that decide what the checkpoint computes: config, weights, tokenizer."""
        return deciding_files(self.folder)


def config_sizes(config: PreTrainedConfig) -> Sizes:
    """The sizes that a config states, whatever its family calls them.

    Where optimum does not know the family, they are read by the names that transformers maps a config's own to.
    """
    try:
        normalized = NormalizedConfigManager.get_normalized_config_class(str(config.model_type))(config)
    except KeyError:
        normalized = NormalizedTextConfig(config)
    layers, hidden_size = normalized.num_layers, normalized.hidden_size
    if str(config.model_type) in FAMILIES:
        return Sizes(layers, hidden_size, normalized.num_attention_heads, normalized.vocab_size)
    heads = max(1, hidden_size // HEAD_SIZE) if type(hidden_size) is int else 1
    with suppress(AttributeError):  # FNet has none
        heads = normalized.num_attention_heads
    return Sizes(layers, hidden_size, heads, normalized.vocab_size)


def stated_positions(config: PreTrainedConfig) -> int | None:
    """The longest input that the config states; None where there is no such limit."""
    try:
        return int(config.max_position_embeddings)
    except (AttributeError, NotImplementedError, TypeError):  # XLNet raises
        return None


def feed_forward_size(config: PreTrainedConfig) -> int:
    """Units of a feed-forward layer; four times the hidden size where the config states none, as GPT-2's."""
    stated = [getattr(config, name, None) for name in FFN_NAMES]
    return next((size for size in stated if type(size) is int and size > 0), 4 * config_sizes(config).hidden_size)


def open_checkpoint(source: str) -> Checkpoint:
    """Find the checkpoint and read its config; what edgepack cannot carve is refused here."""
    folder = find_folder(source)
    refuse_unusable(deciding_names(folder), source)
    refuse_other_folders(folder, source)
    what = f"checkpoint {source}"
    raw = read_json(folder / CONFIG, what)
    _check_settings(raw, what)
    names = read_labels(raw, what)
    _refuse_mark(folder, what)
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as e:  # a broken file trips transformers in too many ways to list
        raise InputError(f"{what}: config.json does not load: {one_line(e)}") from e
    for setting, value in SAME_NUMBERS.items():
        if getattr(config, setting, value) != value:
            setattr(config, setting, value)
    if names is not None:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: i for i, name in enumerate(names)}
    if config.is_encoder_decoder or model_class(config) is None:
        kind = "an encoder with a decoder" if config.is_encoder_decoder else "no model with a classification head"
        raise InputError(f"{what}: model_type is {shown(config.model_type)}, {kind}; supported are {SUPPORTED}")
    _check_sizes(config, what)
    _check_language(config, what)
    return Checkpoint(folder, folder.resolve().name if Path(source).is_dir() else source, config)


def _refuse_mark(folder: Path, what: str) -> None:
    """`InputError` for what editors on Windows write before the first brace: transformers stops there."""
    with (folder / CONFIG).open("rb") as file:
        if file.read(len(BOM_UTF8)) == BOM_UTF8:
            raise InputError(f"{what}: {CONFIG} begins with a byte order mark; save it as UTF-8 without one")


def _check_settings(raw: dict[str, Any], what: str) -> None:
    family = raw.get("model_type")
    if family == STUDENT:
        raise InputError(f"{what}: is a student that edgepack made; give the teacher that it was made from")
    if not isinstance(family, str) or family not in CONFIG_MAPPING:
        lower = family.lower() if isinstance(family, str) else ""
        hint = ""
        if family is None:
            hint = ", as checkpoints of before 2020 have it: write it into config.json, as the base model has it"
        elif lower in CONFIG_MAPPING:
            hint = f": write {shown(lower)}"
        raise InputError(
            f"{what}: model_type is {shown(family)}{hint}; supported: what the installed transformers knows and has a "
            "classification head for"
        )
    if raw.get("auto_map"):
        raise InputError(
            f"{what}: config.json asks for its own Python code (auto_map), which edgepack never runs; "
            f"give a plain {family} checkpoint"
        )
    for setting in QUANTIZED:
        if raw.get(setting) is not None:
            raise InputError(f"{what}: its weights are quantized ({setting}); give the checkpoint before that")
    for setting in BACKWARD:
        if raw.get(setting) and (setting != "is_encoder_decoder" or family in FAMILIES):  # T5 says so of itself
            raise InputError(
                f"{what}: config.json says {setting} {shown(raw[setting])}, which makes a decoder of it, and students "
                "are encoders; if it was trained as an encoder, set it to false"
            )
    if raw.get("pruned_heads"):
        raise InputError(
            f"{what}: config.json names pruned_heads, and layers of different width do not load; give the checkpoint "
            "before pruning (edgepack removes heads itself)"
        )
    for setting in ("dtype", "torch_dtype"):
        named = raw.get(setting)
        if isinstance(named, str) and not isinstance(getattr(torch, named.removeprefix("torch."), None), torch.dtype):
            raise InputError(
                f"{what}: config.json says {setting} {shown(named)}; allowed: float32, float16, bfloat16, or none"
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
        raise InputError(f"{what}: num_labels is {shown(count)}; allowed: 1 to {MOST_LABELS}")


def _check_language(config: PreTrainedConfig, what: str) -> None:
    """`InputError` for an X-MOD that does not say which of its language adapters its texts go through."""
    if config.model_type != XMOD or config.default_language in config.languages:
        return
    raise InputError(
        f"{what}: is an X-MOD, with an adapter for each of its languages ({listed(map(str, config.languages))}), and "
        f"default_language is {shown(config.default_language)}; set it in config.json to the one of your texts"
    )


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
    if config.model_type not in FAMILIES:
        return  # its other settings are its own model's concern
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
    if config.model_type == "mpnet":
        _check_mpnet(config, what)
    elif padding is None and family_of(config).offset_positions:
        raise InputError(
            f"{what}: pad_token_id is None, and a {config.model_type} counts positions from behind it; set it to the "
            "id of its tokenizer's padding, 1 in most"
        )


def _check_mpnet(config: PreTrainedConfig, what: str) -> None:
    """`InputError` where config.json contradicts what is written into the code of an MPNet."""
    padding, buckets = config.pad_token_id, config.relative_attention_num_buckets
    if padding != MPNET_PADDING:
        raise InputError(
            f"{what}: pad_token_id is {shown(padding)}; an MPNet counts positions from behind {MPNET_PADDING}, "
            f"whatever config.json says: set it to {MPNET_PADDING}"
        )
    if buckets != MPNET_BUCKETS:
        raise InputError(
            f"{what}: relative_attention_num_buckets is {shown(buckets)}; an MPNet has {MPNET_BUCKETS}, whatever "
            f"config.json says: give a checkpoint of {MPNET_BUCKETS}"
        )
