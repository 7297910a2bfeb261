"""Prices of a machine, from models that were timed there: least absolute relative errors, no price below zero.

Time is linear in the prices (`speed.py`), so a price's column is what models would take if it alone were 1. Memory is
fitted alike: a constant, and bytes for each weight by its bit width, since runtimes unpack what files pack. With few
models the prices of widths that nearly all have alike cannot be told apart; the error of models left out says how much
that costs. Absolute errors, not squares: a time that another program disturbed is far off, and would pull all prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from edgepack.plan.speed import BodyShape, Prices, layer_weights, projection_weights, student_time

PARTS = ("fixed", "layer", "head", "weight", "row", "norm", "element", "score")  # of `Prices`, beside the products
LEAST_SHAPES = 6  # of different models in a profile, each at several lengths: with fewer, single times make prices
ROUNDS, SMALL_ERROR = 10, 0.02  # errors below this count alike


@dataclass(frozen=True)
class Timed:
    """A model that was run on a machine: p50 in µs by tokens, and bytes of memory that it added, where known."""

    body: BodyShape
    embedding: int
    vocabulary: int
    embedding_bits: int
    p50_us: Mapping[int, float]
    peak_bytes: int | None = None


@dataclass(frozen=True)
class MemoryPrices:
    """Bytes that a process takes at most above what its libraries do: a constant, and of each weight by bit width."""

    fixed: float
    body: Mapping[int, float]
    table: Mapping[int, float]


def time_of(model: Timed, prices: Prices, tokens: int) -> float:
    """Estimated µs of a whole model."""
    body = model.body
    way = projection_weights(model.embedding, body.hidden)
    return student_time(body, prices, tokens) + prices.of_weight(body.bits, tokens) * way


def fit_prices(models: Sequence[Timed]) -> Prices:
    """The prices that the times of these models agree with best."""
    widths = sorted({model.body.bits for model in models})
    none = dict.fromkeys(widths, 0.0)
    units = [Prices(none, **{part: 1.0}) for part in PARTS]
    units += [Prices({**none, bits: 1.0}) for bits in widths]
    rows = [(model, tokens, time) for model in models for tokens, time in model.p50_us.items()]
    columns = np.array([[time_of(model, unit, tokens) / time for unit in units] for model, tokens, time in rows])
    found = _positive(columns)
    parts = dict(zip(PARTS, found, strict=False))
    return Prices(dict(zip(widths, found[len(PARTS) :], strict=True)), **parts)


def errors_left_out(models: Sequence[Timed]) -> list[float]:
    """Relative error of each time, estimated from the models of all other shapes."""
    errors = []
    for left in models:
        others = [model for model in models if shape_of(model) != shape_of(left)]
        prices = fit_prices(others)
        errors += [abs(time_of(left, prices, tokens) / time - 1) for tokens, time in left.p50_us.items()]
    return errors


def shape_of(model: Timed) -> tuple[int, ...]:
    """What two models have in common that differ in bit widths alone."""
    body = model.body
    return (body.layers, body.heads, body.head_size, body.ffn, body.hidden, body.labels, model.embedding)


def fit_memory(models: Sequence[Timed]) -> MemoryPrices | None:
    """The same of memory; None where a model's is not known."""
    widths = sorted({model.body.bits for model in models} | {model.embedding_bits for model in models})
    if any(model.peak_bytes is None for model in models):
        return None
    rows = []
    for model in models:
        body, table = [0.0] * len(widths), [0.0] * len(widths)
        body[widths.index(model.body.bits)] = float(body_weights(model.body, model.embedding))
        table[widths.index(model.embedding_bits)] = float(model.vocabulary * model.embedding)
        rows.append(np.array([1.0, *body, *table]) / float(model.peak_bytes or 1))
    found = _positive(np.array(rows))
    by_width = [dict(zip(widths, part, strict=True)) for part in (found[1 : len(widths) + 1], found[len(widths) + 1 :])]
    return MemoryPrices(found[0], *by_width)


def body_weights(body: BodyShape, embedding: int) -> int:
    """Weights of the layers, and of the way from the embedding size to the hidden size."""
    layer = layer_weights(body.heads, body.head_size, body.ffn, body.hidden)
    return body.layers * layer + projection_weights(embedding, body.hidden)


def _positive(columns: np.ndarray) -> list[float]:
    """The weights, none below zero, whose sum of `columns (n, k)` is nearest to 1 over all rows, by absolute errors.

    By least squares in rounds, each row weighed by 1 / its error of the round before.
    """
    scale = np.where(columns.any(0), np.abs(columns).max(0), 1.0)
    scaled, weights = columns / scale, np.ones(len(columns))
    for _ in range(ROUNDS):
        found = nnls(scaled * weights[:, None], weights)[0]
        weights = 1 / np.sqrt(np.maximum(np.abs(scaled @ found - 1), SMALL_ERROR))
    return (found / scale).tolist()
