"""A student of a teacher whose layers are BERT's but for how tokens look at each other: it takes the parts that are.

DeBERTa (He et al. 2021, arXiv:2006.03654) scores two tokens by what they are and by how far apart they stand; a BigBird
and a Longformer look at some tokens only. Values, outputs, feed-forward layers, norms, embeddings and head are BERT's.
So are queries and keys, for what two tokens are: DeBERTa divides these scores by more, since it adds others to them,
and the student's queries are smaller by as much. What the student lacks is the rest of the attention. It is no teacher:
outputs come from the teacher's own model, as of one that gives its word table alone (`from_table.py`).

Where the teacher has no position table, the student's begins at 0: it answers as if the order of words were unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from edgepack.student.from_teacher import BERT, ROBERTA, Layout, student_of_layout
from edgepack.student.model import Student
from edgepack.teacher import OwnModel, Teacher, config_sizes
from edgepack.teacher.embedding_model import EmbeddingModel
from edgepack.teacher.families import ACTIVATION_NAMES, activation_of


@dataclass(frozen=True)
class Parts:
    """Where a family keeps the parts; `head_act`: its setting for the head's activation, or the one that it has.

    `plain`: settings that make another model of it, with the value that does not.
    """

    layout: Layout
    head_act: str = "tanh"
    plain: tuple[tuple[str, Any], ...] = ()


_DEBERTA = replace(BERT, embeddings="deberta.embeddings", layer="deberta.encoder.layer.{i}", head_dense="pooler.dense")
PARTS: dict[str, Parts] = {
    "deberta": Parts(_DEBERTA, "pooler_hidden_act", (("talking_head", False),)),
    "deberta-v2": Parts(
        replace(
            _DEBERTA,
            query="attention.self.query_proj",
            key="attention.self.key_proj",
            value="attention.self.value_proj",
        ),
        "pooler_hidden_act",
    ),
    "big_bird": Parts(
        replace(BERT, head_dense="classifier.dense", classifier="classifier.out_proj"),
        "hidden_act",
        (("rescale_embeddings", False), ("use_bias", True)),
    ),
    "longformer": Parts(
        replace(ROBERTA, embeddings="longformer.embeddings", layer="longformer.encoder.layer.{i}"),
    ),
}
SIZES = ("embedding_size", "pooler_hidden_size")  # where a config has one that is not the hidden size, nothing fits
IN_PROJECTION, ORDER = "in_proj.weight", ("query", "key", "value")  # DeBERTa's: of each head one after the other


def takes_parts(config: PreTrainedConfig) -> bool:
    """Whether a student can take parts of this teacher's layers."""
    return _layout(config) is not None


def _layout(config: PreTrainedConfig) -> Layout | None:
    """Where they are; None where the family or its settings leave none that fit."""
    parts = PARTS.get(str(config.model_type))
    if parts is None or activation_of(config) not in ACTIVATION_NAMES:
        return None
    sizes = config_sizes(config)
    widths = [getattr(config, name, None) for name in SIZES]
    head_act = ACTIVATION_NAMES.get(getattr(config, parts.head_act, parts.head_act), parts.head_act)
    same_heads = getattr(config, "attention_head_size", None) in (None, sizes.hidden_size // sizes.heads)
    fits = same_heads and all(width in (None, sizes.hidden_size) for width in widths)
    if not fits or head_act not in {"tanh", *ACTIVATION_NAMES.values()}:
        return None
    if any(getattr(config, name, value) != value for name, value in parts.plain):
        return None
    return replace(parts.layout, head_act=head_act)


def student_from_parts(model: OwnModel, teacher: Teacher, max_length: int) -> Student:
    """The teacher's own shape with these parts, in eval mode; positions that it lacks are `max_length` rows of 0."""
    layout = _layout(teacher.config)
    assert layout is not None, "asked before"
    own = model.model.student_weights() if isinstance(model.model, EmbeddingModel) else model.weights()
    weights = _PlainWeights(own, teacher.config, layout, max_length)
    return student_of_layout(teacher.config, layout, weights, teacher.task.name, embedding=teacher.embedding)


class _PlainWeights(Mapping[str, Tensor]):
    """The model's weights by the layout's names, those of DeBERTa's attention as BERT would have them."""

    def __init__(self, own: Mapping[str, Tensor], config: PreTrainedConfig, layout: Layout, max_length: int) -> None:
        self.own, self.config, self.layout, self.max_length = own, config, layout, max_length
        self.words = f"{layout.embeddings}.{layout.words}.weight"
        self.positions = f"{layout.embeddings}.{layout.positions}.weight"

    def __getitem__(self, name: str) -> Tensor:
        if name == self.positions and name not in self.own:
            return torch.zeros(self.max_length, config_sizes(self.config).hidden_size)
        found = self.own[name] if name in self.own else self._projected(name)
        if name == self.words:
            return found[: config_sizes(self.config).vocabulary]
        is_query = name.rpartition(".")[0].endswith(self.layout.query)
        return found / score_divisor(self.config) if is_query else found

    def _projected(self, name: str) -> Tensor:
        """A query, key or value's weight or bias out of DeBERTa's one matrix and two biases."""
        room, _, rest = name.rpartition(".self.")
        part, _, kind = rest.partition(".")
        if part not in ORDER or f"{room}.self.{IN_PROJECTION}" not in self.own:
            raise KeyError(name)
        if kind == "bias":
            sizes = config_sizes(self.config)
            return torch.zeros(sizes.hidden_size) if part == "key" else self.own[f"{room}.self.{part[0]}_bias"]
        matrix = self.own[f"{room}.self.{IN_PROJECTION}"]
        heads = config_sizes(self.config).heads
        by_head = matrix.view(heads, len(ORDER), -1, matrix.shape[1])
        return by_head[:, ORDER.index(part)].reshape(-1, matrix.shape[1])

    def __iter__(self) -> Iterator[str]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)


def score_divisor(config: PreTrainedConfig) -> float:
    """What the teacher divides its scores by beyond the root of a head's size."""
    if not str(config.model_type).startswith("deberta"):
        return 1.0
    kinds = getattr(config, "pos_att_type", None) or []
    return float((1 + len(set(kinds) & {"c2p", "p2c"})) ** 0.5)
