"""The embedding at a smaller width, out of a student's own table.

The table is centred on its frequency-weighted mean (moved into the position table, so nothing is lost), its top
principal directions span the new width, and a random rotation inside that space evens out the columns: rows rounded
to 4 bits with one scale then lose about as little as Gaussian rows do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgepack.errors import InputError
from edgepack.student.model import Student
from edgepack.student.surgery import POSITION, WORD, rebuild


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
