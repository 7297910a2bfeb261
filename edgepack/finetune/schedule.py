"""The learning rate, when a training is over, and which weights are kept.

The rate rises, and falls linearly to zero (Devlin et al. 2019, arXiv:1810.04805, A.3). A long training of this kind is
hard to beat, also on few rows (Mosbach et al. 2021, arXiv:2006.04884). Where the held-out metric no longer improves,
the rate falls to zero at once, within a fifth of the steps so far: what is kept is a model whose rate was let down,
also when the training is cut short. At a high rate the metric of a small slice jumps about, and its best is luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.finetune.settings import COOL_DOWN, LEAST_STEPS, SETTLED, Settings


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


def learning_rate(step: int, settings: Settings, cool_down: int | None) -> float:
    """The rate of step number `step` (from 0); `cool_down`: the step from which it falls faster."""
    if cool_down is not None and step >= cool_down:
        left = 1 - (step - cool_down) / (last_step(settings, cool_down) - cool_down)
        return left * learning_rate(cool_down, settings, None)
    rise = (step + 1) / settings.warm_up_steps
    fall = (settings.steps - step) / max(1, settings.steps - settings.warm_up_steps)
    return settings.learning_rate * min(1.0, rise, fall)


def last_step(settings: Settings, cool_down: int | None) -> int:
    """The step that the training ends with, as far as is known."""
    if cool_down is None:
        return settings.steps
    return min(settings.steps, cool_down + max(settings.evaluate_steps, math.ceil(COOL_DOWN * cool_down)))


def settled(step: int, settings: Settings, cool_down: int | None) -> bool:
    """Whether weights after `step` steps may be kept: the rate is low, or there are no later ones."""
    if step >= last_step(settings, cool_down):
        return True
    return (
        step > settings.warm_up_steps and learning_rate(step, settings, cool_down) <= SETTLED * settings.learning_rate
    )


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


def starts_cool_down(settings: Settings, history: Sequence[Evaluation]) -> bool:
    """Whether the training is cut short after the last of these evaluations."""
    if settings.patience is None or not history or history[-1].step < min(LEAST_STEPS, settings.steps // 2):
        return False
    return stale(history) >= settings.patience
