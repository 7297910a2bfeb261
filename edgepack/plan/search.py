"""From a budget to a shape and bit widths: a deterministic search over a small, argued space.

What is searched, and why just this:
- The teacher's depth and hidden size stay as long as they fit. Keeping every layer lets each hidden state be
  distilled, which was worth 5 points on SST-2 at 4 MB; fewer layers are considered at a price.
- Heads per layer 1 … all; FFN units 0.5, 0.75 or 1 times the same share of the teacher's.
- Embedding size in steps of 16 where the teacher's table can be factorized, the teacher's own otherwise.
- Vocabulary: whole, or trimmed to a few sizes not below what the training data needs.
- The units of a sequence head's dense layer: all, or a quarter.
- Bit widths of body and embedding: whatever all targets of the build can run.
- Another hidden size, shared layers, a self-attentive embedding and low rank only where the recipe sets them, with
  bit widths and a vocabulary as it fixes them (`Structure`).

Candidates must be fast: a model k times smaller than the teacher's int8 file should be k^0.64 times as fast, by the
estimate in `speed.py`; where none is, the fastest ones remain. A limit of time in its place is the user's
(`wanted.py`). They are ordered by an estimate of what they lose
(`losses.py`); the first that fits on every target is the plan. The estimates only rank: nothing downstream trusts them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgepack.errors import InputError
from edgepack.parameters import UNITS
from edgepack.plan.candidate import Candidate, make_candidate
from edgepack.plan.grid import Body, Table, convolution_bytes, list_bodies, list_tables
from edgepack.plan.space import SearchSpace
from edgepack.plan.speed import speed_goal, teacher_time
from edgepack.plan.wanted import Wanted, grid_memory, grid_ms

SHOWN = 8
NOTHING = Wanted()
TRIED = 4  # times as many are made as are shown where the order is by what is known of whole shapes alone


@dataclass(frozen=True)
class FrontPoint:
    """The shape with the lowest score of those `at_least` so many times as fast as the teacher's int8 model."""

    at_least: float
    candidate: Candidate

    def to_record(self) -> dict[str, Any]:
        """As the plan's candidates, with the speed that it had to reach."""
        return {"at_least": self.at_least, **self.candidate.describe()}


@dataclass(frozen=True)
class Plan:
    """The chosen candidate first, then the runners-up; `note` says why budget is left over, if it is."""

    candidates: tuple[Candidate, ...]
    budget_bytes: int
    note: str | None
    wanted: Wanted = NOTHING
    most: Candidate | None = None  # what loses least within the budget and the goal of speed, whatever its compute
    front: tuple[FrontPoint, ...] = ()  # what other budgets and speeds would buy, by speed and bytes (`front.py`)

    @property
    def chosen(self) -> Candidate:
        """What will be built."""
        return self.candidates[0]


@dataclass(frozen=True, eq=False)
class Grid:
    """Every body with every table: estimated loss, least bytes, and where they are estimated ms and memory."""

    bodies: list[Body]
    tables: list[Table]
    losses: np.ndarray
    bytes: np.ndarray
    ms: np.ndarray | None
    memory: np.ndarray | None

    def kind(self, place: int) -> tuple[int, int, int]:
        """Layers and bit widths of the pair with this number."""
        b, t = np.unravel_index(place, self.losses.shape)
        return len(self.bodies[b].layers), self.bodies[b].bits, self.tables[t].bits

    def candidate(self, space: SearchSpace, place: int) -> Candidate:
        """The pair with this number, exact."""
        b, t = np.unravel_index(place, self.losses.shape)
        found = make_candidate(space, self.bodies[b], self.tables[t])
        ms, memory = (None if grid is None else grid[b, t] for grid in (self.ms, self.memory))
        return replace(
            found,
            estimated_ms=None if ms is None else float(ms),
            estimated_memory=None if memory is None else round(memory),
        )


def search(
    space: SearchSpace, budget_bytes: int, wanted: Wanted = NOTHING, count: int = SHOWN, kinds: bool = False
) -> Plan:
    """The `count` best candidates within `budget_bytes` on every target; `InputError` says what would do if none is.

    `kinds`: no more than the best of each number of layers and bit widths: shapes that short trainings can tell apart.
    """
    wanted.check(space)
    grid = make_grid(space, budget_bytes, wanted)
    fitting = grid.bytes.ravel() <= budget_bytes
    quick = np.ones_like(fitting) if wanted.latency is None else grid_within(grid, wanted)
    places = np.flatnonzero(fitting & quick)
    by_bytes = wanted.objective == "bytes"
    order = _order(grid, places, wanted)
    found = _exact(space, grid, order, budget_bytes, count * (TRIED if by_bytes else 1), grid.kind if kinds else None)
    if by_bytes:
        found = sorted(found, key=lambda each: (each.largest_bytes, each.estimated_loss))[:count]
    if not found and wanted.objective != "loss":
        best = _exact(space, grid, _order(grid, places, replace(wanted, objective="loss")), budget_bytes, 1)
        if best:
            raise InputError(_no_such_loss(wanted, best[0], budget_bytes))
    if not found:
        near = _exact(space, grid, fastest(grid, fitting), budget_bytes, 1) if not quick.all() else []
        raise InputError(_too_slow(wanted, near[0], budget_bytes) if near else _nothing_fits(space, budget_bytes))
    most = _loses_least(space, grid, places, budget_bytes) if _is_short(found[0], budget_bytes) else None
    plan = Plan(tuple(found), budget_bytes, None, wanted, most)
    return replace(plan, note=left_over(plan))


def make_grid(space: SearchSpace, budget_bytes: int | None, wanted: Wanted) -> Grid:
    """All pairs; a shape is a body with a table: losses, bytes and times add up, but for a convolution between them.

    `budget_bytes`: whose goal of speed bodies have to reach; None: none.
    """
    bodies, tables = list(list_bodies(space)), list(list_tables(space))
    if wanted.latency is not None:  # how slow a shape may be is the user's word: being slow costs nothing more
        bodies = [replace(body, loss=body.loss - body.price, price=0.0) for body in bodies]
    elif budget_bytes is not None:
        bodies = _fast_enough(space, bodies, budget_bytes)
    return Grid(
        bodies,
        tables,
        np.add.outer([body.loss for body in bodies], [table.loss for table in tables]).round(9),
        np.add.outer([body.bytes for body in bodies], [table.bytes for table in tables])
        + convolution_bytes(space, bodies, tables),
        grid_ms(space, wanted, bodies, tables) if wanted.estimates_time else None,
        grid_memory(space, wanted, bodies, tables) if wanted.machines is not None else None,
    )


def grid_within(grid: Grid, wanted: Wanted) -> np.ndarray:
    """Which pairs are estimated to be as fast as they must be, flat."""
    assert wanted.latency is not None
    assert grid.ms is not None
    return grid.ms.ravel() <= wanted.latency.ms


def fastest(grid: Grid, fitting: np.ndarray) -> np.ndarray:
    """The pairs that fit, the fastest first."""
    assert grid.ms is not None
    places = np.flatnonzero(fitting)
    return places[np.argsort(grid.ms.ravel()[places], kind="stable")]


def _order(grid: Grid, places: np.ndarray, wanted: Wanted) -> np.ndarray:
    """These pairs, the best by the objective first, without those that lose too much for it."""
    losses = grid.losses.ravel()[places]
    if wanted.objective == "loss":
        return places[np.argsort(losses, kind="stable")]
    values = {"bytes": grid.bytes, "latency": grid.ms, "memory": grid.memory}[wanted.objective]
    assert values is not None
    within = losses <= wanted.max_loss
    places, losses = places[within], losses[within]
    return places[np.lexsort((losses, values.ravel()[places]))]


def _exact(
    space: SearchSpace,
    grid: Grid,
    order: np.ndarray,
    budget_bytes: int,
    count: int,
    kind: Callable[[int], Any] | None = None,
) -> list[Candidate]:
    """The first `count` different candidates of these pairs whose files are within the budget; one of each `kind`."""
    found: list[Candidate] = []
    shown: list[dict[str, Any]] = []
    had = set()
    for place in order:
        if kind is not None and kind(place) in had:
            continue
        candidate = grid.candidate(space, place)
        if candidate.largest_bytes <= budget_bytes and candidate.describe() not in shown:
            shown.append(candidate.describe())  # a small teacher's grid holds a shape more than once
            found.append(candidate)
            if kind is not None:
                had.add(kind(place))
            if len(found) == count:
                break
    return found


def _fast_enough(space: SearchSpace, bodies: list[Body], budget_bytes: int) -> list[Body]:
    """The bodies that reach the budget's speed goal; where none does, the fastest ones."""
    goal = teacher_time(space.full) / speed_goal(space.full, budget_bytes)
    limit = max(goal, min(body.time for body in bodies))
    return [body for body in bodies if body.time <= limit]


def _too_slow(wanted: Wanted, fastest: Candidate, budget_bytes: int) -> str:
    """One line with the limit that would do."""
    assert wanted.latency is not None
    assert fastest.estimated_ms is not None
    enough = math.ceil(fastest.estimated_ms * 1e3) / 1e3
    return (
        f"max latency {wanted.latency}: no shape within {budget_bytes:,} bytes is estimated so fast; the fastest takes "
        f"{enough:g} ms; give at least --max-latency {enough:g}ms@{wanted.tokens}"
    )


def _no_such_loss(wanted: Wanted, best: Candidate, budget_bytes: int) -> str:
    """One line with the score that would do."""
    enough = math.ceil(best.estimated_loss * 1e4) / 1e2
    return (
        f"objective {wanted.objective}: no shape within {budget_bytes:,} bytes has a score of at most "
        f"{100 * wanted.max_loss:g} (--max-drop); the lowest is {enough:g}; give --max-drop {enough:g}%, a larger "
        "budget, or --objective loss"
    )


def _nothing_fits(space: SearchSpace, budget_bytes: int) -> str:
    """One line with the smallest budget that would do."""
    body = min(list_bodies(space), key=lambda body: (body.bytes, body.loss))
    table = min(list_tables(space), key=lambda table: (table.bytes, table.loss))
    needed = make_candidate(space, body, table).shipped_bytes
    target = max(needed, key=lambda name: needed[name])
    megabytes = math.ceil(needed[target] / UNITS["mb"] * 100) / 100
    return (
        f"budget of {budget_bytes} bytes: no shape fits; the smallest needs {needed[target]} bytes on {target}; "
        f"give at least -b {megabytes:g}MB"
    )


def _loses_least(space: SearchSpace, grid: Grid, places: np.ndarray, budget_bytes: int) -> Candidate:
    """The pair that fits and loses least, the price of its compute left out."""
    without = (grid.losses - np.array([body.price for body in grid.bodies])[:, None]).ravel()[places]
    return _exact(space, grid, places[np.argsort(without, kind="stable")], budget_bytes, 1)[0]


def _is_short(chosen: Candidate, budget_bytes: int) -> bool:
    """Whether less than 90 % of the budget is used on a target."""
    return min(chosen.shipped_bytes.values()) < 0.9 * budget_bytes


def left_over(plan: Plan) -> str | None:
    """Why the budget is not used up, where less than 90 % of it is; what more bytes would buy."""
    chosen, budget_bytes, wanted = plan.chosen, plan.budget_bytes, plan.wanted
    if not _is_short(chosen, budget_bytes):
        return None
    short = {name: size for name, size in chosen.shipped_bytes.items() if size < 0.9 * budget_bytes}
    parts = ", ".join(f"{name} {size / budget_bytes:.0%}" for name, size in sorted(short.items()))
    tightest = max(chosen.shipped_bytes, key=lambda name: chosen.shipped_bytes[name])
    if tightest not in short:
        return f"budget not used up ({parts}): one student serves all targets, and {tightest} has no room for more"
    if wanted.objective != "loss":
        return (
            f"budget not used up ({parts}): --objective {wanted.objective} takes the least of it with a score of at "
            f"most {100 * wanted.max_loss:g} (--max-drop)"
        )
    most = plan.most
    gain = 0.0 if most is None else 100 * (chosen.estimated_loss - chosen.price - (most.estimated_loss - most.price))
    if most is None or round(gain, 2) <= 0:
        return f"budget not used up ({parts}): no shape within it is estimated to lose less"
    return (
        f"budget not used up ({parts}): more bytes are estimated to cost more in latency than they gain in the metric: "
        f"{gain:.2f} % of it, at {most.estimated_speed:.1f} x the teacher's speed instead of "
        f"{chosen.estimated_speed:.1f} x; with --max-latency compute has no price"
    )
