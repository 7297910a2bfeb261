"""Fewer layers: which to keep, and a student of those alone."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.compress.surgery import State, rebuild, renumber, sizes_of_sets
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES
from edgepack.student.model import Student


def spread_layers(total: int, kept: int) -> list[int]:
    """Which of `total` layers to keep: evenly spread, the last always among them, the first too when two fit."""
    if kept == 1:
        return [total - 1]
    return [round(i * (total - 1) / (kept - 1)) for i in range(kept)]


def select_layers(student: Student, layers: Sequence[int], share: bool = False) -> Student:
    """Keep the given layers, in that order; weight sets that no layer uses any more disappear.

    `share`: the tensors are not copied (`surgery.rebuild`).
    """
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
        changes |= sizes_of_sets(config, room, sets)
        ranks |= {matrix: [ranks[matrix][s] for s in sets] for matrix in matrices}
    for norms in ("attention_norms", "ffn_norms"):
        state |= renumber(old, norms, list(layers))
    return rebuild(student, state, share, ranks=ranks, **changes)
