"""Carve a smaller student out of a bigger one's weights: plain functions, `Student → Student`.

`student_from_teacher` gives the starting point. Each function here changes one axis of the shape, builds
a new student and leaves the caller's alone; `carve` applies them in the order that keeps each exact step
exact: vocabulary and positions first, then the embedding's width (`narrow_embedding.py`), then sharing
(`share.py`), then heads and FFN units, then low rank. Sharing comes before removal, so that whole layers are
merged and importance is summed over the layers that a shared unit serves. Importance for heads and units comes
from `compress/importance.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.compress.low_rank import factorize
from edgepack.compress.narrow_embedding import factorize_embedding, self_attentive_embedding, weighted_covariance
from edgepack.compress.share_layers import share_layers
from edgepack.compress.surgery import POSITION, WORD, State, rebuild, renumber, widths_of_sets
from edgepack.errors import InputError
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES, StudentConfig
from edgepack.student.model import Student

__all__ = [
    "Importance",
    "carve",
    "factorize_embedding",
    "factorize_matrices",
    "fold_token_types",
    "keep_units",
    "select_layers",
    "self_attentive_embedding",
    "share_layers",
    "slice_state",
    "spread_layers",
    "top_indices",
    "trim_positions",
    "trim_vocabulary",
    "weighted_covariance",
]


@dataclass(frozen=True)
class Importance:
    """Scores per weight set: `heads[set] (num_heads,)`, `units[set] (intermediate,)`; higher is kept."""

    heads: tuple[Tensor, ...]
    units: tuple[Tensor, ...]


def fold_token_types(student: Student) -> Student:
    """Drop the token-type table of a model that only ever sees one sentence: type 0 joins the positions."""
    state = dict(student.state_dict())
    types = state.pop("embeddings.token_type.weight", None)
    if types is None:
        return student
    state[POSITION] = state[POSITION] + types[0]
    return rebuild(student, state, type_vocab_size=0)


def trim_positions(student: Student, max_length: int) -> Student:
    """Keep the first `max_length` positions."""
    if not 0 < max_length <= student.config.max_position_embeddings:
        raise InputError(f"max length {max_length}; allowed: 1 to {student.config.max_position_embeddings}")
    state = dict(student.state_dict())
    state[POSITION] = state[POSITION][:max_length]
    return rebuild(student, state, max_position_embeddings=max_length)


def trim_vocabulary(student: Student, kept_ids: Sequence[int], pad_token_id: int) -> Student:
    """Keep the rows of the tokens `kept_ids`, in that order; `vocab_map` then leads back to teacher ids."""
    state = dict(student.state_dict())
    state[WORD] = state[WORD][torch.as_tensor(kept_ids)]
    before = student.config.vocab_map
    mapped = [before[i] for i in kept_ids] if before else [int(i) for i in kept_ids]
    return rebuild(student, state, vocab_size=len(mapped), vocab_map=mapped, pad_token_id=pad_token_id)


def select_layers(student: Student, layers: Sequence[int]) -> Student:
    """Keep the given layers, in that order; weight sets that no layer uses any more disappear."""
    config, old = student.config, student.state_dict()
    state: State = {k: v for k, v in old.items() if k.startswith(("embeddings.", "head."))}
    changes: dict[str, object] = {"num_hidden_layers": len(layers)}
    rooms = (("attention", "attention_sharing", ATTENTION_MATRICES), ("feed_forward", "ffn_sharing", FFN_MATRICES))
    ranks = dict(config.ranks or {})
    for room, field, matrices in rooms:
        sharing = [getattr(config, field)[layer] for layer in layers]
        sets = sorted(set(sharing), key=sharing.index)
        changes[field] = [sets.index(s) for s in sharing]
        state |= renumber(old, room, sets)
        changes |= widths_of_sets(config, room, sets)
        ranks |= {matrix: [ranks[matrix][s] for s in sets] for matrix in matrices}
    for norms in ("attention_norms", "ffn_norms"):
        state |= renumber(old, norms, list(layers))
    return rebuild(student, state, ranks=ranks, **changes)


def spread_layers(total: int, kept: int) -> list[int]:
    """Which of `total` layers to keep: evenly spread, the last always among them, the first too when two fit."""
    if kept == 1:
        return [total - 1]
    return [round(i * (total - 1) / (kept - 1)) for i in range(kept)]


def slice_state(state: State, config: StudentConfig, heads: Sequence[Tensor], units: Sequence[Tensor]) -> State:
    """Keep the given head and unit indices of each weight set, in weights or in anything shaped like them.

    The same slicing serves an optimizer's moments, so training goes on across a physical removal.
    """
    sliced = dict(state)

    def rows(name: str, index: Tensor) -> None:
        for key in (f"{name}.full.weight", f"{name}.up.weight", f"{name}.full.bias", f"{name}.up.bias"):
            if key in sliced:
                sliced[key] = sliced[key][index]

    def columns(name: str, index: Tensor) -> None:
        for key in (f"{name}.full.weight", f"{name}.down.weight"):
            if key in sliced:
                sliced[key] = sliced[key][:, index]

    for s, kept in enumerate(heads):
        size = (config.head_sizes or [])[s]
        inner = (kept[:, None] * size + torch.arange(size)[None]).flatten()
        for name in ("query", "key", "value"):
            rows(f"attention.{s}.{name}", inner)
        columns(f"attention.{s}.output", inner)
        if f"attention.{s}.relative_bias" in sliced:
            sliced[f"attention.{s}.relative_bias"] = sliced[f"attention.{s}.relative_bias"][:, kept]
    for s, kept in enumerate(units):
        rows(f"feed_forward.{s}.up", kept)
        columns(f"feed_forward.{s}.down", kept)
    return sliced


def top_indices(
    importance: Importance, heads: Sequence[int], units: Sequence[int]
) -> tuple[list[Tensor], list[Tensor]]:
    """Indices of the most important heads and units of each set, in their old order."""
    return (
        [torch.topk(score, n).indices.sort().values for score, n in zip(importance.heads, heads, strict=True)],
        [torch.topk(score, n).indices.sort().values for score, n in zip(importance.units, units, strict=True)],
    )


def keep_units(student: Student, heads: Sequence[Tensor], units: Sequence[Tensor]) -> Student:
    """Physically remove all heads and FFN units but the given ones; equals masking the others to 0."""
    state = slice_state(dict(student.state_dict()), student.config, heads, units)
    return rebuild(
        student,
        state,
        num_heads=[len(kept) for kept in heads],
        intermediate_sizes=[len(kept) for kept in units],
    )


def cut_head(student: Student, size: int) -> Student:
    """Keep the units of the head's dense layer that move the logits most, by the norms of what leads in and out."""
    if student.head.dense is None:
        return student
    state = dict(student.state_dict())
    score = state["head.dense.weight"].norm(dim=1) * state["head.classifier.weight"].norm(dim=0)
    kept = torch.topk(score, size).indices.sort().values
    state["head.dense.weight"], state["head.dense.bias"] = (
        state["head.dense.weight"][kept],
        state["head.dense.bias"][kept],
    )
    state["head.classifier.weight"] = state["head.classifier.weight"][:, kept]
    return rebuild(student, state, head_size=size)


def factorize_matrices(
    student: Student, ranks: Mapping[str, Sequence[int]], moments: Mapping[str, Tensor] | None = None
) -> Student:
    """Replace full matrices by two factors of the given rank (0: left as it is).

    `moments["attention.0.query"] (in, in)` and so on weigh the error, see `compress/low_rank.py`.
    """
    config, state = student.config, dict(student.state_dict())
    merged = {matrix: list(values) for matrix, values in (config.ranks or {}).items()}
    for matrix, values in ranks.items():
        room = "feed_forward" if matrix in FFN_MATRICES else "attention"
        for s, rank in enumerate(values):
            name = f"{room}.{s}.{matrix}"
            if not rank or f"{name}.full.weight" not in state:
                continue
            weight = state.pop(f"{name}.full.weight")
            if rank > min(weight.shape):
                raise InputError(f"rank {rank} of {name} {tuple(weight.shape)}; allowed: 0 to {min(weight.shape)}")
            up, down = factorize(weight, rank, (moments or {}).get(name))
            state[f"{name}.up.weight"], state[f"{name}.down.weight"] = up, down
            state[f"{name}.up.bias"] = state.pop(f"{name}.full.bias")
            merged[matrix][s] = rank
    return rebuild(student, state, ranks=merged)


def carve(
    student: Student,
    shape: StudentConfig,
    importance: Importance,
    token_counts: Tensor | None = None,
    seed: int = 0,
) -> Student:
    """The student of `shape`, made out of the bigger `student`'s weights.

    `importance` is of the bigger student's heads and units, per weight set. The shapes must agree in layers;
    fewer layers are chosen beforehand by `select_layers`, so that importance is measured on what remains.
    """
    if not shape.type_vocab_size:
        student = fold_token_types(student)
    student = trim_positions(student, shape.max_position_embeddings)
    if shape.vocab_map is not None:
        student = trim_vocabulary(student, shape.vocab_map, shape.pad_token_id)
    if shape.embedding_size != student.config.embedding_size:
        counts = (
            token_counts[torch.as_tensor(shape.vocab_map)]
            if token_counts is not None and shape.vocab_map
            else token_counts
        )
        if shape.embedding_projection == "self_attentive":
            heads, units = shape.embedding_num_heads, shape.embedding_intermediate_size
            student = self_attentive_embedding(student, shape.embedding_size, heads, units, counts, seed)
        else:
            student = factorize_embedding(student, shape.embedding_size, counts, seed)
    if (shape.attention_sharing, shape.ffn_sharing) != (student.config.attention_sharing, student.config.ffn_sharing):
        shared = share_layers(student, shape.attention_sharing or [], shape.ffn_sharing or [])
        student = shared.student
        importance = Importance(
            tuple(merge.sum_scores(importance.heads) for merge in shared.attention),
            tuple(merge.sum_scores(importance.units) for merge in shared.feed_forward),
        )
    student = keep_units(student, *top_indices(importance, shape.num_heads or [], shape.intermediate_sizes or []))
    if shape.classifier_inputs < student.config.classifier_inputs:
        student = cut_head(student, shape.classifier_inputs)
    return factorize_matrices(student, shape.ranks or {})
