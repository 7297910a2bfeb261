"""What other budgets and speeds would buy: the front of bytes, score and speed around a plan's choice.

Every shape of the grid is considered, slow ones too. For each of a few speeds and budgets the shape with the lowest
score is on the front, where more bytes lower it. With the objective "loss" the plan's choice is on it: nothing as fast
has a lower score within its bytes. The figures are the plan's estimates.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepack.plan.candidate import Candidate
from edgepack.plan.search import FrontPoint, Grid, Plan, make_grid
from edgepack.plan.space import SearchSpace
from edgepack.plan.speed import teacher_time

SPEEDS = (0.5, 1.0, 2.0)  # compared with the choice
LEAST, MOST, STEPS = 0.25, 2.0, 6  # budgets compared with the plan's, and how many lie between these and the choice
TRIES = 3  # of a budget: the grid's bytes leave out what a file has besides weights


def find_front(space: SearchSpace, plan: Plan) -> tuple[FrontPoint, ...]:
    """The front, the slowest first, by bytes; without speeds that no shape reaches, or that those of a faster do."""
    grid, chosen = make_grid(space, None, plan.wanted), plan.chosen
    speeds = np.array([teacher_time(space.full) / body.time for body in grid.bodies])
    limits = budgets(chosen.largest_bytes, plan.budget_bytes)
    lines: list[tuple[float, list[Candidate]]] = []
    for factor in SPEEDS:
        at_least = factor * chosen.estimated_speed
        fast = np.flatnonzero(speeds >= at_least * (1 - 1e-9))
        known = chosen if factor <= 1 else None
        lines.append((round(at_least, 2), list(lowest(space, grid, fast, limits, known))))
    different = [line for line, faster in zip(lines, [*lines[1:], None], strict=True) if not same(line, faster)]
    return tuple(FrontPoint(at_least, candidate) for at_least, line in different for candidate in line)


def same(line: tuple[float, list[Candidate]], other: tuple[float, list[Candidate]] | None) -> bool:
    """Whether both have the same shapes."""
    return other is not None and [c.describe() for c in line[1]] == [c.describe() for c in other[1]]


def budgets(chosen_bytes: int, budget_bytes: int) -> list[int]:
    """Sizes from a part of the budget to a multiple of it, in even ratios; the choice's is among them."""
    below = np.geomspace(min(LEAST * budget_bytes, chosen_bytes), chosen_bytes, STEPS)
    above = np.geomspace(chosen_bytes, MOST * budget_bytes, STEPS)
    return sorted({round(size) for size in (*below, *above)})


def lowest(
    space: SearchSpace, grid: Grid, bodies: np.ndarray, limits: list[int], known: Candidate | None
) -> Iterator[Candidate]:
    """The shape with the lowest score within each limit, of those with these bodies, where more bytes lower it.

    `known`: one of them, which may be so near to a limit that the search by the grid's bytes misses it.
    """
    losses, sizes = grid.losses[bodies], grid.bytes[bodies]
    least = np.inf
    for limit in limits:
        found = [] if known is None or known.largest_bytes > limit else [known]
        room = float(limit)
        for _ in range(TRIES):
            scores = np.where(sizes <= room, losses, np.inf)
            if not scores.size or scores.min() >= least:
                break
            b, t = np.unravel_index(scores.argmin(), scores.shape)
            candidate = grid.candidate(space, int(np.ravel_multi_index((bodies[b], t), grid.losses.shape)))
            if candidate.largest_bytes <= limit:
                found.append(candidate)
                break
            room = limit - (candidate.largest_bytes - sizes[b, t])
        best = min(found, key=lambda each: each.estimated_loss, default=None)
        if best is not None and best.estimated_loss < least:
            least = best.estimated_loss
            yield best
