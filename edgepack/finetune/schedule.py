"""The learning rate, when a training is over, and which weights are kept.

The rate rises, and falls linearly to zero (Devlin et al. 2019, arXiv:1810.04805, A.3). Where the held-out metric no
longer improves, it falls to zero at once, within a fifth of the steps so far. Where the held-out loss still falls at
the end, the rate rises again for twice as long ("warm restarts", Loshchilov & Hutter 2017, arXiv:1608.03983). So what
is kept is always a model whose rate was let down: at a high rate the metric of a small slice jumps about, and its best
is luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.finetune.settings import COOL_DOWN, FALLING, FALLING_OF_ALL, LEAST_STEPS, SETTLED, WARM_UP, Settings


@dataclass(frozen=True)
class Cycle:
    """One rise and fall of the rate: from step `start`, for `steps`; from step `cool_down` on it falls faster."""

    start: int
    steps: int
    cool_down: int | None = None
    number: int = 0

    @property
    def warm_up(self) -> int:
        """Steps with a rising rate."""
        return max(1, int(WARM_UP * self.steps))


@dataclass(frozen=True)
class Evaluation:
    """After `step` steps: mean training loss since the last one, and loss and metric of the held-out slice, if any.

    `settled`: the rate is low enough to keep these weights.
    """

    step: int
    epoch: float
    training_loss: float
    loss: float | None
    metric: float | None
    settled: bool

    def better_than(self, other: Evaluation) -> bool:
        """Whether the metric is higher, or as high at a lower loss."""
        if self.metric is None or self.loss is None or other.metric is None or other.loss is None:
            return False
        return (self.metric, -self.loss) > (other.metric, -other.loss)


def learning_rate(step: int, settings: Settings, cycle: Cycle) -> float:
    """The rate of step number `step` (from 0)."""
    if cycle.cool_down is not None and step >= cycle.cool_down:
        left = 1 - (step - cycle.cool_down) / (last_step(settings, cycle) - cycle.cool_down)
        return left * _planned_rate(cycle.cool_down, settings, cycle)
    return _planned_rate(step, settings, cycle)


def _planned_rate(step: int, settings: Settings, cycle: Cycle) -> float:
    """The rate where nothing cuts the cycle short."""
    taken = step - cycle.start
    rise, fall = (taken + 1) / cycle.warm_up, (cycle.steps - taken) / max(1, cycle.steps - cycle.warm_up)
    return settings.learning_rate * min(1.0, rise, fall)


def last_step(settings: Settings, cycle: Cycle) -> int:
    """The step that the cycle ends with, as far as is known."""
    end = cycle.start + cycle.steps
    if cycle.cool_down is None:
        return end
    faster = max(settings.evaluate_steps, math.ceil(COOL_DOWN * (cycle.cool_down - cycle.start)))
    return min(end, cycle.cool_down + faster)


def settled(step: int, settings: Settings, cycle: Cycle) -> bool:
    """Whether weights after `step` steps may be kept: the rate is low, or the cycle is over."""
    if step >= last_step(settings, cycle):
        return True
    low = learning_rate(step, settings, cycle) <= SETTLED * settings.learning_rate
    return low and step > cycle.start + cycle.warm_up


def kept(history: Sequence[Evaluation]) -> Evaluation | None:
    """The evaluation whose weights are kept: of the settled ones the best metric, of equal ones the last."""
    judged = [evaluation for evaluation in history if evaluation.settled and evaluation.metric is not None]
    return max(judged, key=lambda evaluation: (evaluation.metric, evaluation.step), default=None)


def stale(history: Sequence[Evaluation]) -> int:
    """Evaluations since the last that was better than all before it."""
    best, since = None, 0
    for evaluation in history:
        improved = best is None or evaluation.better_than(best)
        best, since = (evaluation, 0) if improved else (best, since + 1)
    return since


def starts_cool_down(settings: Settings, cycle: Cycle, history: Sequence[Evaluation]) -> bool:
    """Whether the cycle is cut short after the last of these evaluations."""
    own = [evaluation for evaluation in history if evaluation.step > cycle.start]
    if settings.patience is None or cycle.cool_down is not None or not own:
        return False
    taken = own[-1].step - cycle.start
    return taken >= min(LEAST_STEPS, cycle.steps // 2) and stale(own) >= settings.patience


def next_cycle(settings: Settings, cycle: Cycle, history: Sequence[Evaluation]) -> Cycle | None:
    """The cycle that follows, twice as long, where the held-out loss still falls at the end of this one.

    Over the last third it fell by a share of itself, or of all that it fell: a head that has just begun to learn.
    """
    own = [(e.step, e.loss) for e in history if e.step > cycle.start and e.loss is not None]
    late = [loss for step, loss in own if step >= cycle.start + 2 * cycle.steps // 3]
    if cycle.number >= settings.longer or cycle.cool_down is not None or len(late) < 2:
        return None
    last, fallen = late[-1], late[0] - late[-1]
    falls = fallen > FALLING * late[0] or fallen > FALLING_OF_ALL * (own[0][1] - last)
    if not falls or last > min(loss for _, loss in own):
        return None
    return Cycle(own[-1][0], 2 * cycle.steps, None, cycle.number + 1)
