"""Make layers share weight sets: `Student → Student`, and which heads and units became one.

The shared set is the aligned mean of its members (`compress/sharing.py`). Norms stay each layer's own.
Heads and units are matched to the middle member's, so importance measured on the members can be summed for the set: a
unit of a shared set is lost in all its layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.compress.sharing import (
    AttentionWeights,
    FeedForwardWeights,
    match_heads,
    match_units,
    mean_attention,
    mean_feed_forward,
)
from edgepack.compress.surgery import State, rebuild, renumber, sizes_of_sets
from edgepack.errors import InputError
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES, StudentConfig
from edgepack.student.model import Student


@dataclass(frozen=True, eq=False)
class Merge:
    """The old weight sets behind one new set: the reference's number, all numbers, and each one's matched indices."""

    reference: int
    members: tuple[int, ...]
    matches: tuple[Tensor, ...]

    def sum_scores(self, scores: Sequence[Tensor]) -> Tensor:
        """Scores of the old sets' heads or units, summed over the members in the new set's order."""
        return torch.stack([scores[m][index] for m, index in zip(self.members, self.matches, strict=True)]).sum(0)


@dataclass(frozen=True, eq=False)
class Shared:
    """A student whose layers share weights, and what each attention and FFN set was made of."""

    student: Student
    attention: tuple[Merge, ...]
    feed_forward: tuple[Merge, ...]


def share_layers(student: Student, attention_sharing: Sequence[int], ffn_sharing: Sequence[int]) -> Shared:
    """Make layers share weight sets: `attention_sharing[layer]`, `ffn_sharing[layer]` are their new numbers.

    Layers that are to share need full matrices of equal sizes.
    """
    config, old = student.config, student.state_dict()
    state: State = {k: v for k, v in old.items() if not k.startswith(("attention.", "feed_forward."))}
    ranks = dict(config.ranks or {})
    changes: dict[str, object] = {"attention_sharing": list(attention_sharing), "ffn_sharing": list(ffn_sharing)}
    attention, changed = _merge_room(old, config, "attention", attention_sharing)
    state |= changed
    feed_forward, changed = _merge_room(old, config, "feed_forward", ffn_sharing)
    state |= changed
    rooms = (("attention", attention, ATTENTION_MATRICES), ("feed_forward", feed_forward, FFN_MATRICES))
    for room, merges, matrices in rooms:
        sets = [merge.reference for merge in merges]
        changes |= sizes_of_sets(config, room, sets)
        ranks |= {matrix: [ranks[matrix][s] for s in sets] for matrix in matrices}
    return Shared(rebuild(student, state, False, ranks=ranks, **changes), attention, feed_forward)


def _merge_room(old: State, config: StudentConfig, room: str, after: Sequence[int]) -> tuple[tuple[Merge, ...], State]:
    """How the sets of one room come about, and their weights under new numbers."""
    before = (config.attention_sharing if room == "attention" else config.ffn_sharing) or []
    if len(after) != len(before):
        raise InputError(f"{room} sharing has {len(after)} entries; the student has {len(before)} layers")
    merges: list[Merge] = []
    merged: State = {}
    for number in range(max(after) + 1):
        layers = [layer for layer, s in enumerate(after) if s == number]
        if not layers:
            raise InputError(f"{room} sharing is {list(after)}; set numbers must run from 0 without gaps")
        merge = _match(old, config, room, before[layers[len(layers) // 2]], [before[layer] for layer in layers])
        if len(merge.members) > 1:
            new = _mean_attention(old, config, merge) if room == "attention" else _mean_feed_forward(old, merge)
        else:
            new = renumber(old, room, [merge.reference])
        merged |= {k.replace(f"{room}.0.", f"{room}.{number}.", 1): v for k, v in new.items()}
        merges.append(merge)
    return tuple(merges), merged


def _match(old: State, config: StudentConfig, room: str, reference: int, sets: Sequence[int]) -> Merge:
    """Match all sets to the reference's heads or units."""
    members, matches = [], []
    for number in dict.fromkeys(sets):
        if number == reference:
            counts = config.num_heads if room == "attention" else config.intermediate_sizes
            match = torch.arange((counts or [])[reference])
        elif _alike(config, room, reference, number):
            if room == "attention":
                match = match_heads(_attention(old, config, reference), _attention(old, config, number))
            else:
                match = match_units(_feed_forward(old, reference), _feed_forward(old, number))
        else:
            raise InputError(
                f"{room} sets {reference} and {number} differ in size or are factorized; "
                "share before pruning and factorizing"
            )
        members.append(number)
        matches.append(match)
    return Merge(reference, tuple(members), tuple(matches))


def _alike(config: StudentConfig, room: str, a: int, b: int) -> bool:
    """Whether two sets have the same sizes and full matrices."""
    ranks = config.ranks or {}
    full = not any(ranks[m][s] for m in (ATTENTION_MATRICES if room == "attention" else FFN_MATRICES) for s in (a, b))
    return full and sizes_of_sets(config, room, [a]) == sizes_of_sets(config, room, [b])


def _feed_forward(state: State, number: int) -> FeedForwardWeights:
    up, down = (f"feed_forward.{number}.{matrix}.full" for matrix in FFN_MATRICES)
    return FeedForwardWeights(
        state[f"{up}.weight"], state[f"{up}.bias"], state[f"{down}.weight"], state[f"{down}.bias"]
    )


def _attention(state: State, config: StudentConfig, number: int) -> AttentionWeights:
    query, key, value, output = (f"attention.{number}.{matrix}.full" for matrix in ATTENTION_MATRICES)
    return AttentionWeights(
        query=state[f"{query}.weight"],
        query_bias=state[f"{query}.bias"],
        key=state[f"{key}.weight"],
        value=state[f"{value}.weight"],
        value_bias=state[f"{value}.bias"],
        output=state[f"{output}.weight"],
        output_bias=state[f"{output}.bias"],
        num_heads=(config.num_heads or [])[number],
        relative_bias=state.get(f"attention.{number}.relative_bias"),
    )


def _mean_feed_forward(state: State, merge: Merge) -> State:
    mean = mean_feed_forward([_feed_forward(state, m) for m in merge.members], merge.matches)
    room = "feed_forward.0"
    return {
        f"{room}.up.full.weight": mean.up,
        f"{room}.up.full.bias": mean.up_bias,
        f"{room}.down.full.weight": mean.down,
        f"{room}.down.full.bias": mean.down_bias,
    }


def _mean_attention(state: State, config: StudentConfig, merge: Merge) -> State:
    mean = mean_attention([_attention(state, config, m) for m in merge.members], merge.matches)
    room = "attention.0"
    named = {
        f"{room}.query.full.weight": mean.query,
        f"{room}.query.full.bias": mean.query_bias,
        f"{room}.key.full.weight": mean.key,
        f"{room}.key.full.bias": torch.zeros_like(mean.query_bias),
        f"{room}.value.full.weight": mean.value,
        f"{room}.value.full.bias": mean.value_bias,
        f"{room}.output.full.weight": mean.output,
        f"{room}.output.full.bias": mean.output_bias,
    }
    return named if mean.relative_bias is None else {**named, f"{room}.relative_bias": mean.relative_bias}
