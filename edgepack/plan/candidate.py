"""A body with a table as a student's config, with its exact bytes on each target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgepack.plan.grid import Body, Table, attention_head_size, layer_sharing, rank_of
from edgepack.plan.model_size import ModelSize
from edgepack.plan.size import model_size
from edgepack.plan.space import SearchSpace, Vocabulary
from edgepack.plan.speed import teacher_time
from edgepack.student.config import StudentConfig, changed_config


@dataclass(frozen=True)
class Candidate:
    """A shape with its widths, its estimated loss and its exact bytes on each target."""

    config: StudentConfig
    layers: tuple[int, ...]
    vocabulary: Vocabulary
    estimated_loss: float
    estimated_speed: float  # times as fast as the teacher's int8 model
    sizes: dict[str, ModelSize]
    price: float = 0.0  # the part of the estimated loss that its compute is worth; none with a limit of time
    # of the slowest target, and of the one that takes most; None where nobody asked, or nothing is known
    estimated_ms: float | None = None
    estimated_memory: int | None = None
    # of a short training (`--search`): divergence from the teacher on examples held out, in nats, and examples seen
    trial_divergence: float | None = None
    trial_examples: int | None = None

    @property
    def shipped_bytes(self) -> dict[str, int]:
        """Predicted bytes by target, tokenizer asset included."""
        return {name: size.total + self.vocabulary.asset_bytes for name, size in self.sizes.items()}

    @property
    def largest_bytes(self) -> int:
        """Of the target that takes most."""
        return max(self.shipped_bytes.values())

    def describe(self) -> dict[str, Any]:
        """The shape in a few figures."""
        shape = self.config
        asked: dict[str, Any] = {}
        if self.estimated_ms is not None:
            asked["estimated_ms"] = round(self.estimated_ms, 4)
        if self.estimated_memory is not None:
            asked["estimated_memory_bytes"] = self.estimated_memory
        if shape.wide_rows:
            asked["wide_rows"] = shape.wide_rows
        if shape.embedding_kernel > 1:
            asked["embedding_kernel"] = shape.embedding_kernel
        if shape.match_separator is not None:
            asked["match_feature"] = True
        if self.trial_divergence is not None:
            asked |= {"trial_divergence": self.trial_divergence, "trial_examples": self.trial_examples}
        return {
            "layers": shape.num_hidden_layers,
            "heads": (shape.num_heads or [])[0],
            "ffn": (shape.intermediate_sizes or [])[0],
            "embedding": shape.embedding_size,
            "vocabulary": shape.vocab_size,
            "body_bits": shape.body_bits,
            "embedding_bits": shape.embedding_bits,
            "head": shape.classifier_inputs,
            "estimated_loss": round(self.estimated_loss, 5),
            "estimated_speed": round(self.estimated_speed, 2),
            "bytes": self.shipped_bytes,
            **asked,
        }


def make_candidate(space: SearchSpace, body: Body, table: Table) -> Candidate:
    """The pair as a config, with its exact bytes."""
    changes = {**_layers(space, body), **_embedding(space, table), **_ends(space, body)}
    changes["embedding_kernel"] = space.kernel(len(body.layers), table.size)
    shape = changed_config(space.full, **changes)
    return Candidate(
        config=shape,
        layers=body.layers,
        vocabulary=table.vocabulary,
        estimated_loss=round(body.loss + table.loss, 9),
        estimated_speed=teacher_time(space.full) / body.time,
        sizes={target.name: model_size(shape, target) for target in space.targets},
        price=body.price,
    )


def _layers(space: SearchSpace, body: Body) -> dict[str, Any]:
    """Layers, what they share, their heads, FFN units and ranks; a list has an entry for each set of weights."""
    attention_sharing, ffn_sharing = layer_sharing(space, body.layers)
    attention_sets, ffn_sets = len(set(attention_sharing)), len(set(ffn_sharing))
    size, hidden = attention_head_size(space), space.hidden_size
    ranks = None
    if space.structure.rank_share:
        attention_rank, ffn_rank = rank_of(space, hidden, body.heads * size), rank_of(space, hidden, body.ffn)
        ranks = dict.fromkeys(("query", "key", "value", "output"), [attention_rank] * attention_sets)
        ranks |= dict.fromkeys(("up", "down"), [ffn_rank] * ffn_sets)
    return {
        "hidden_size": hidden,
        "num_hidden_layers": len(body.layers),
        "attention_sharing": attention_sharing,
        "ffn_sharing": ffn_sharing,
        "num_heads": [body.heads] * attention_sets,
        "head_sizes": [size] * attention_sets,
        "intermediate_sizes": [body.ffn] * ffn_sets,
        "ranks": ranks,
        "body_bits": body.bits,
        "norm": space.structure.norm,
    }


def _embedding(space: SearchSpace, table: Table) -> dict[str, Any]:
    """Tokens, the table's size, and how it reaches the hidden size."""
    vocabulary = table.vocabulary
    changes: dict[str, Any] = {
        "vocab_size": vocabulary.size,
        "vocab_map": list(vocabulary.ids) if vocabulary.ids is not None else None,
        "pad_token_id": vocabulary.pad_id,
        "match_separator": vocabulary.separator_id,
        "embedding_size": table.size,
        "embedding_bits": table.bits,
    }
    if table.size >= space.hidden_size or space.full.embedding_projection != "identity":
        return changes
    changes |= {"embedding_projection": "linear", "projection_bias": False}
    if space.structure.embedding == "self_attentive":
        changes |= {
            "embedding_projection": "self_attentive",
            "embedding_num_heads": max(1, table.size // attention_head_size(space)),
            "embedding_intermediate_size": 2 * table.size,
        }
    return changes


def _ends(space: SearchSpace, body: Body) -> dict[str, Any]:
    """Positions, token types, the head's size and the table beside the encoder."""
    full = space.full
    return {
        "head_size": body.head_size if full.has_dense and body.head_size != space.hidden_size else 0,
        "max_position_embeddings": space.max_length,
        "type_vocab_size": full.type_vocab_size if space.keep_types else 0,
        "wide_rows": space.wide_rows,
    }
