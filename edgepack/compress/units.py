"""Heads, FFN units and the head's dense units: which matter most, and a student without the others.

Removing a unit equals masking it (tests: pruned equals masked). Scores come from `importance.py`, from the training
loop or from learned masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.compress.surgery import State, rebuild
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student


@dataclass(frozen=True)
class Importance:
    """Scores per weight set: `heads[set] (num_heads,)`, `units[set] (intermediate,)`; higher is kept."""

    heads: tuple[Tensor, ...]
    units: tuple[Tensor, ...]


def slice_state(state: State, config: StudentConfig, heads: Sequence[Tensor], units: Sequence[Tensor]) -> State:
    """Keep the given head and unit indices of each weight set, in weights or in anything shaped like them.

    The same slicing serves an optimizer's moments, so training continues after a physical removal.
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
        [top_numbers(score, n) for score, n in zip(importance.heads, heads, strict=True)],
        [top_numbers(score, n) for score, n in zip(importance.units, units, strict=True)],
    )


def top_numbers(scores: Tensor, count: int) -> Tensor:
    """Numbers of the greatest scores, rising."""
    return torch.topk(scores, count).indices.sort().values


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
    kept = top_numbers(score, size)
    state["head.dense.weight"], state["head.dense.bias"] = (
        state["head.dense.weight"][kept],
        state["head.dense.bias"][kept],
    )
    state["head.classifier.weight"] = state["head.classifier.weight"][:, kept]
    return rebuild(student, state, head_size=size)
