"""A fine-tuned checkpoint of any supported family as a `Student` of its own shape.

Every family is a post-norm encoder that differs in names, in where the embedding is projected, in its
position scheme and in its head. One `Layout` per family says where the weights are; the result gives the
teacher's logits to 1e-5 (tests: the identity test). All later carving works on students only.

What a family does differently:
- RoBERTa, its siblings, MPNet: positions start at `padding_idx + 1`; the rows before are never used and are left out.
- ALBERT, ELECTRA, RemBERT: words, positions and types are added and normed at the embedding width, then projected.
- ALBERT: layer groups share weights, kept as a sharing map.
- XLM, FlauBERT: no dense layer in the head; the language tables that no text uses are left out.
- ERNIE: a table of pretraining tasks, of which the first row is added to every position.
- MPNet: T5-style relative position bias, one table for all layers; here each weight set has its own copy,
  since heads are pruned per layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.scoring import MULTI_LABEL
from edgepack.teacher import FAMILIES, config_sizes
from edgepack.teacher.families import ACTIVATION_NAMES, activation_of, can_carve


@dataclass(frozen=True)
class Layout:
    """Where a family keeps its weights; `{i}` stands for the layer. `head_act` None: a head without a dense layer."""

    embeddings: str
    layer: str
    words: str = "word_embeddings"
    positions: str = "position_embeddings"
    types: str = "token_type_embeddings"
    constants: str = "task_type_embeddings"  # a table of which every text uses the first row
    norm: str = "LayerNorm"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    output: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    up: str = "intermediate.dense"
    down: str = "output.dense"
    ffn_norm: str = "output.LayerNorm"
    projection: str | None = None
    head_dense: str = "classifier.dense"
    head_act: str | None = "tanh"
    classifier: str = "classifier.out_proj"
    norm_before_projection: bool = False
    relative_bias: str | None = None


_BERT = Layout(
    embeddings="bert.embeddings",
    layer="bert.encoder.layer.{i}",
    head_dense="bert.pooler.dense",
    classifier="classifier",
)
_ROBERTA = replace(
    _BERT,
    embeddings="roberta.embeddings",
    layer="roberta.encoder.layer.{i}",
    head_dense="classifier.dense",
    classifier="classifier.out_proj",
)
_XLM = Layout(
    embeddings="transformer",
    words="embeddings",
    norm="layer_norm_emb",
    layer="transformer",
    query="attentions.{i}.q_lin",
    key="attentions.{i}.k_lin",
    value="attentions.{i}.v_lin",
    output="attentions.{i}.out_lin",
    attention_norm="layer_norm1.{i}",
    up="ffns.{i}.lin1",
    down="ffns.{i}.lin2",
    ffn_norm="layer_norm2.{i}",
    head_act=None,
    classifier="sequence_summary.summary",
)
LAYOUTS: dict[str, Layout] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "data2vec-text": replace(_ROBERTA, embeddings="data2vec_text.embeddings", layer="data2vec_text.encoder.layer.{i}"),
    "ernie": replace(
        _BERT, embeddings="ernie.embeddings", layer="ernie.encoder.layer.{i}", head_dense="ernie.pooler.dense"
    ),
    "rembert": replace(
        _BERT,
        embeddings="rembert.embeddings",
        layer="rembert.encoder.layer.{i}",
        head_dense="rembert.pooler.dense",
        projection="rembert.encoder.embedding_hidden_mapping_in",
        norm_before_projection=True,
    ),
    "xlm": _XLM,
    "flaubert": _XLM,
    "electra": replace(
        _BERT,
        embeddings="electra.embeddings",
        layer="electra.encoder.layer.{i}",
        head_dense="classifier.dense",
        head_act="gelu",
        classifier="classifier.out_proj",
        projection="electra.embeddings_project",
        norm_before_projection=True,
    ),
    "distilbert": Layout(
        embeddings="distilbert.embeddings",
        layer="distilbert.transformer.layer.{i}",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        output="attention.out_lin",
        attention_norm="sa_layer_norm",
        up="ffn.lin1",
        down="ffn.lin2",
        ffn_norm="output_layer_norm",
        head_dense="pre_classifier",
        head_act="relu",
        classifier="classifier",
    ),
    "albert": Layout(
        embeddings="albert.embeddings",
        layer="albert.encoder.albert_layer_groups.{i}.albert_layers.0",
        query="attention.query",
        key="attention.key",
        value="attention.value",
        output="attention.dense",
        attention_norm="attention.LayerNorm",
        up="ffn",
        down="ffn_output",
        ffn_norm="full_layer_layer_norm",
        projection="albert.encoder.embedding_hidden_mapping_in",
        head_dense="albert.pooler",
        classifier="classifier",
        norm_before_projection=True,
    ),
    "mpnet": Layout(
        embeddings="mpnet.embeddings",
        layer="mpnet.encoder.layer.{i}",
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        output="attention.attn.o",
        attention_norm="attention.LayerNorm",
        relative_bias="mpnet.encoder.relative_attention_bias.weight",
    ),
}
MPNET_BUCKETS = 32  # transformers computes MPNet's buckets with this count whatever the config says


def student_from_teacher(model: PreTrainedModel, task: str) -> Student:
    """The teacher's own weights and shape as a student in eval mode; same logits to rounding."""
    family = str(model.config.model_type)
    if not can_carve(model.config):
        raise InputError(
            f"teacher family {family!r} cannot be carved; allowed: {', '.join(sorted(LAYOUTS))}, post-norm"
        )
    layout, weights = LAYOUTS[family], model.state_dict()
    config = _config(model, layout, weights, task)
    student = Student(config)
    with torch.no_grad():
        _copy_embeddings(student, layout, weights, _first_position(model.config))
        _copy_layers(student, layout, weights)
        _copy_head(student, layout, weights)
    return student.eval()


def _config(model: PreTrainedModel, layout: Layout, weights: Mapping[str, Tensor], task: str) -> StudentConfig:
    teacher = model.config
    sizes = config_sizes(teacher)
    layers, hidden, heads = sizes.layers, sizes.hidden_size, sizes.heads
    act = activation_of(teacher)
    groups = int(getattr(teacher, "num_hidden_groups", layers))
    sharing = [int(i / (layers / groups)) for i in range(layers)]
    inner = weights[f"{layout.layer}.{layout.up}.weight".format(i=0)].shape[0]
    width = weights[f"{layout.embeddings}.{layout.words}.weight"].shape[1]
    projected = layout.projection is not None and f"{layout.projection}.weight" in weights
    positions = weights[f"{layout.embeddings}.{layout.positions}.weight"].shape[0]
    types = weights.get(f"{layout.embeddings}.{layout.types}.weight")
    has_types = types is not None and types.shape[0] > 1
    return StudentConfig(
        vocab_size=sizes.vocabulary,
        embedding_size=width,
        embedding_projection="linear" if projected else "identity",
        norm_before_projection=projected and layout.norm_before_projection,
        projection_bias=projected,
        hidden_size=hidden,
        num_hidden_layers=layers,
        attention_sharing=sharing,
        ffn_sharing=sharing,
        num_heads=[heads] * groups,
        head_sizes=[hidden // heads] * groups,
        intermediate_sizes=[inner] * groups,
        hidden_act=ACTIVATION_NAMES[act],
        norm_eps=float(getattr(teacher, "layer_norm_eps", 1e-12)),
        max_position_embeddings=positions - _first_position(teacher),
        type_vocab_size=types.shape[0] if types is not None and has_types else 0,
        relative_attention_buckets=MPNET_BUCKETS if layout.relative_bias else 0,
        head_act=layout.head_act if task == "text-classification" else None,
        task=task,
        problem_type=MULTI_LABEL if teacher.problem_type == MULTI_LABEL else None,
        id2label=dict(teacher.id2label),
        label2id=dict(teacher.label2id),
        pad_token_id=int(teacher.pad_token_id or 0),
    )


def _first_position(teacher: PreTrainedConfig) -> int:
    """The row of the position table that a text's first token has."""
    return int(teacher.pad_token_id or 0) + 1 if FAMILIES[str(teacher.model_type)].offset_positions else 0


def _copy(target: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    target.get_parameter("weight").copy_(weights[f"{name}.weight"])
    if getattr(target, "bias", None) is not None:
        target.get_parameter("bias").copy_(weights[f"{name}.bias"])


def _copy_embeddings(student: Student, layout: Layout, weights: Mapping[str, Tensor], start: int) -> None:
    embeddings, source = student.embeddings, layout.embeddings
    embeddings.word.weight.copy_(weights[f"{source}.{layout.words}.weight"])
    embeddings.position.weight.copy_(weights[f"{source}.{layout.positions}.weight"][start:])
    types = weights.get(f"{source}.{layout.types}.weight")
    if embeddings.token_type is not None and types is not None:
        embeddings.token_type.weight.copy_(types)
    elif types is not None:  # the only type is a constant: add it to every position
        embeddings.position.weight.add_(types[0])
    constant = weights.get(f"{source}.{layout.constants}.weight")
    if constant is not None:
        embeddings.position.weight.add_(constant[0])
    _copy(embeddings.norm, weights, f"{source}.{layout.norm}")
    if embeddings.projection is not None and layout.projection is not None:
        _copy(embeddings.projection, weights, layout.projection)


def _copy_layers(student: Student, layout: Layout, weights: Mapping[str, Tensor]) -> None:
    config = student.config
    for layer in range(config.num_hidden_layers):
        shared = (config.attention_sharing or [])[layer]
        attention, feed_forward = student.attention[shared], student.feed_forward[shared]
        for name in ("query", "key", "value", "output"):
            _copy(getattr(attention, name).full, weights, f"{layout.layer}.{getattr(layout, name)}".format(i=shared))
        for name in ("up", "down"):
            _copy(getattr(feed_forward, name).full, weights, f"{layout.layer}.{getattr(layout, name)}".format(i=shared))
        _copy(student.attention_norms[layer], weights, f"{layout.layer}.{layout.attention_norm}".format(i=shared))
        _copy(student.ffn_norms[layer], weights, f"{layout.layer}.{layout.ffn_norm}".format(i=shared))
        if layout.relative_bias is not None:
            attention.get_parameter("relative_bias").copy_(weights[layout.relative_bias])


def _copy_head(student: Student, layout: Layout, weights: Mapping[str, Tensor]) -> None:
    if student.head.dense is not None:
        _copy(student.head.dense, weights, layout.head_dense)
    if student.head.classifier is not None:
        per_token = student.config.per_token
        _copy(student.head.classifier, weights, "classifier" if per_token else layout.classifier)
