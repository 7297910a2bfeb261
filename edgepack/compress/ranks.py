"""Which rank each matrix gets, instead of one share for all.

A rank costs `r (out + in)` parameters, a full matrix `out · in`, and captures the sum of its first r squared singular
values. The ranks of all matrices within a number of parameters are those that capture most, found exactly. What a file
takes is not quite proportional to parameters, so `choose_ranks` lowers that number until the ranks fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from edgepack.compress.knapsack import choose_options
from edgepack.compress.low_rank import Ranks, body_matrices, moment_roots, rank_of
from edgepack.errors import InputError
from edgepack.student.model import Student

TRIES = 12  # halvings of the parameters to spend, until ranks fit


def energies(weight: Tensor, input_moment: Tensor | None = None) -> Tensor:
    """Squared singular values `(min(out, in),)` of `W` or of `W C^{1/2}`: what each rank captures."""
    matrix = weight.double() if input_moment is None else weight.double() @ moment_roots(input_moment)[0]
    return torch.linalg.svdvals(matrix).square()


def allocate_ranks(
    spectra: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, int]], most: int, step: int = 1
) -> dict[str, int]:
    """The rank of every matrix (0: full) that captures most energy with at most `most` weight parameters.

    `spectra[name]`: squared singular values, greatest first; `shapes[name]`: `(out, in)`. Biases are not counted.
    """
    costs, gains, options = [], [], []
    for name, (rows, columns) in shapes.items():
        ranks = rank_options(rows, columns, step)
        captured = spectra[name].double().cumsum(0)
        options.append([*ranks, 0])
        costs.append([rank_cost(r, rows, columns) for r in (*ranks, 0)])
        gains.append([float(captured[r - 1]) for r in ranks] + [float(captured[-1])])
    try:
        picks = choose_options(costs, gains, most)
    except InputError as e:
        raise InputError(f"low rank: parameters for all matrices at their least rank do not fit: {e}") from e
    return {name: ranks[pick] for name, ranks, pick in zip(shapes, options, picks, strict=True)}


def rank_options(rows: int, columns: int, step: int) -> list[int]:
    """The multiples of `step` with fewer parameters than the full matrix; all such ranks where no multiple is."""
    cheaper = [r for r in range(1, min(rows, columns) + 1) if r * (rows + columns) < rows * columns]
    return [r for r in cheaper if r % step == 0] or cheaper


def rank_cost(rank: int, rows: int, columns: int) -> int:
    """Weight parameters of a matrix at this rank; 0 is the full matrix."""
    return rank * (rows + columns) if rank else rows * columns


def choose_ranks(
    student: Student,
    planned: Ranks,
    step: int,
    fits: Callable[[Ranks], bool],
    moments: Mapping[str, Tensor] | None = None,
    relative: bool = False,
) -> Ranks:
    """The ranks of a student's full matrices that capture most, with no more parameters than `planned` has.

    Where they do not fit, the best that do with fewer; the planned ones where those capture more. `relative`: each
    matrix's energy counts as a share of its own, for moments whose units differ between matrices (`input_moments`).
    """
    matrices = body_matrices(student)
    spectra = {name: energies(m.weight.detach(), (moments or {}).get(name)) for name, m in matrices.items()}
    if relative:
        spectra = {name: spectrum / spectrum.sum().clamp(min=1e-30) for name, spectrum in spectra.items()}
    shapes = {name: (m.out_features, m.in_features) for name, m in matrices.items()}
    best: dict[str, int] = {name: rank_of(planned, name) for name in matrices}

    def captured(ranks: Mapping[str, int]) -> float:
        return sum(float(spectra[name][: rank or None].sum()) for name, rank in ranks.items())

    most = sum(rank_cost(rank, *shapes[name]) for name, rank in best.items())
    least = sum(min(rank_cost(r, *shape) for r in (*rank_options(*shape, step), 0)) for shape in shapes.values())
    low, high, spent = least, most, most
    for _ in range(TRIES if least <= most else 0):
        ranks = allocate_ranks(spectra, shapes, spent, step)
        if fits(by_matrix(planned, ranks)):
            best, low = max(best, ranks, key=captured), spent
        else:
            high = spent
        if low == high:
            break
        spent = (low + high) // 2
    return by_matrix(planned, best)


def by_matrix(planned: Ranks, ranks: Mapping[str, int]) -> Ranks:
    """`ranks["room.set.matrix"]` as `ranks[matrix][set]`; matrices that have none keep the planned one."""
    changed = {matrix: list(values) for matrix, values in planned.items()}
    for name, rank in ranks.items():
        _, number, matrix = name.split(".")
        changed[matrix][int(number)] = rank
    return changed
