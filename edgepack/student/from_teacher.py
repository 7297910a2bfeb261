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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from edgepack.errors import InputError
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student, student_of
from edgepack.task.scoring import recorded_problem
from edgepack.task.similarity import EMBEDS
from edgepack.teacher import config_sizes
from edgepack.teacher.embedding import Embedding
from edgepack.teacher.embedding_model import EmbeddingModel
from edgepack.teacher.families import ACTIVATION_NAMES, MPNET_BUCKETS, activation_of, can_carve, family_of


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


BERT = Layout(
    embeddings="bert.embeddings",
    layer="bert.encoder.layer.{i}",
    head_dense="bert.pooler.dense",
    classifier="classifier",
)
ROBERTA = replace(
    BERT,
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
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "data2vec-text": replace(ROBERTA, embeddings="data2vec_text.embeddings", layer="data2vec_text.encoder.layer.{i}"),
    "ernie": replace(
        BERT, embeddings="ernie.embeddings", layer="ernie.encoder.layer.{i}", head_dense="ernie.pooler.dense"
    ),
    "rembert": replace(
        BERT,
        embeddings="rembert.embeddings",
        layer="rembert.encoder.layer.{i}",
        head_dense="rembert.pooler.dense",
        projection="rembert.encoder.embedding_hidden_mapping_in",
        norm_before_projection=True,
    ),
    "xlm": _XLM,
    "flaubert": _XLM,
    "electra": replace(
        BERT,
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


def student_from_teacher(model: PreTrainedModel | EmbeddingModel, task: str) -> Student:
    """The teacher's own weights and shape as a student in eval mode; same logits to rounding.

    The student holds the model's own tensors, not copies of them.
    """
    if isinstance(model, EmbeddingModel):
        return student_from_weights(model.config, model.student_weights(), task, embedding=model.embedding)
    return student_from_weights(model.config, model.state_dict(), task)


def student_from_weights(
    teacher: PreTrainedConfig,
    weights: Mapping[str, Tensor],
    task: str,
    layers: Sequence[int] | None = None,
    embedding: Embedding | None = None,
) -> Student:
    """The same out of weights by the names that transformers gives them, each asked for where it is needed.

    `layers`: those to fill, the others are on the meta device; None: all. `embedding`: how the states become a vector.
    """
    family = str(teacher.model_type)
    if not can_carve(teacher):
        raise InputError(
            f"teacher family {family!r} cannot be carved; allowed: {', '.join(sorted(LAYOUTS))}, post-norm"
        )
    return student_of_layout(teacher, LAYOUTS[family], weights, task, layers, embedding)


def student_of_layout(
    teacher: PreTrainedConfig,
    layout: Layout,
    weights: Mapping[str, Tensor],
    task: str,
    layers: Sequence[int] | None = None,
    embedding: Embedding | None = None,
) -> Student:
    """The same where the weights have the places of `layout`, whatever the family."""
    config = _config(teacher, layout, weights, task)
    if embedding is not None:
        dense = weights.get("classifier.weight")
        config = changed_config(config, **vector_head(embedding, 0 if dense is None else dense.shape[0]))
    state = _embeddings(config, layout, weights, _first_position(teacher))
    for layer in range(config.num_hidden_layers) if layers is None else layers:
        state |= _layer(config, layout, weights, layer)
    return student_of(config, state | _head(config, layout, weights), partly=layers is not None).eval()


def _config(teacher: PreTrainedConfig, layout: Layout, weights: Mapping[str, Tensor], task: str) -> StudentConfig:
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
        problem_type=recorded_problem(teacher.problem_type),
        id2label=dict(teacher.id2label),
        label2id=dict(teacher.label2id),
        pad_token_id=int(teacher.pad_token_id or 0),
    )


def vector_head(embedding: Embedding, size: int) -> dict[str, Any]:
    """What the config says of the way from states to a vector; labels are none. `size`: what a linear layer gives."""
    return {
        "pooling": embedding.pooling,
        "normalized": embedding.normalized,
        "vector_size": size if embedding.dense is not None else 0,
        "head_act": embedding.activation,
        "id2label": {},
        "label2id": {},
    }


def _first_position(teacher: PreTrainedConfig) -> int:
    """The row of the position table that a text's first token has."""
    return int(teacher.pad_token_id or 0) + 1 if family_of(teacher).offset_positions else 0


def _linear(weights: Mapping[str, Tensor], target: str, name: str, bias: bool = True) -> dict[str, Tensor]:
    return {f"{target}.{part}": weights[f"{name}.{part}"] for part in ("weight", *(["bias"] if bias else []))}


def _embeddings(config: StudentConfig, layout: Layout, weights: Mapping[str, Tensor], start: int) -> dict[str, Tensor]:
    source, room = layout.embeddings, "embeddings"
    positions = weights[f"{source}.{layout.positions}.weight"][start:]
    types = weights.get(f"{source}.{layout.types}.weight")
    constant = weights.get(f"{source}.{layout.constants}.weight")
    state = _linear(weights, f"{room}.norm", f"{source}.{layout.norm}")
    if types is not None and config.type_vocab_size:
        state[f"{room}.token_type.weight"] = types
    elif types is not None:  # the only type is a constant: add it to every position
        positions = positions + types[0]
    if constant is not None:
        positions = positions + constant[0]
    if config.has_projection and layout.projection is not None:
        state |= _linear(weights, f"{room}.projection", layout.projection)
    state[f"{room}.word.weight"] = weights[f"{source}.{layout.words}.weight"]
    return state | {f"{room}.position.weight": positions}


def _layer(config: StudentConfig, layout: Layout, weights: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
    shared, state = (config.attention_sharing or [])[layer], dict[str, Tensor]()
    rooms = (("attention", ("query", "key", "value", "output")), ("feed_forward", ("up", "down")))
    for room, names in rooms:
        for name in names:
            source = f"{layout.layer}.{getattr(layout, name)}".format(i=shared)
            state |= _linear(weights, f"{room}.{shared}.{name}.full", source)
    for norms, name in (("attention_norms", layout.attention_norm), ("ffn_norms", layout.ffn_norm)):
        source = f"{layout.layer}.{name}".format(i=shared)  # each layer has a norm of its own here
        state |= {k: v.clone() for k, v in _linear(weights, f"{norms}.{layer}", source).items()}
    if layout.relative_bias is not None:
        state[f"attention.{shared}.relative_bias"] = weights[layout.relative_bias].clone()
    return state


def _head(config: StudentConfig, layout: Layout, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = dict[str, Tensor]()
    if config.has_dense:
        state |= _linear(weights, "head.dense", layout.head_dense)
    if config.has_classifier:
        state |= _linear(
            weights, "head.classifier", "classifier" if config.per_token or config.task == EMBEDS else layout.classifier
        )
    return state
