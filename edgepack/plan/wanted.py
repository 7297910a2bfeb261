"""What a user wants of a plan besides the budget: a limit of time, and which of the shapes that are left is taken.

The objective "loss" takes the shape with the lowest score. "bytes", "latency" and "memory" take the one with the least
of that among the shapes whose score stays within `max_loss`: what training really loses has been less (docs/plan.md).
Times and memory are estimated from a speed profile (`speed_fit.py`), the worst of all targets counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from edgepack.errors import InputError
from edgepack.parameters import LatencyLimit
from edgepack.plan.grid import Body, Table, grid_kernels
from edgepack.plan.space import SearchSpace
from edgepack.plan.speed import BUILT_IN, TOKENS, Prices, near, projection_weights, student_time
from edgepack.plan.speed_fit import MemoryPrices, body_weights

Objective = Literal["loss", "bytes", "latency", "memory"]
SHORTER = "give a --speed-profile with shorter texts than {} tokens (`edgepack profile`)"


@dataclass(frozen=True)
class Machine:
    """What is known of one runtime on a machine, for texts of `shortest` to `longest` tokens."""

    prices: Prices = BUILT_IN
    memory: MemoryPrices | None = None
    shortest: int = TOKENS
    longest: int = TOKENS


@dataclass(frozen=True)
class Wanted:
    """The limit, the objective, and by target what is known of the machine; None: nothing but the built-in prices."""

    latency: LatencyLimit | None = None
    objective: Objective = "loss"
    max_loss: float = 1.0  # share of the metric, for the other objectives
    machines: Mapping[str, Machine] | None = field(default=None, hash=False)

    @property
    def tokens(self) -> int:
        """The length of text that times are estimated for."""
        if self.latency is not None:
            return self.latency.tokens
        longest = min((machine.longest for machine in (self.machines or {}).values()), default=TOKENS)
        return min(TOKENS, longest)

    @property
    def estimates_time(self) -> bool:
        """Whether the plan has times in milliseconds."""
        return self.machines is not None or self.latency is not None or self.objective == "latency"

    def to_record(self) -> dict[str, Any]:
        """As JSON; nothing where nothing is wanted."""
        record: dict[str, Any] = {} if self.objective == "loss" else {"objective": self.objective}
        if self.latency is not None:
            record["max_latency"] = {"ms": self.latency.ms, "tokens": self.latency.tokens}
        if self.estimates_time:
            record["times"] = {"tokens": self.tokens, "source": "built in" if self.machines is None else "profile"}
        return record

    def of(self, target: str) -> Machine:
        """What is known of the runtime of a target."""
        return Machine() if self.machines is None else self.machines[target]

    def check(self, space: SearchSpace) -> None:
        """`InputError` where the profile cannot tell what is wanted."""
        if not self.estimates_time:
            if self.objective == "memory":
                raise InputError(
                    "--objective memory needs --speed-profile FILE, since no figures of memory are built in; "
                    "`edgepack profile` measures them"
                )
            return
        if self.latency is not None and self.tokens > space.max_length:
            least = max(self.of(target.name).shortest for target in space.targets)
            fewer = "write fewer behind the @" if least <= space.max_length else SHORTER.format(least)
            raise InputError(
                f"max latency at {self.tokens} tokens: inputs of this build have at most {space.max_length}; {fewer}, "
                "or give a larger --max-length"
            )
        for target in space.targets:
            known = self.of(target.name)
            if not known.shortest <= self.tokens <= known.longest:
                raise InputError(self._out_of_range(known, space.max_length))
            if self.objective == "memory" and known.memory is None:
                raise InputError(
                    f"--objective memory: the speed profile has no peak_bytes of the runtime of {target.name}; measure "
                    "it with `edgepack profile`"
                )

    def _out_of_range(self, known: Machine, most: int) -> str:
        """Why a machine's times do not tell what is wanted; `most`: tokens of an input."""
        source = "the built-in figures are" if self.machines is None else "the speed profile is"
        said, way = f"{source} of {known.shortest} to {known.longest}", "(`edgepack profile`)"
        if self.latency is None:
            return f"times are estimated at {self.tokens} tokens: {said}; give a profile with shorter texts {way}"
        ways = f"write one of these behind the @, or give a --speed-profile with texts of that length {way}"
        if known.shortest > most:
            ways = f"{SHORTER.format(known.shortest)}, or give a larger --max-length: inputs have at most {most}"
        return f"max latency at {self.tokens} tokens: {said}; {ways}"


def grid_ms(space: SearchSpace, wanted: Wanted, bodies: Sequence[Body], tables: Sequence[Table]) -> np.ndarray:
    """Estimated milliseconds of every body with every table `(bodies, tables)`, of the slowest target."""
    times = []
    for target in space.targets:
        prices, tokens = wanted.of(target.name).prices, wanted.tokens
        own = np.array([student_time(body.shape, prices, tokens) for body in bodies])
        each = np.array([prices.of_weight(body.bits, tokens) for body in bodies])
        times.append(own[:, None] + each[:, None] * ways_in(space, bodies, tables))
    return np.maximum.reduce(times) / 1e3


def grid_memory(
    space: SearchSpace, wanted: Wanted, bodies: Sequence[Body], tables: Sequence[Table]
) -> np.ndarray | None:
    """Estimated bytes of memory `(bodies, tables)`, of the target that takes most; None where it is not known."""
    needed = []
    for target in space.targets:
        prices = wanted.of(target.name).memory
        if prices is None:
            return None
        own = np.array([body_weights(body.shape, space.hidden_size) for body in bodies])
        each = np.array([near(prices.body, body.bits) for body in bodies])
        words = np.array([table.vocabulary.size * table.size * near(prices.table, table.bits) for table in tables])
        ways = each[:, None] * ways_in(space, bodies, tables)
        needed.append(prices.fixed + (own * each)[:, None] + ways + words)
    return np.maximum.reduce(needed)


def ways_in(space: SearchSpace, bodies: Sequence[Body], tables: Sequence[Table]) -> np.ndarray:
    """Weights between each body and each table, `(bodies, tables)`."""
    own = np.array([projection_weights(table.size, space.hidden_size) for table in tables])
    ways: np.ndarray = own * grid_kernels(space, bodies, tables)
    return ways
