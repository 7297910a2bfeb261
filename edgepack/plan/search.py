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
estimate in `speed.py`; where none is, the fastest ones remain. They are ordered by an estimate of what they lose
(`losses.py`); the first that fits on every target is the plan. The estimates only rank: nothing downstream trusts them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.errors import InputError
from edgepack.parameters import UNITS
from edgepack.plan.candidate import Candidate, make_candidate
from edgepack.plan.grid import Body, list_bodies, list_tables
from edgepack.plan.space import SearchSpace
from edgepack.plan.speed import speed_goal, teacher_time

SHOWN = 8


@dataclass(frozen=True)
class Plan:
    """The chosen candidate first, then the runners-up; `note` says why budget is left over, if it is."""

    candidates: tuple[Candidate, ...]
    budget_bytes: int
    note: str | None

    @property
    def chosen(self) -> Candidate:
        """What will be built."""
        return self.candidates[0]


def search(space: SearchSpace, budget_bytes: int) -> Plan:
    """The best candidates within `budget_bytes` on every target; `InputError` with the smallest when none fits."""
    bodies, tables = _fast_enough(space, list(list_bodies(space)), budget_bytes), list(list_tables(space))
    # a shape is a body with a table: losses and bytes add up, so the whole grid is two outer sums
    losses = np.add.outer([body.loss for body in bodies], [table.loss for table in tables]).round(9)
    rough = np.add.outer([body.bytes for body in bodies], [table.bytes for table in tables])
    found: list[Candidate] = []
    shown: list[dict[str, Any]] = []
    fitting = np.flatnonzero(rough <= budget_bytes)
    for place in fitting[np.argsort(losses.ravel()[fitting], kind="stable")]:
        b, t = np.unravel_index(place, losses.shape)
        candidate = make_candidate(space, bodies[b], tables[t])
        if max(candidate.shipped_bytes.values()) <= budget_bytes and candidate.describe() not in shown:
            shown.append(candidate.describe())  # a small teacher's grid holds a shape more than once
            found.append(candidate)
            if len(found) == SHOWN:
                break
    if not found:
        raise InputError(_nothing_fits(space, budget_bytes))
    return Plan(tuple(found), budget_bytes, _note(found[0], budget_bytes))


def _fast_enough(space: SearchSpace, bodies: list[Body], budget_bytes: int) -> list[Body]:
    """The bodies that reach the budget's speed goal; where none does, the fastest ones."""
    goal = teacher_time(space.full) / speed_goal(space.full, budget_bytes)
    limit = max(goal, min(body.time for body in bodies))
    return [body for body in bodies if body.time <= limit]


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


def _note(chosen: Candidate, budget_bytes: int) -> str | None:
    """Why the budget is not used up, where less than 90 % of it is."""
    short = {name: size for name, size in chosen.shipped_bytes.items() if size < 0.9 * budget_bytes}
    if not short:
        return None
    parts = ", ".join(f"{name} {size / budget_bytes:.0%}" for name, size in sorted(short.items()))
    tightest = max(chosen.shipped_bytes, key=lambda name: chosen.shipped_bytes[name])
    if tightest not in short:
        return f"budget not used up ({parts}): one student serves all targets, and {tightest} has no room for more"
    return (
        f"budget not used up ({parts}): more bytes are estimated to cost more in latency than they gain in the metric"
    )
