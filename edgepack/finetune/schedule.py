"""The learning rate, and when a training is over.

A training of given length warms up and falls linearly to zero (Devlin et al. 2019, arXiv:1810.04805, A.3). One without
keeps its rate until the held-out metric has not improved for `patience` evaluations, and only then lets it fall: the
length need not be known before ("warm-up, stable, decay", Hu et al. 2024, arXiv:2404.06395), and what is kept is
always a model whose rate was let down, which is worth more than one stopped at the full rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.finetune.settings import Settings


@dataclass(frozen=True)
class Evaluation:
    """After `step` steps: mean training loss since the last one, and loss and metric of the held-out slice, if any."""

    step: int
    epoch: float
    training_loss: float
    loss: float | None
    metric: float | None

    @property
    def rank(self) -> tuple[float, float]:
        """What is compared: the metric, of equal ones the loss."""
        if self.metric is None or self.loss is None:
            raise ValueError(f"nothing judged step {self.step}")
        return self.metric, -self.loss


def learning_rate(step: int, settings: Settings, cool_down: int | None) -> float:
    """The rate of step number `step` (from 0); `cool_down`: the step at which it began to fall."""
    rise = min(1.0, (step + 1) / settings.warm_up_steps)
    if settings.steps is not None:
        fall = (settings.steps - step) / max(1, settings.steps - settings.warm_up_steps)
        return settings.learning_rate * min(rise, fall)
    if cool_down is None or step < cool_down:
        return settings.learning_rate * rise
    return settings.learning_rate * rise * (1 - (step - cool_down) / settings.cool_down_steps(cool_down))


def last_step(settings: Settings, cool_down: int | None) -> int:
    """The step that the training ends with, as far as is known."""
    if settings.steps is not None or cool_down is None:
        return settings.last_step
    return cool_down + settings.cool_down_steps(cool_down)


def best(history: Sequence[Evaluation]) -> Evaluation:
    """The evaluation whose weights are kept; of equal ones the first."""
    return max(history, key=lambda evaluation: evaluation.rank)


def stale(history: Sequence[Evaluation]) -> int:
    """Evaluations since the best one."""
    return len(history) - 1 - history.index(best(history)) if history else 0


def starts_cool_down(step: int, settings: Settings, history: Sequence[Evaluation]) -> bool:
    """Whether the rate begins to fall after this evaluation."""
    if settings.steps is not None:
        return False
    tired = settings.patience is not None and stale(history) >= settings.patience and step >= settings.least_steps
    return tired or step >= settings.most_steps


def stops_early(settings: Settings, history: Sequence[Evaluation]) -> bool:
    """Whether a training of given length ends here, as `--patience` asks."""
    return settings.steps is not None and settings.patience is not None and stale(history) >= settings.patience
