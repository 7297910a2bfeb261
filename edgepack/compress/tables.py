"""The embedding's tables made smaller without changing what the student computes: types, positions, words.

Each is exact on the inputs that are left: single texts, texts of at most the new length, texts of kept tokens.
`share`: the layers' tensors are not copied (`surgery.rebuild`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from edgepack.compress.surgery import POSITION, TYPE, WORD, rebuild
from edgepack.student.model import Student


def fold_token_types(student: Student, share: bool = False) -> Student:
    """Drop the token-type table of a model that only ever sees one sentence: type 0 joins the positions."""
    state = dict(student.state_dict())
    types = state.pop(TYPE, None)
    if types is None:
        return student
    state[POSITION] = state[POSITION] + types[0]
    return rebuild(student, state, share, type_vocab_size=0)


def trim_positions(student: Student, max_length: int, share: bool = False) -> Student:
    """Keep the first `max_length` positions."""
    state = dict(student.state_dict())
    state[POSITION] = state[POSITION][:max_length].clone()
    return rebuild(student, state, share, max_position_embeddings=max_length)


def trim_vocabulary(student: Student, kept_ids: Sequence[int], pad_token_id: int, share: bool = False) -> Student:
    """Keep the rows of the tokens `kept_ids`, in that order; `vocab_map` then leads back to teacher ids."""
    state = dict(student.state_dict())
    state[WORD] = state[WORD][torch.as_tensor(kept_ids)]
    before, separator = student.config.vocab_map, student.config.match_separator
    mapped = [before[i] for i in kept_ids] if before else [int(i) for i in kept_ids]
    changes = {"vocab_size": len(mapped), "vocab_map": mapped, "pad_token_id": pad_token_id}
    if separator is not None:
        changes["match_separator"] = list(kept_ids).index(separator)
    return rebuild(student, state, share, **changes)
