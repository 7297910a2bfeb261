"""The embedding at a smaller size, out of a student's own table.

The table is centred on its frequency-weighted mean (moved into the position table, so nothing is lost), its top
principal directions span the new size, and a random rotation inside that space evens out the columns: rows rounded
to 4 bits with one scale then lose about as little as Gaussian rows do. From that size a linear map (ALBERT) or a
self-attentive layer (Subformer's SAFE) leads to the hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgepack.compress.surgery import POSITION, TYPE, WORD, State, rebuild
from edgepack.errors import InputError
from edgepack.student.config import changed_config
from edgepack.student.match import MATCH
from edgepack.student.model import Student

BLOCK = 4096  # rows at a time in double: a whole table would take hundreds of megabytes, several times over
INITIAL_STD = 0.02
TANH_SCALE = 0.05  # small enough for tanh(x) to be nearly x


def weighted_covariance(table: Tensor, token_counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean `(H,)` and covariance `(H, H)` of a word table's rows, in double, common tokens weighing more.

    A token used n times weighs √n + 1; without counts all weigh the same.
    """
    weight = row_weights(len(table), token_counts)
    blocks = list(zip(table.split(BLOCK), weight[:, None].split(BLOCK), strict=True))
    mean = sum((rows.double() * w).sum(0) for rows, w in blocks) / weight.sum()
    covariance = torch.zeros(table.shape[1], table.shape[1], dtype=torch.double)
    for rows, w in blocks:
        centred = rows.double() - mean
        covariance += centred.T @ (centred * w)
    return mean, covariance


def row_weights(rows: int, token_counts: Tensor | None) -> Tensor:
    """What each row of a word table counts, `(rows,)` in double."""
    return torch.ones(rows, dtype=torch.double) if token_counts is None else token_counts.double().sqrt() + 1


def factorize_embedding(
    student: Student, size: int, token_counts: Tensor | None = None, seed: int = 0, share: bool = False
) -> Student:
    """Word table `(V, H)` to `(V, E)` times a projection `(H, E)`, by weighted principal components.

    `token_counts (V,)` weighs rows by how often the task uses them (plus one, so rare ones count too).
    For an identity embedding and a size below the hidden size. `share`: the layers' tensors are not copied.
    """
    state = dict(student.state_dict())
    mean, covariance = weighted_covariance(state[WORD], token_counts)
    _, directions = torch.linalg.eigh(covariance)  # ascending eigenvalues
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.double, generator=generator))
    basis = directions[:, -size:] @ rotation  # (H, E), orthonormal columns
    state[WORD] = torch.cat([((rows.double() - mean) @ basis).float() for rows in state[WORD].split(BLOCK)])
    state[POSITION] = state[POSITION] + mean.float()
    state["embeddings.projection.weight"] = basis.float()
    return rebuild(student, state, share, embedding_size=size, embedding_projection="linear", projection_bias=False)


def add_convolution(student: Student, kernel: int) -> Student:
    """The student with a convolution over so many words, whose matrices are 0: it gives what it gave."""
    config = changed_config(student.config, embedding_kernel=kernel)
    shape = (len(config.neighbours) * config.hidden_size, config.embedding_size)
    state = {**student.state_dict(), "embeddings.convolution.weight": torch.zeros(shape)}
    return rebuild(student, state, share=True, embedding_kernel=kernel)


def add_match(student: Student, separator: int) -> Student:
    """The student with a vector, 0 as yet, for tokens that the other text of a pair has too: it gives what it gave.

    `separator`: id of the token between the texts.
    """
    state = {**student.state_dict(), MATCH: torch.zeros(student.config.hidden_size)}
    return rebuild(student, state, share=True, match_separator=separator)


def self_attentive_embedding(
    student: Student,
    size: int,
    num_heads: int,
    intermediate_size: int,
    token_counts: Tensor | None = None,
    seed: int = 0,
) -> Student:
    """Word table `(V, H)` to Subformer's SAFE at size `E` (Reid et al. 2021, arXiv:2101.00234, §3.2).

    Words, positions and types go to the basis of size E that holds most of their sums; the attention's output is 0;
    the feed-forward part is the linear map back to H, out of pairs of units: `g(x) − g(−x) = x` for GELU and ReLU. The
    norms on the way only rescale a token's vector, which the last one, the full embedding's own, undoes. So the output
    is the full embedding's but for what the basis leaves out. `intermediate_size` below `2 (E − 1)` narrows the
    basis to half of it; units beyond that begin with outputs of 0.
    """
    config, state = student.config, dict(student.state_dict())
    if not 0 < num_heads <= size or intermediate_size < 2:
        raise InputError(
            f"self-attentive embedding with {num_heads} heads and {intermediate_size} units; "
            f"allowed: 1 to {size} heads, 2 units or more"
        )
    generator = torch.Generator().manual_seed(seed)
    centre = config.norm == "layer_norm"
    directions = sum_directions(state, token_counts, centre)[:, -min(size - 1, intermediate_size // 2) :]  # (H, k)
    spread = basis_without_mean(size, directions.shape[1], generator)  # (E, k)
    tables = [POSITION, WORD, *([TYPE] if config.type_vocab_size else [])]
    for name in tables:
        state[name] = (state[name].double() @ directions @ spread.T).float()
    for name, last in (("weight", torch.ones), ("bias", torch.zeros)):
        state[f"embeddings.output_norm.{name}"] = state[f"embeddings.norm.{name}"]
        state[f"embeddings.norm.{name}"] = state[f"embeddings.attention_norm.{name}"] = last(size)
    state |= _silent_attention(size, num_heads * (size // num_heads), generator)
    scale = TANH_SCALE if config.hidden_act == "tanh" else 1.0
    read, write = spread.T * scale, directions / (2 * scale if config.hidden_act == "tanh" else 1.0)
    state |= _paired_units(read, write, intermediate_size - 2 * len(read), generator)
    return rebuild(
        student,
        state,
        embedding_size=size,
        embedding_projection="self_attentive",
        embedding_num_heads=num_heads,
        embedding_intermediate_size=intermediate_size,
    )


def _silent_attention(size: int, inner: int, generator: torch.Generator) -> State:
    """The embedding's attention with small random scores and values, and an output of 0."""
    room, state = "embeddings.attention", State()
    for name in ("query", "key", "value"):
        state[f"{room}.{name}.full.weight"] = draw(inner, size, generator)
        state[f"{room}.{name}.full.bias"] = torch.zeros(inner)
    return {
        **state,
        f"{room}.output.full.weight": torch.zeros(size, inner),
        f"{room}.output.full.bias": torch.zeros(size),
    }


def _paired_units(read: Tensor, write: Tensor, free: int, generator: torch.Generator) -> State:
    """The feed-forward part: `read (k, E)` and `write (H, k)`, each with its negative, and `free` silent units."""
    room, (hidden_size, pairs) = "embeddings.feed_forward", write.shape
    return {
        f"{room}.up.full.weight": torch.cat([read.float(), -read.float(), draw(free, read.shape[1], generator)]),
        f"{room}.up.full.bias": torch.zeros(2 * pairs + free),
        f"{room}.down.full.weight": torch.cat([write.float(), -write.float(), torch.zeros(hidden_size, free)], dim=1),
        f"{room}.down.full.bias": torch.zeros(hidden_size),
    }


def sum_directions(state: State, token_counts: Tensor | None, centre: bool) -> Tensor:
    """Principal directions `(H, H)` of word + position (+ type 0), the greatest last, about 0 and not about the mean.

    `centre` takes each vector's own mean away first, as the LayerNorm that follows does. Weights as in
    `weighted_covariance`; all positions count alike.
    """
    word_mean, covariance = weighted_covariance(state[WORD], token_counts)
    weight = float(row_weights(len(state[WORD]), token_counts).sum())
    positions = state[POSITION].double()
    if TYPE in state:
        positions = positions + state[TYPE][0].double()
    mean = word_mean + positions.mean(0)
    offsets = positions - positions.mean(0)
    moment = covariance / weight + offsets.T @ offsets / len(positions) + mean[:, None] * mean[None]
    if centre:
        moment = moment - moment.mean(0, keepdim=True)
        moment = moment - moment.mean(1, keepdim=True)
    directions: Tensor = torch.linalg.eigh(moment).eigenvectors
    return directions


def basis_without_mean(size: int, count: int, generator: torch.Generator) -> Tensor:
    """`(size, count)`, `count < size`: random orthonormal columns that each sum to 0, so a LayerNorm's centring
    takes nothing from what they carry."""
    columns = torch.randn(size, count, dtype=torch.double, generator=generator)
    basis: Tensor = torch.linalg.qr(torch.cat([torch.ones(size, 1, dtype=torch.double), columns], dim=1)).Q
    return basis[:, 1:]


def draw(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Small normal weights `(rows, columns)`, as BERT starts with."""
    return torch.randn(rows, columns, generator=generator) * INITIAL_STD
