"""BERT-EMD (Li et al. 2020, arXiv:2010.06133): every student layer may learn from every teacher layer.

The layers of both are piles of weight; moving weight from student layer i to teacher layer j costs the mean squared
error of their hidden states; the loss is the cost of the cheapest transport. The transport itself is a linear program
(successive shortest paths, exact, about a millisecond for a dozen layers) and gets no gradient: gradients flow
through the errors of the pairs that it picks.

Cost attention: a layer whose weight is cheap to move deserves more of it. With flow f and costs d, a layer's unit cost
is `C_i = Σ_j f_ij d_ij / w_i`, its new weight `softmax(ΣC / C_i / τ)`. Deviations: the paper carries the weights from
batch to batch; here each batch starts from equal weights and updates them once, so a step depends on its batch alone
and a killed build resumes with the same bits. τ is free in the paper. Hidden states only: attention maps
across layers would need the vectors of all teacher layers for each student layer. The embedding's output takes no part.

Distances are means over tokens, so those of a batch in pieces are weighed sums; one transport serves the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgepack.compress.distil.signals import Loss, Shapes, Signals
from edgepack.compress.distil.states import SQUARE, initial_map, mapped, mean_square, relative, state_square
from edgepack.errors import InputError

DUST = 1e-12  # mass below this is none
DISTANCES = "distances"
ROUNDING = 1e-6  # relative to the states' mean square: differences below this are fp32 noise


def optimal_transport(costs: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """The cheapest flow `(m, n) ≥ 0` with row sums `supply` and column sums `demand`, both scaled to sum 1.

    Successive shortest paths: mass goes along the cheapest way that is left, which may take back what was sent
    before (Ahuja, Magnanti and Orlin 1993, §9.7). InputError where a cost is not finite.
    """
    if not np.isfinite(costs).all():
        raise InputError("earth mover: a distance between layers is not finite; training diverged, lower its rate")
    left, needed = supply / supply.sum(), demand / demand.sum()
    flow = np.zeros_like(costs, dtype=np.float64)
    while left.max() > DUST and needed.max() > DUST:
        source, path = _cheapest_path(costs, flow, left, needed)
        target = path[0][1]
        amount = min([left[source], needed[target], *(flow[i, j] for i, j, sign in path if sign < 0)])
        for i, j, sign in path:
            flow[i, j] += sign * amount
        left[source] -= amount
        needed[target] -= amount
    return flow


def _cheapest_path(
    costs: np.ndarray, flow: np.ndarray, left: np.ndarray, needed: np.ndarray
) -> tuple[int, list[tuple[int, int, int]]]:
    """Bellman-Ford from all rows with mass left to the cheapest column in need: the row, and arcs from the column."""
    tolerance = 1e-12 * max(1e-300, np.abs(costs).max())
    to_row = np.where(left > DUST, 0.0, np.inf)
    to_column = np.full(costs.shape[1], np.inf)
    row_from, column_from = np.full(len(to_row), -1), np.full(len(to_column), -1)
    for _ in range(sum(costs.shape)):
        forward = to_row[:, None] + costs
        nearer = forward.min(0) < to_column - tolerance
        column_from[nearer], to_column[nearer] = forward.argmin(0)[nearer], forward.min(0)[nearer]
        back = np.where(flow > DUST, to_column - costs, np.inf)
        closer = back.min(1) < to_row - tolerance
        row_from[closer], to_row[closer] = back.argmin(1)[closer], back.min(1)[closer]
        if not closer.any():
            break
    column = int(np.where(needed > DUST, to_column, np.inf).argmin())
    row, path = int(column_from[column]), []
    path.append((row, column, 1))
    while row_from[row] >= 0:
        column = int(row_from[row])
        path.append((row, column, -1))
        row = int(column_from[column])
        path.append((row, column, 1))
    return row, path


def cost_attention(unit_costs: np.ndarray, temperature: float) -> np.ndarray:
    """Unit costs `(layers,)` → weights that sum to 1, more for the cheap; equal where all cost nothing."""
    total = unit_costs.sum()
    if total == 0:
        return np.full(len(unit_costs), 1 / len(unit_costs))
    scores = total / np.maximum(unit_costs, ROUNDING * total) / temperature
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def layer_distances(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor) -> np.ndarray:
    """Mean squared errors of all pairs `(student layers, teacher layers)`, fp64, without gradient.

    `|s|² + |t|² − 2 s·t` makes them one matrix product; what is left below fp32's rounding is 0.
    """
    with torch.no_grad():
        real = mask[:, :, None].float()
        own, other = (torch.stack([(s.float() * real).flatten() for s in states]) for states in (student, teacher))
        squares, other_squares = own.square().sum(1)[:, None], other.square().sum(1)[None, :]
        distances = squares + other_squares - 2 * own @ other.T
        distances = distances.where(distances > ROUNDING * (squares + other_squares), 0)
        return (distances / (real.sum() * student[0].shape[-1])).double().cpu().numpy()


def layer_flow(distances: np.ndarray, temperature: float | None) -> np.ndarray:
    """The transport between layers of equal weights, or, with a temperature, of cost attention's weights after it."""
    rows, columns = (np.full(count, 1 / count) for count in distances.shape)
    flow = optimal_transport(distances, rows, columns)
    if temperature is None:
        return flow
    spent = flow * distances
    return optimal_transport(
        distances,
        cost_attention(spent.sum(1) / rows, temperature),
        cost_attention(spent.sum(0) / columns, temperature),
    )


@dataclass(frozen=True)
class EarthMover(Loss):
    """Earth mover's distance between the layers of both.

    `temperature`: cost attention's τ; None leaves it out. `normalized`: by the teacher's mean square.
    """

    temperature: float | None = 10.0
    normalized: bool = False

    def __post_init__(self) -> None:
        if self.temperature is not None and self.temperature <= 0:
            raise InputError(
                f"earth mover: temperature is {self.temperature}; allowed: above 0, or false for equal weights"
            )

    @property
    def measures(self) -> bool:
        return True

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return set(range(layers + 1))

    def initial(self, shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
        return initial_map(shapes)

    def measure(self, signals: Signals, learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        student, teacher = _layers(signals, learned)
        distances = torch.from_numpy(layer_distances(student, teacher, signals.mask))
        return {DISTANCES: distances, **({SQUARE: state_square(teacher, signals.mask)} if self.normalized else {})}

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        student, teacher = _layers(signals, learned)
        known = learned.get(DISTANCES)
        distances = layer_distances(student, teacher, signals.mask) if known is None else known.cpu().numpy()
        flow = layer_flow(distances, self.temperature)
        moved = [
            float(flow[i, j]) * mean_square(student[i], teacher[j], signals.mask)
            for i, j in zip(*(flow > DUST).nonzero(), strict=True)
        ]
        loss = torch.stack(moved).sum()
        return relative(loss, teacher, signals.mask, learned) if self.normalized else loss


def _layers(signals: Signals, learned: Mapping[str, Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """The layers' states of student, in the teacher's size, and teacher."""
    return [mapped(state, learned) for state in signals.student_states[1:]], signals.teacher_states[1:]
