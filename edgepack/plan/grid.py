"""The grid that the search ranks: bodies (layers, heads, FFN, head, bits) and embedding tables, estimated one by one.

A shape is a body with a table, and both losses and bytes add up: a few thousand bodies and tables are estimated
here, and only the best of their pairs become configs (`candidate.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepack.compress.layers import spread_layers
from edgepack.compress.sharing import least_layers, share_pattern
from edgepack.errors import InputError
from edgepack.plan.losses import (
    NEW_BODY_LOSS,
    body_loss,
    body_rounding_loss,
    compute_price,
    head_loss,
    table_loss,
)
from edgepack.plan.space import SearchSpace, Vocabulary
from edgepack.plan.speed import BodyShape, student_time, token_labels
from edgepack.quantization import bit_width, small_table_width

SIZE_STEP, LARGEST_SHARE = 16, 2 / 3  # larger than that, a table mostly costs training time and bytes
FFN_SHARES, FFN_STEP = (0.5, 0.75, 1.0), 32
HEAD_SHARES = (1.0, 0.25)


@dataclass(frozen=True)
class Body:
    """Layers, heads, FFN, head and bits, with their estimated loss, least bytes and time.

    `shape`: what an estimate of their time is made of.
    """

    layers: tuple[int, ...]
    heads: int
    ffn: int
    head_size: int
    bits: int
    loss: float
    bytes: float
    time: float  # by the built-in prices, at 32 tokens
    shape: BodyShape
    price: float  # the part of `loss` that its compute is worth


@dataclass(frozen=True)
class Table:
    """An embedding table, with its estimated loss and least bytes."""

    size: int
    vocabulary: Vocabulary
    bits: int
    loss: float
    bytes: float


def list_bodies(space: SearchSpace) -> Iterator[Body]:
    """Every number of layers with every number of heads and the FFN sizes that go with it.

    Not fewer layers than can share weights as the recipe says.
    """
    full = space.full
    most_heads, most_ffn = max(full.num_heads or []), max(full.intermediate_sizes or [])
    for count in range(least_layers(space.structure.sharing), full.num_hidden_layers + 1):
        layers = tuple(spread_layers(full.num_hidden_layers, count))
        for heads in range(1, most_heads + 1):
            for share in FFN_SHARES:
                steps = round(share * heads / most_heads * most_ffn / FFN_STEP)
                yield from _same_layers(space, layers, heads, min(most_ffn, max(FFN_STEP, FFN_STEP * steps)))


def _same_layers(space: SearchSpace, layers: tuple[int, ...], heads: int, ffn: int) -> Iterator[Body]:
    """The bodies of these layers: each size of the head, each bit width."""
    full, size = space.full, attention_head_size(space)
    layer_weights = _layer_weights(space, layers, heads, ffn)
    shape = BodyShape(len(layers), heads, size, ffn, space.hidden_size, token_labels(full))
    time = student_time(shape)
    for head_share in HEAD_SHARES if full.has_dense else (1.0,):
        head = round(head_share * space.head_inputs)
        weights = layer_weights + (space.hidden_size * head if full.has_dense else 0)
        for bits in body_widths(space):
            loss = body_loss(full, len(layers), heads, ffn) + head_loss(head_share) + body_rounding_loss(bits)
            loss += NEW_BODY_LOSS if space.new_body else 0.0
            yield Body(
                layers=layers,
                heads=heads,
                ffn=ffn,
                head_size=head,
                bits=bits,
                loss=loss,
                bytes=weights * file_bits(bits) / 8,
                time=time,
                shape=replace(shape, bits=bits),
                price=compute_price(full, len(layers), heads, ffn),
            )


def _layer_weights(space: SearchSpace, layers: Sequence[int], heads: int, ffn: int) -> int:
    """Weights of all layers, those that are shared counted once."""
    attention_sets, ffn_sets = (len(set(sharing)) for sharing in layer_sharing(space, layers))
    hidden, units = space.hidden_size, heads * attention_head_size(space)
    attention, feed_forward = 4 * hidden * units, 2 * hidden * ffn
    if space.structure.rank_share:
        attention = 4 * (hidden + units) * rank_of(space, hidden, units)
        feed_forward = 2 * (hidden + ffn) * rank_of(space, hidden, ffn)
    return attention_sets * attention + ffn_sets * feed_forward


def list_tables(space: SearchSpace) -> Iterator[Table]:
    """Every embedding size with every choice of tokens and every bit width."""
    full = space.full
    sizes = [full.embedding_size]
    if full.embedding_projection == "identity":
        largest = int(space.hidden_size * LARGEST_SHARE)
        sizes = list(range(SIZE_STEP, largest + 1, SIZE_STEP)) or [max(1, largest)]  # a teacher may be tiny
    widths = _widths(space.structure.embedding_bits, "embedding", [target.embedding_bits for target in space.targets])
    wide_numbers = space.wide_rows * full.num_labels
    for size in sizes:
        for vocabulary in _vocabularies(space):
            for bits in widths:
                beside = wide_numbers * small_table_width(bit_width(bits)).stored_bits / 8
                loss = table_loss(space.spectrum, size, bits, vocabulary.unknown_share)
                size_bytes = vocabulary.size * size * file_bits(bits) / 8 + vocabulary.asset_bytes + beside
                yield Table(size, vocabulary, bits, loss, size_bytes)


def grid_kernels(space: SearchSpace, bodies: Sequence[Body], tables: Sequence[Table]) -> np.ndarray:
    """Words that the convolution of each body with each table reads, `(bodies, tables)`; 1: none."""
    depths, sizes = {len(body.layers) for body in bodies}, {table.size for table in tables}
    own = {depth: {size: space.kernel(depth, size) for size in sizes} for depth in depths}
    by_depth = {depth: np.array([own[depth][table.size] for table in tables]) for depth in depths}
    return np.array([by_depth[len(body.layers)] for body in bodies])


def convolution_bytes(space: SearchSpace, bodies: Sequence[Body], tables: Sequence[Table]) -> np.ndarray:
    """Bytes of the convolution of each body with each table, in the body's width, `(bodies, tables)`."""
    weights = (grid_kernels(space, bodies, tables) - 1) * np.array([table.size * space.hidden_size for table in tables])
    found: np.ndarray = weights * np.array([[file_bits(body.bits) / 8] for body in bodies])
    return found


def file_bits(bits: int) -> float:
    """Bits that a weight takes in a file."""
    return bit_width(bits).stored_bits


def attention_head_size(space: SearchSpace) -> int:
    """The size of one attention head, which a student keeps."""
    return (space.full.head_sizes or [])[0]


def rank_of(space: SearchSpace, a: int, b: int) -> int:
    """The rank of an a × b matrix where the recipe factorizes."""
    return max(1, round(space.structure.rank_share * min(a, b)))


def layer_sharing(space: SearchSpace, layers: Sequence[int]) -> tuple[list[int], list[int]]:
    """The weight set of each layer: the teacher's own sharing, and the structure's on top."""
    if space.structure.sharing != "none":
        return share_pattern(space.structure.sharing, len(layers))
    numbered = []
    for sharing in (space.full.attention_sharing or [], space.full.ffn_sharing or []):
        own = [sharing[layer] for layer in layers]
        numbered.append([sorted(set(own)).index(s) for s in own])
    return numbered[0], numbered[1]


def _vocabularies(space: SearchSpace) -> Sequence[Vocabulary]:
    """Those that the structure leaves."""
    choices = space.vocabularies
    if space.structure.vocabulary == "free":
        return choices
    chosen = max if space.structure.vocabulary == "whole" else min
    return [chosen(choices, key=lambda vocabulary: vocabulary.size)]


def body_widths(space: SearchSpace) -> list[int]:
    """The bit widths of a body."""
    return _widths(space.structure.body_bits, "body", [target.body_bits for target in space.targets])


def _widths(fixed: int, name: str, choices: Sequence[tuple[int, ...]]) -> list[int]:
    """The bit widths to look at: all that every target can run, or the one that the structure fixes."""
    shared = _common(choices)
    if fixed and fixed not in shared:
        raise InputError(f"structure: {name}_bits is {fixed}; the targets can run: {', '.join(map(str, shared))}")
    return [fixed] if fixed else shared


def _common(choices: Sequence[tuple[int, ...]]) -> list[int]:
    shared = sorted(set.intersection(*(set(choice) for choice in choices)), reverse=True)
    if not shared:
        raise InputError("the targets have no bit width in common; build them one at a time")
    return shared
