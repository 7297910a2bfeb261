"""Settings of a training: steps, learning rate, losses by phase, and what each stage rounds and prunes.

Linear warm-up, linear decay to zero over `total_steps`. A phase is a stretch of the schedule with losses of its own
(TinyBERT trains on hidden states first, on predictions after); a stage is a stretch of it with a shape or bit widths
of its own. The two need not meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.signals import Loss
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.l0 import L0Pruning
from edgepack.errors import InputError
from edgepack.task.encoded import length_buckets
from edgepack.train.optimizer import BETAS


@dataclass(frozen=True)
class Phase:
    """The losses up to the share `until` of all steps."""

    until: float
    losses: tuple[Loss, ...]


def check_phases(phases: Sequence[Phase]) -> None:
    """`InputError` unless the phases cover the training."""
    ends = [phase.until for phase in phases]
    if not ends or ends[-1] != 1.0 or ends != sorted(set(ends)) or ends[0] <= 0:
        raise InputError(f"phases end at {ends}; allowed: rising shares of the steps above 0, the last one 1.0")


@dataclass(frozen=True)
class Schedule:
    """The whole build's training: steps, learning rate, losses. Stages are ranges of its steps."""

    total_steps: int
    batch_size: int
    peak_lr: float
    warmup: float = 0.06  # share of the steps
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # 0: gradients are not cut
    betas: tuple[float, float] = BETAS
    phases: tuple[Phase, ...] = (Phase(1.0, (SoftTargets(), HiddenStates())),)

    def __post_init__(self) -> None:
        check_phases(self.phases)

    def learning_rate(self, step: int) -> float:
        """Linear up over the warm-up, linear down to zero at the end."""
        rise = max(1.0, self.warmup * self.total_steps)
        fall = (self.total_steps - step) / max(1.0, self.total_steps - rise)
        return self.peak_lr * min((step + 1) / rise, fall)

    def phase_ends(self) -> list[int]:
        """The step at which each phase is over."""
        return [round(phase.until * self.total_steps) for phase in self.phases]

    def phase_index(self, step: int) -> int:
        """The phase that a step belongs to."""
        ends = self.phase_ends()
        return next((i for i, end in enumerate(ends) if step < end), len(ends) - 1)


@dataclass(frozen=True)
class PruneTarget:
    """Final heads and FFN units of each weight set, reached in `events` removals spread over the stage."""

    heads: tuple[int, ...]
    units: tuple[int, ...]
    events: int = 8

    def counts(self, start: tuple[list[int], list[int]], event: int) -> tuple[list[int], list[int]]:
        """Heads and units to have after removal number `event` (from 1): cubic from `start` to the target."""
        left = (1 - event / self.events) ** 3

        def reached(first: list[int], last: tuple[int, ...]) -> list[int]:
            return [round(b + (a - b) * left) for a, b in zip(first, last, strict=True)]

        return reached(start[0], self.heads), reached(start[1], self.units)


@dataclass(frozen=True)
class StageSettings:
    """One stage: steps `first` up to `last` (not included), what it rounds and what it prunes.

    With `l0` the masks are learned and everything is removed at the end; `prune` sets the share to keep.
    """

    first: int
    last: int
    body_bits: int = 32
    embedding_bits: int = 32
    prune: PruneTarget | None = None
    l0: L0Pruning | None = None

    def removal_steps(self) -> list[int]:
        """The steps after which units are removed, evenly spread, the stage's last among them."""
        if self.prune is None:
            return []
        if self.l0 is not None:
            return [self.last]
        length = self.last - self.first
        return [self.first + length * e // self.prune.events for e in range(1, self.prune.events + 1)]


def iterate_batches(lengths: np.ndarray, batch_size: int, seed: int, first: int, last: int) -> Iterator[np.ndarray]:
    """The batches of steps `first` up to `last`, as examples' numbers; one depends on seed and step alone."""
    per_epoch = steps_per_epoch(len(lengths), batch_size)
    step = first
    while step < last:
        epoch = step // per_epoch
        for batch in length_buckets(lengths, batch_size, seed, epoch)[step % per_epoch :]:
            yield batch
            step += 1
            if step == last:
                return


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Batches in one pass over the data."""
    return -(-examples // batch_size)
