"""A build of a sweep as plain data, and the request that it becomes.

It travels to other processes and other machines as JSON; nothing heavy is imported before it is built.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepack.bundle.sweep import SweepBuild

if TYPE_CHECKING:
    from edgepack.build.inputs import BuildRequest

OUTPUT = Path("out")  # of a request that is only looked at
Told = Callable[[SweepBuild], None]  # what is called for each build that ends
Group = tuple[str, int, str, tuple[str, ...]]  # of builds that differ in the seed alone


@dataclass(frozen=True)
class Job:
    """One build: its place in the sweep, its options by their names in Python, what decides it."""

    name: str
    teacher: str
    budget_bytes: int
    recipe: str
    seed: int
    targets: tuple[str, ...]
    needed: dict[str, Any]  # model, data, eval, budget, target
    options: dict[str, Any]
    fingerprint: str = ""

    def request(self, output: Path) -> BuildRequest:
        """What `edgepack build` would be asked for; `InputError` names the option that is wrong."""
        from edgepack.build.calls import build_request  # here: a process that only starts others needs no torch

        return build_request(self.needed, output, self.options)

    @property
    def group(self) -> Group:
        """What it has in common with the same build of another seed."""
        return self.teacher, self.budget_bytes, self.recipe, self.targets

    @property
    def lends(self) -> str:
        """The folder of teacher outputs that it shares."""
        return shared_outputs(self.teacher, self.seed)

    def begun(self) -> SweepBuild:
        """Its record before it ends."""
        return SweepBuild(
            name=self.name,
            teacher=self.teacher,
            budget_bytes=self.budget_bytes,
            recipe=self.recipe,
            seed=self.seed,
            targets=list(self.targets),
            fingerprint=self.fingerprint,
        )

    def failed(self, error: str, seconds: float = 0.0) -> SweepBuild:
        """Its record where it ended without bundles."""
        return self.begun().model_copy(update={"status": "failed", "error": error, "seconds": seconds})

    def to_json(self) -> str:
        """As another process reads it."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Job:
        """What `to_json` wrote."""
        table = json.loads(text)
        return Job(**{**table, "targets": tuple(table["targets"])})


@dataclass(frozen=True)
class Planned:
    """What a build will ship, and take while it runs."""

    shipped_bytes: dict[str, int]  # by target
    memory_bytes: int
    disk_bytes: int


def shared_outputs(teacher: str, seed: int) -> str:
    """The folder of teacher outputs that builds share: those of other seeds are of other synthetic examples."""
    return f"{teacher}-seed{seed}"


def job_name(teacher: str, budget_bytes: int, recipe: str, seed: int, targets: Sequence[str]) -> str:
    """A build's folder; `targets`: those of a sweep that builds several lists of them, else none."""
    parts = [teacher, f"{Decimal(budget_bytes) / 10**6:f}MB", recipe, *(["+".join(targets)] if targets else [])]
    return "-".join([*parts, f"seed{seed}"])
