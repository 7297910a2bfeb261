"""Layers that share weights: which share, and one set of weights out of several.

Patterns: ALBERT shares all, attention only or FFN only (Lan et al. 2020, arXiv:1909.11942, §3.1); Subformer's
sandwich leaves the first and the last layer their own and shares the middle (Reid et al. 2021, arXiv:2101.00234,
§3.1). LayerNorms are each layer's own in every pattern.

One set out of several, the *aligned mean*. Two layers may hold the same units in another order, and heads in
another basis too, so weights are averaged only after matching, and heads as what they compute:

- FFN units: a unit is the vector (row of up, its bias, column of down). Units are matched to a reference layer's by
  the assignment that minimizes the summed squared distance, then averaged.
- Heads: a head computes scores `[x, 1]ᵀ A x` with `A = [W_q, b_q]ᵀ W_k` and writes `W_o W_v x`. Both products are
  free of the basis inside the head, so they are matched and averaged, and cut back to the head's size by SVD.
  The key's bias is left out, since it moves all scores of a query alike and softmax removes it; the value's bias
  reaches the output as a constant and joins the output's bias. Identical layers in any order and basis therefore
  merge without error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgepack.errors import InputError

SHARING_KINDS = ("none", "all", "attention", "ffn", "sandwich")


def least_layers(kind: str) -> int:
    """Of how many layers at least some share weights in this pattern."""
    return {"none": 1, "sandwich": 4}.get(kind, 2)


def share_pattern(kind: str, layers: int) -> tuple[list[int], list[int]]:
    """`(attention_sharing, ffn_sharing)` of a student with so many layers: the weight set of each layer."""
    if kind not in SHARING_KINDS:
        raise InputError(f"sharing {kind!r}; allowed: {', '.join(SHARING_KINDS)}")
    if layers < 1:
        raise InputError(f"sharing over {layers} layers; allowed: 1 or more")
    own, one = list(range(layers)), [0] * layers
    if kind == "sandwich":
        middle = [min(i, 1) if i < layers - 1 else min(i, 2) for i in own]
        return middle, list(middle)
    return (one if kind in ("all", "attention") else own), (list(one) if kind in ("all", "ffn") else list(own))


def solve_assignment(cost: Tensor) -> Tensor:
    """`(n, n)` costs → `columns (n,)` int64: row i takes `columns[i]`, the sum of costs is the least possible.

    Shortest augmenting paths with row and column prices (Jonker & Volgenant 1987): columns are priced at their
    least cost, rows that find a free cheapest column take it, each row left is placed by one Dijkstra search over
    reduced costs. O(n³) at worst.
    """
    matrix = cost.detach().double().cpu().numpy()
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"assignment costs of shape {tuple(cost.shape)}; allowed: square")
    n = len(matrix)
    column_price = matrix.min(axis=0) if n else np.zeros(0)
    row_price = (matrix - column_price).min(axis=1) if n else np.zeros(0)
    column_of, row_of = np.full(n, -1), np.full(n, -1)
    for row in range(n):
        column = int((matrix[row] - column_price).argmin())
        if row_of[column] < 0:
            column_of[row], row_of[column] = column, row
    for row in range(n):
        if column_of[row] < 0:
            _augment(matrix, row, row_price, column_price, column_of, row_of)
    return torch.from_numpy(column_of)


def _augment(
    matrix: np.ndarray,
    start: int,
    row_price: np.ndarray,
    column_price: np.ndarray,
    column_of: np.ndarray,
    row_of: np.ndarray,
) -> None:
    """Place one free row along the cheapest alternating path; prices and both assignments are updated in place."""
    n = len(matrix)
    distance, previous = np.full(n, np.inf), np.full(n, start)
    open_columns = np.ones(n, dtype=bool)
    row, reached = start, 0.0
    while True:
        through = reached + matrix[row] - row_price[row] - column_price
        better = open_columns & (through < distance)
        distance[better], previous[better] = through[better], row
        column = int(np.where(open_columns, distance, np.inf).argmin())
        reached = distance[column]
        open_columns[column] = False
        if row_of[column] < 0:
            break
        row = row_of[column]
    closed = ~open_columns
    change = reached - distance[closed]
    matched = row_of[closed]
    row_price[matched[matched >= 0]] += change[matched >= 0]
    row_price[start] += reached
    column_price[closed] -= change
    while True:
        row = previous[column]
        row_of[column] = row
        column_of[row], column = column, column_of[row]
        if row == start:
            return


@dataclass(frozen=True, eq=False)
class FeedForwardWeights:
    """`up (units, H)`, `up_bias (units,)`, `down (H, units)`, `down_bias (H,)`."""

    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor

    def units(self) -> Tensor:
        """Each unit as one vector, `(units, 2 H + 1)`, in double."""
        return torch.cat([self.up, self.up_bias[:, None], self.down.T], dim=1).double()


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """`query`, `key`, `value` `(heads · size, H)` with biases `(heads · size,)`, `output (H, heads · size)`, `(H,)`.

    `relative_bias (buckets, heads)` where the model has one.
    """

    query: Tensor
    query_bias: Tensor
    key: Tensor
    value: Tensor
    value_bias: Tensor
    output: Tensor
    output_bias: Tensor
    num_heads: int
    relative_bias: Tensor | None = None

    def scores(self) -> tuple[Tensor, Tensor]:
        """Factors of the heads' score forms: `(heads, size, H + 1)` and `(heads, size, H)`, in double."""
        query = torch.cat([self.query, self.query_bias[:, None]], dim=1)
        return self._by_head(query), self._by_head(self.key)

    def writes(self) -> tuple[Tensor, Tensor]:
        """Factors of what the heads write: `(heads, size, H)` of the output and of the value, in double."""
        return self._by_head(self.output.T), self._by_head(self.value)

    def constant(self) -> Tensor:
        """What the layer writes whatever it attends to, `(H,)`: output bias and all value biases, in double."""
        return self.output_bias.double() + self.output.double() @ self.value_bias.double()

    def _by_head(self, rows: Tensor) -> Tensor:
        return rows.double().view(self.num_heads, -1, rows.shape[1])


def match_units(reference: FeedForwardWeights, other: FeedForwardWeights) -> Tensor:
    """`(units,)` int64: which unit of `other` stands for each of the reference's."""
    return solve_assignment(-reference.units() @ other.units().T)  # least Σ‖a − b‖² is most Σ a·b


def match_heads(reference: AttentionWeights, other: AttentionWeights) -> Tensor:
    """`(heads,)` int64: which head of `other` stands for each of the reference's; cosines of both forms count alike."""
    cost = torch.zeros(reference.num_heads, other.num_heads, dtype=torch.double, device=reference.query.device)
    for mine, theirs in ((reference.scores(), other.scores()), (reference.writes(), other.writes())):
        sizes = form_products(mine, mine).diagonal()[:, None] * form_products(theirs, theirs).diagonal()[None]
        cost -= form_products(mine, theirs) / sizes.clamp(min=1e-30).sqrt()
    return solve_assignment(cost)


def form_products(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
    """`(heads, heads)`: inner products ⟨L_iᵀ R_i, L_jᵀ R_j⟩ of forms given by factors `(heads, size, H)`."""
    left = torch.einsum("hdx,gex->hgde", a[0], b[0])
    right = torch.einsum("hdx,gex->hgde", a[1], b[1])
    return (left * right).sum((2, 3))


def mean_feed_forward(members: Sequence[FeedForwardWeights], matches: Sequence[Tensor]) -> FeedForwardWeights:
    """Average of the members, unit `matches[k][i]` of member k in place i."""
    return FeedForwardWeights(
        _mean([m.up[index] for m, index in zip(members, matches, strict=True)]),
        _mean([m.up_bias[index] for m, index in zip(members, matches, strict=True)]),
        _mean([m.down[:, index] for m, index in zip(members, matches, strict=True)]),
        _mean([m.down_bias for m in members]),
    )


def mean_attention(members: Sequence[AttentionWeights], matches: Sequence[Tensor]) -> AttentionWeights:
    """Average of what the members' heads compute, head `matches[k][i]` of member k in place i; sizes stay."""
    first = members[0]
    size = first.query.shape[0] // first.num_heads
    query, key = _mean_forms([m.scores() for m in members], matches, size)
    output, value = _mean_forms([m.writes() for m in members], matches, size)
    bias = None
    if first.relative_bias is not None:
        tables = [m.relative_bias[:, i] for m, i in zip(members, matches, strict=True) if m.relative_bias is not None]
        bias = _mean(tables)
    dtype = first.query.dtype
    flat = query.flatten(0, 1).to(dtype)
    return AttentionWeights(
        query=flat[:, :-1],
        query_bias=flat[:, -1],
        key=key.flatten(0, 1).to(dtype),
        value=value.flatten(0, 1).to(dtype),
        value_bias=torch.zeros_like(first.value_bias),
        output=output.flatten(0, 1).T.to(dtype),
        output_bias=_mean([m.constant() for m in members]).to(dtype),
        num_heads=first.num_heads,
        relative_bias=bias,
    )


def _mean_forms(
    members: Sequence[tuple[Tensor, Tensor]], matches: Sequence[Tensor], size: int
) -> tuple[Tensor, Tensor]:
    """Factors `(heads, size, H)` of the average of the members' forms, best at that rank."""
    left = torch.cat([factors[0][index] for factors, index in zip(members, matches, strict=True)], dim=1)
    right = torch.cat([factors[1][index] for factors, index in zip(members, matches, strict=True)], dim=1)
    left_basis, left_core = torch.linalg.qr(left.transpose(1, 2))  # (heads, H, k), (heads, k, members · size)
    right_basis, right_core = torch.linalg.qr(right.transpose(1, 2))
    u, s, vt = torch.linalg.svd(left_core @ right_core.transpose(1, 2) / len(members), full_matrices=False)
    kept = min(size, s.shape[1])
    root = s[:, None, :kept].sqrt()
    new_left, new_right = left_basis @ u[:, :, :kept] * root, right_basis @ vt[:, :kept].transpose(1, 2) * root
    padding = (0, size - kept)
    return (
        torch.nn.functional.pad(new_left, padding).transpose(1, 2),
        torch.nn.functional.pad(new_right, padding).transpose(1, 2),
    )


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).mean(0)
