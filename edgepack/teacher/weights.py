"""A checkpoint's weights: compared with its config by name and shape, then loaded in fp32.

Weights come from safetensors, or from a pickle with `weights_only=True`, which executes nothing.
"""

from __future__ import annotations

import re
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from edgepack.errors import InputError, one_line
from edgepack.task.similarity import EMBEDS
from edgepack.teacher.checkpoint import Checkpoint
from edgepack.teacher.families import AUTO_CLASSES, FAMILIES
from edgepack.teacher.quiet import quiet_transformers
from edgepack.teacher.tensors import SHARE, FileTensors, open_tensors
from edgepack.teacher.weight_check import HARMLESS, check_names
from edgepack.teacher.weight_names import few, read_names

POOLER = "pooler."  # of an encoder alone: pretraining's, which sentence vectors are not made by


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model, transformers' report of loading it, and the tensors of its files."""

    model: PreTrainedModel
    info: dict[str, Any]
    tensors: FileTensors


def load_frozen(checkpoint: Checkpoint, task_name: str, tensors: FileTensors | None = None) -> Loaded:
    """The model to run, not to train, and the tensors of its files, unless these are known.

    transformers loads it: fp32 weights as views of their file, others converted. Where these do not fit in memory, it
    is put together from `FileTensors`; of architectures outside the table, whose names transformers changes on loading,
    accelerate reads each part from the disk while it runs.
    """
    what, known = f"checkpoint {checkpoint.name}", checkpoint.family in FAMILIES
    if tensors is None:
        expected = _expected(checkpoint.config, task_name, what) if known else None
        tensors = open_tensors(checkpoint, expected)
    if not tensors.aside or task_name == EMBEDS:
        return Loaded(*load_weights(checkpoint, task_name), tensors)
    if not known:
        return Loaded(*load_weights(checkpoint, task_name, room=int(SHARE * tensors.free)), tensors)
    with quiet_transformers(), init_empty_weights(include_buffers=False):
        model = AUTO_CLASSES[task_name].from_config(checkpoint.config)
    lost = model.load_state_dict(dict(tensors.opened()), strict=False, assign=True)
    return Loaded(model, {"missing_keys": set(lost.missing_keys), "unexpected_keys": set()}, tensors)


def check_weights(checkpoint: Checkpoint, task_name: str) -> str:
    """Compare names and shapes in the files with what the config describes; the prefix that a wrapper left, or "".

    Of architectures outside the table, transformers renames some on loading, so `check_loaded` compares those.
    """
    what, family = f"checkpoint {checkpoint.name}", checkpoint.traits
    stored = read_names(checkpoint.folder, what, family)
    if checkpoint.family not in FAMILIES:
        return stored.prefix
    expected = _expected(checkpoint.config, task_name, what)
    plain = {
        name if name in expected else _with_base(name, family.prefix, expected): t for name, t in stored.plain().items()
    }
    check_names(plain, expected, what, checkpoint.family, len(checkpoint.config.id2label), task_name)
    return stored.prefix


def _with_base(name: str, base: str, expected: dict[str, tuple[int, ...]]) -> str:
    """An encoder that was saved by itself has names without the family's prefix, which transformers adds."""
    return f"{base}.{name}" if f"{base}.{name}" in expected else name


def _expected(config: PreTrainedConfig, task_name: str, what: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model that the config describes, without its numbers.

    Of an encoder alone with the family's prefix, as beside a head, and without a pooler, which no vector is made by.
    """
    try:
        with quiet_transformers(), torch.device("meta"):
            model = AUTO_CLASSES[task_name].from_config(config)
    except Exception as e:  # settings that the model's code trips over
        raise InputError(f"{what}: config.json describes no model: {one_line(e)}") from e
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if task_name != EMBEDS:
        return shapes
    prefix = FAMILIES[str(config.model_type)].prefix
    return {f"{prefix}.{name}": shape for name, shape in shapes.items() if not name.startswith(POOLER)}


def load_weights(
    checkpoint: Checkpoint, task_name: str, room: int | None = None, **overrides: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model in fp32 with a head for the task, and transformers' report of what was missing.

    `room`: bytes of memory that weights may take, the others stay on disk. `overrides`: entries of the config, and
    `ignore_mismatched_sizes`, for whoever gives the model another head.
    """
    what = f"checkpoint {checkpoint.name}"
    stored = read_names(checkpoint.folder, what, checkpoint.traits)
    config, options = deepcopy(checkpoint.config), dict[str, Any]()
    for name, value in overrides.items():
        if name == "ignore_mismatched_sizes":
            options[name] = value
        else:
            setattr(config, name, value)
    if stored.prefix:
        options["key_mapping"] = {f"^{re.escape(stored.prefix)}": ""}
    parts = tempfile.TemporaryDirectory() if room is not None else None  # of weights that are in no safetensors
    if parts is not None:
        options |= {"device_map": "auto", "max_memory": {"cpu": room}, "offload_folder": parts.name}
    try:
        with quiet_transformers():
            model, info = AUTO_CLASSES[task_name].from_pretrained(
                checkpoint.folder,
                config=config,
                dtype=torch.float32,
                trust_remote_code=False,
                weights_only=True,
                output_loading_info=True,
                **options,
            )
    except Exception as e:  # a broken file trips transformers in too many ways to list
        raise InputError(f"{what}: weights do not load: {one_line(e)}") from e
    if parts is not None:
        weakref.finalize(model, parts.cleanup)
    return model, info


def check_loaded(info: dict[str, Any], checkpoint: Checkpoint, task_name: str) -> None:
    """`InputError` where the model lacks weights, or would leave out some: what transformers reports of loading it."""
    what, family = f"checkpoint {checkpoint.name}", checkpoint.family
    unexpected = sorted(name for name in info["unexpected_keys"] if not HARMLESS.match(name))
    absent = [name for name in info["missing_keys"] if task_name != EMBEDS or not name.startswith(POOLER)]
    if absent:
        missing = few(sorted(absent))
        raise InputError(
            f"{what}: not fine-tuned for {task_name}, its weights lack {missing}; save it with save_pretrained"
        )
    if unexpected and family not in FAMILIES:
        raise InputError(
            f"{what}: its weights hold {few(unexpected)}, which a {family} for {task_name} does not have, so that it "
            "would be another model without them; give a checkpoint of a plain head"
        )


def check_base(model: PreTrainedModel, info: dict[str, Any], checkpoint: Checkpoint) -> None:
    """`InputError` where an encoder that gets a new head is not all there, or not all used; heads do not matter."""
    what, prefix = f"checkpoint {checkpoint.name}", f"{model.base_model_prefix}."
    parts = tuple(f"{name}." for name, _ in model.base_model.named_children())

    def of_encoder(keys: Iterable[Any]) -> list[str]:
        plain = {name for name in key_names(keys) if name.startswith(prefix) or name.startswith(parts)}
        return sorted(name for name in plain if POOLER not in name and not HARMLESS.match(name))

    missing, unused, other = (of_encoder(info[f"{kind}_keys"]) for kind in ("missing", "unexpected", "mismatched"))
    if missing:
        raise InputError(f"{what}: its weights lack {few(missing)}; not a base model")
    if other:
        raise InputError(
            f"{what}: weights do not fit config.json: {few(other)} have other shapes; give the config.json that was "
            "saved with them"
        )
    if unused:
        raise InputError(
            f"{what}: its weights hold {few(unused)}, which the {checkpoint.family} of its config.json has no place "
            "for, so that it would be another model without them; correct config.json, or give a plain checkpoint"
        )
    check_finite({f"{prefix}{name}": tensor for name, tensor in model.base_model.state_dict().items()}, what)


def key_names(keys: Iterable[Any]) -> set[str]:
    """The names in transformers' report of loading; those of mismatched weights come with both shapes."""
    return {key if isinstance(key, str) else str(key[0]) for key in keys}


def check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """`InputError` where a weight is NaN or infinite: every answer would be nonsense."""
    broken = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if broken:
        raise InputError(
            f"{what}: its weights are not finite (NaN or infinite) in {few(broken)}; training diverged, or the file is "
            "damaged: give an earlier checkpoint, or copy it again"
        )


def _is_finite(tensor: Tensor) -> bool:
    """Whether all its numbers are: the least and the greatest tell, without a tensor of the same size made for it."""
    return not tensor.numel() or bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all())
