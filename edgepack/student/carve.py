"""Carve a smaller student out of a bigger one's weights: plain functions, `Student → Student`.

`student_from_teacher` gives the starting point. Each function here changes one axis of the shape, builds
a new student and leaves the caller's alone; `carve` applies them in the order that keeps each exact step
exact: layers, vocabulary and positions first, then the embedding width, then heads and FFN units, then
sharing and low rank. Importance for heads and units comes from `compress/importance.py`.

Embedding: the table is centred on its frequency-weighted mean (moved into the position table, so nothing
is lost), its top principal directions span the new width, and a random rotation inside that space evens
out the columns: rows rounded to 4 bits with one scale then lose about as little as Gaussian rows do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.compress.low_rank import factorize
from edgepack.errors import InputError
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES, StudentConfig, changed_config
from edgepack.student.model import Student

State = dict[str, Tensor]
POSITION, WORD = "embeddings.position.weight", "embeddings.word.weight"


@dataclass(frozen=True)
class Importance:
    """Scores per weight set: `heads[set] (num_heads,)`, `units[set] (intermediate,)`; higher is kept."""

    heads: tuple[Tensor, ...]
    units: tuple[Tensor, ...]


def rebuild(student: Student, state: State, **changes: object) -> Student:
    """A new student with `changes` to the config and exactly the weights in `state`."""
    rebuilt = Student(changed_config(student.config, **changes))
    rebuilt.load_state_dict({name: tensor.detach().clone() for name, tensor in state.items()})
    return rebuilt.train(student.training)


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
        state |= _renumber(old, room, sets)
        changes |= _widths_of_sets(config, room, sets)
        ranks |= {matrix: [ranks[matrix][s] for s in sets] for matrix in matrices}
    for norms in ("attention_norms", "ffn_norms"):
        state |= _renumber(old, norms, list(layers))
    return rebuild(student, state, ranks=ranks, **changes)


def _widths_of_sets(config: StudentConfig, room: str, sets: list[int]) -> dict[str, object]:
    """The config's widths when only these weight sets remain, in this order."""
    fields = ("num_heads", "head_sizes") if room == "attention" else ("intermediate_sizes",)
    return {field: [getattr(config, field)[s] for s in sets] for field in fields}


def _renumber(state: State, room: str, numbers: list[int]) -> State:
    kept: State = {}
    for new, old in enumerate(numbers):
        prefix = f"{room}.{old}."
        kept |= {f"{room}.{new}.{k.removeprefix(prefix)}": v for k, v in state.items() if k.startswith(prefix)}
    return kept


def spread_layers(total: int, kept: int) -> list[int]:
    """Which of `total` layers to keep: evenly spread, the last always among them, the first too when two fit."""
    if kept == 1:
        return [total - 1]
    return [round(i * (total - 1) / (kept - 1)) for i in range(kept)]


def share_layers(student: Student, attention_sharing: Sequence[int], ffn_sharing: Sequence[int]) -> Student:
    """Make layers share weight sets; the one set is the middle member's, since averaging permuted units blurs them."""
    config, old = student.config, student.state_dict()
    state: State = {k: v for k, v in old.items() if not k.startswith(("attention.", "feed_forward."))}
    ranks = dict(config.ranks or {})
    changes: dict[str, object] = {"attention_sharing": list(attention_sharing), "ffn_sharing": list(ffn_sharing)}
    rooms = (
        ("attention", config.attention_sharing or [], attention_sharing, ATTENTION_MATRICES),
        ("feed_forward", config.ffn_sharing or [], ffn_sharing, FFN_MATRICES),
    )
    for room, before, after, matrices in rooms:
        members = [[layer for layer, s in enumerate(after) if s == n] for n in range(max(after) + 1)]
        sets = [before[layers[len(layers) // 2]] for layers in members]
        state |= _renumber(old, room, sets)
        changes |= _widths_of_sets(config, room, sets)
        ranks |= {matrix: [ranks[matrix][s] for s in sets] for matrix in matrices}
    return rebuild(student, state, ranks=ranks, **changes)


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
    """Physically remove all heads and FFN units but the given ones; equals gating the others to 0."""
    state = slice_state(dict(student.state_dict()), student.config, heads, units)
    return rebuild(
        student,
        state,
        num_heads=[len(kept) for kept in heads],
        intermediate_sizes=[len(kept) for kept in units],
    )


def weighted_covariance(table: Tensor, token_counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean `(H,)` and covariance `(H, H)` of a word table's rows, in double, common tokens weighing more.

    A token used n times weighs √n + 1; without counts all weigh the same.
    """
    table = table.double()
    weight = torch.ones(len(table), dtype=torch.double) if token_counts is None else token_counts.double().sqrt() + 1
    mean = (table * weight[:, None]).sum(0) / weight.sum()
    centred = table - mean
    return mean, centred.T @ (centred * weight[:, None])


def factorize_embedding(student: Student, width: int, token_counts: Tensor | None = None, seed: int = 0) -> Student:
    """Word table `(V, H)` to `(V, E)` times a projection `(H, E)`, by weighted principal components.

    `token_counts (V,)` weighs rows by how often the task uses them (plus one, so rare ones count too).
    Only for students whose table has the hidden width; a table that already has its own width stays.
    """
    config = student.config
    if config.embedding_projection != "identity" or width >= config.hidden_size:
        raise InputError(
            f"embedding width {width} for a {config.embedding_projection} embedding of {config.embedding_size}; "
            f"allowed: below {config.hidden_size}, from an identity embedding"
        )
    state = dict(student.state_dict())
    table = state[WORD].double()
    mean, covariance = weighted_covariance(table, token_counts)
    centred = table - mean
    _, directions = torch.linalg.eigh(covariance)  # ascending eigenvalues
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(torch.randn(width, width, dtype=torch.double, generator=generator))
    basis = directions[:, -width:] @ rotation  # (H, E), orthonormal columns
    state[WORD] = (centred @ basis).float()
    state[POSITION] = state[POSITION] + mean.float()
    state["embeddings.projection.weight"] = basis.float()
    return rebuild(student, state, embedding_size=width, embedding_projection="linear", projection_bias=False)


def factorize_matrices(student: Student, ranks: dict[str, list[int]]) -> Student:
    """Replace full matrices by two factors of the given rank (0: left as it is)."""
    config, state = student.config, dict(student.state_dict())
    merged = {matrix: list(values) for matrix, values in (config.ranks or {}).items()}
    for matrix, values in ranks.items():
        room = "feed_forward" if matrix in FFN_MATRICES else "attention"
        for s, rank in enumerate(values):
            name = f"{room}.{s}.{matrix}"
            if not rank or f"{name}.full.weight" not in state:
                continue
            up, down = factorize(state.pop(f"{name}.full.weight"), rank)
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
        student = factorize_embedding(student, shape.embedding_size, counts, seed)
    student = keep_units(student, *top_indices(importance, shape.num_heads or [], shape.intermediate_sizes or []))
    if (shape.attention_sharing, shape.ffn_sharing) != (student.config.attention_sharing, student.config.ffn_sharing):
        student = share_layers(student, shape.attention_sharing or [], shape.ffn_sharing or [])
    return factorize_matrices(student, shape.ranks or {})
