"""One option for each item, the most gain within a budget: the multiple-choice knapsack by dynamic programming.

Ranks of matrices and bit widths of matrices are both chosen by it. Exact while the costs' differences have a common
divisor that divides the room into at most `MAX_STATES` steps; beyond that costs are rounded up to a coarser step, so
the answer still keeps the budget and loses at most one step for each item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.errors import InputError

MAX_STATES = 20_000


def choose_options(costs: Sequence[Sequence[int]], gains: Sequence[Sequence[float]], budget: int) -> list[int]:
    """`costs[item][option]` and `gains[item][option]` → the option of each item, of greatest summed gain."""
    least = [min(options) for options in costs]
    room = budget - sum(least)
    if room < 0:
        raise InputError(f"budget {budget}; the cheapest choice costs {sum(least)}; allowed: that or more")
    extra = [[cost - low for cost in options] for options, low in zip(costs, least, strict=True)]
    step = max(math.gcd(*(e for options in extra for e in options)), -(-room // MAX_STATES), 1)
    states = room // step + 1
    best = np.zeros(states)
    chosen = np.zeros((len(costs), states), dtype=np.int32)
    for item, (options, values) in enumerate(zip(extra, gains, strict=True)):
        new = np.full(states, -np.inf)
        for option, (cost, gain) in enumerate(zip(options, values, strict=True)):
            taken = -(-cost // step)
            if taken >= states:
                continue
            candidate = best[: states - taken] + gain  # best[s]: within s steps, so it never falls with s
            better = candidate > new[taken:]
            new[taken:][better] = candidate[better]
            chosen[item, taken:][better] = option
        best = new
    state, picks = states - 1, [0] * len(costs)
    for item in reversed(range(len(costs))):
        picks[item] = int(chosen[item, state])
        state -= -(-extra[item][picks[item]] // step)
    return picks
