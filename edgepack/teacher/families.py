"""How checkpoints of a family differ; the families whose layers a student can be carved out of: one literal table.

A family is a `model_type`. XLM-RoBERTa and CamemBERT are RoBERTa's model under another name, with weights called
`roberta.…`; distilled checkpoints (DistilRoBERTa, MiniLM, multilingual e5) carry the family of their teacher. Where
the weights of a layer are belongs to `student/from_teacher.py`.

Any other architecture that transformers loads for the task is a teacher too, and gives parts of its layers
(`student/from_parts.py`) or its word table alone; what is to be known of it is read from its config and from a run of
it (`own_model.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from edgepack.task.similarity import EMBEDS

HEAD_CLASSES = {
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
}
AUTO_CLASSES = {**HEAD_CLASSES, EMBEDS: AutoModel}  # by task; an encoder that embeds has no head of transformers'
ACTIVATION_NAMES = {"gelu": "gelu", "relu": "relu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
MPNET_BUCKETS = 32  # of the distances between tokens, in transformers' code whatever the config says
PLAIN: tuple[tuple[str, Any], ...] = (("position_embedding_type", "absolute"), ("inner_group_num", 1))
XLM_PLAIN: tuple[tuple[str, Any], ...] = (
    ("pre_norm", False),
    ("causal", False),
    ("summary_type", "first"),
    ("summary_use_proj", True),
    ("summary_activation", None),
    ("summary_proj_to_labels", True),
)


@dataclass(frozen=True)
class Family:
    """`prefix`: what stands before an encoder's names; `layers`: what stands between it and a layer's number.

    `one_segment`: the model takes no token types, or only one. `offset_positions`: its position ids start behind
    `pad_token_id`. `plain`: settings that make another model of it, with the value that does not. `adapters`: its
    layers have adapters of their own, which nothing merges.
    """

    prefix: str
    layers: str = "encoder.layer."
    word_table: str = "embeddings.word_embeddings.weight"
    one_segment: bool = False
    offset_positions: bool = False
    plain: tuple[tuple[str, Any], ...] = PLAIN
    adapters: bool = False


ROBERTA = Family("roberta", one_segment=True, offset_positions=True)
FAMILIES: dict[str, Family] = {
    "bert": Family("bert"),
    "distilbert": Family("distilbert", "transformer.layer.", one_segment=True),
    "roberta": ROBERTA,
    "electra": Family("electra"),
    "albert": Family("albert", "encoder.albert_layer_groups."),
    "mpnet": Family("mpnet", one_segment=True, offset_positions=True),
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "data2vec-text": Family("data2vec_text", one_segment=True, offset_positions=True),
    "ernie": Family("ernie"),
    "rembert": Family("rembert"),
    "xlm": Family("transformer", "attentions.", "embeddings.weight", one_segment=True, plain=XLM_PLAIN),
    "flaubert": Family("transformer", "attentions.", "embeddings.weight", one_segment=True, plain=XLM_PLAIN),
}
XMOD = "xmod"
OFFSET_POSITIONS = (  # of the others
    *("longformer", "xlm-roberta-xl", "roberta-prelayernorm", XMOD, "luke", "ibert", "esm", "markuplm", "lilt"),
)


def model_class(config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    """transformers' own class with a head for one of the tasks; None where it has none."""
    for auto in HEAD_CLASSES.values():
        if type(config) in auto._model_mapping:
            found: type[PreTrainedModel] = auto._model_mapping[type(config)]
            return found
    return None


def has_head(config: PreTrainedConfig, task: str) -> bool:
    """Whether transformers has a class of this architecture for the task."""
    return type(config) in AUTO_CLASSES[task]._model_mapping


def activation_of(config: PreTrainedConfig) -> str:
    """The feed-forward layers' activation, by transformers' name."""
    if hasattr(config, "gelu_activation"):  # XLM's
        return "gelu" if config.gelu_activation else "relu"
    return str(getattr(config, "hidden_act", None) or getattr(config, "activation", None))


def can_carve(config: PreTrainedConfig) -> bool:
    """Whether a student can compute what the layers of this config do."""
    family = FAMILIES.get(str(config.model_type))
    if family is None or activation_of(config) not in ACTIVATION_NAMES:
        return False
    return all(getattr(config, name, value) == value for name, value in family.plain)


def family_of(config: PreTrainedConfig) -> Family:
    """The table's entry, or what the config of any other architecture says."""
    name = str(config.model_type)
    if name in FAMILIES:
        return FAMILIES[name]
    found = model_class(config)
    prefix = found.base_model_prefix if found is not None else name
    types = int(getattr(config, "type_vocab_size", 0) or 0)
    return Family(prefix, one_segment=types < 2, offset_positions=name in OFFSET_POSITIONS, adapters=name == XMOD)
