"""Several trainings from one start, and the average of their weights.

Where rows are few, no single length and rate is best on all data, and the held-out slice is too small to tell the
good ones apart. So it does not choose: the weights of all trainings that it cannot tell from the best are averaged
(model soups, Wortsman et al. 2022, arXiv:2203.05482), which costs no more to run than one of them. All begin with
the same head, or their weights would have nothing to do with one another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedModel

from edgepack.finetune.checkpoint import State, Training
from edgepack.finetune.loop import DivergedError, Job, held_out_score, train_teacher, weights_of
from edgepack.finetune.schedule import Evaluation
from edgepack.finetune.settings import Settings
from edgepack.task.encoded import Encoded


@dataclass(frozen=True)
class Trial:
    """One of several trainings: what was kept of it, and whether that is part of the average."""

    learning_rate: float
    steps: int
    kept_step: int
    metric: float
    loss: float
    averaged: bool


@dataclass(frozen=True, eq=False)
class Outcome:
    """The training that was best on the held-out slice, the score there of the weights kept, and all trials."""

    best: Training
    settings: Settings
    metric: float | None
    loss: float | None
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, eq=False)
class Member:
    """A finished training and the weights kept of it."""

    settings: Settings
    training: Training
    kept: Evaluation
    weights: State

    @property
    def rank(self) -> tuple[float, float]:
        """Higher is better: the held-out metric, of equal ones the lower loss."""
        return self.kept.metric or 0.0, -(self.kept.loss or 0.0)


def train_trials(model: PreTrainedModel, job: Job, trials: Sequence[Settings]) -> Outcome:
    """Train `model` in place by each of `trials`; it ends with the average of what the held-out slice says is good.

    Every trial has checkpoints of its own, so an interrupted run resumes with the trial that it was in.
    """
    if len(trials) == 1 or job.held_out is None:
        training = train_teacher(model, replace(job, settings=trials[0]))
        kept = _kept(training)
        return Outcome(training, trials[0], kept.metric, kept.loss)
    start, members = weights_of(model), []
    for number, settings in enumerate(trials):
        job.console.info(
            f"training {number + 1} of {len(trials)}: {settings.steps / settings.epoch_steps:.0f} epochs "
            f"{'at most ' if settings.patience is not None else ''}at {settings.learning_rate:g}"
        )
        model.load_state_dict(start)
        scratch = None if job.scratch is None else job.scratch / f"trial-{number}"
        tried = _train(model, replace(job, settings=settings, scratch=scratch))
        if tried is not None:
            members.append(Member(settings, tried, _kept(tried), weights_of(model)))
    if not members:
        raise DivergedError("training diverged at every learning rate tried; give a lower --learning-rate")
    return settle(model, job, job.held_out, members)


def settle(model: PreTrainedModel, job: Job, held_out: Encoded, members: Sequence[Member]) -> Outcome:
    """Put the average of the good members into `model`, or the best alone where their average is clearly worse."""
    best = max(members, key=lambda member: member.rank)
    lowest = best.rank[0] - standard_error(best.rank[0], len(held_out))
    chosen = [member for member in members if member.rank[0] >= lowest]
    model.load_state_dict(average([member.weights for member in chosen]))
    metric, loss = held_out_score(model, job.task, held_out, job.device, job.bf16)
    if metric < lowest:
        chosen = [best]
        model.load_state_dict(best.weights)
        metric, loss = best.kept.metric or 0.0, best.kept.loss or 0.0
    job.console.info(
        f"{len(chosen)} of {len(members)} trainings averaged: held out {job.task.metric_name} {metric:.4f}, "
        f"{best.rank[0]:.4f} of the best alone"
    )
    reported = replace(best.settings, seed=job.settings.seed)
    return Outcome(best.training, reported, metric, loss, tuple(_trial(m, m in chosen) for m in members))


def standard_error(share: float, rows: int) -> float:
    """Of a share of right answers among so many rows; about that of a slice's F1 too."""
    return math.sqrt(max(share * (1 - share), 1 / max(rows, 1)) / max(rows, 1))


def average(states: Sequence[State]) -> State:
    """The mean of each tensor, in the order given; what is no float is the first's."""
    mean: State = {}
    for name, first in states[0].items():
        mean[name] = first
        if first.is_floating_point() and len(states) > 1:
            mean[name] = sum((state[name] for state in states[1:]), start=first) / len(states)
    return mean


def _train(model: PreTrainedModel, job: Job) -> Training | None:
    """The training, None where it diverged: another trial's rate is lower."""
    try:
        return train_teacher(model, job)
    except DivergedError as e:
        job.console.warn(str(e))
        return None


def _kept(training: Training) -> Evaluation:
    step = training.step if training.best_step is None else training.best_step
    return next(evaluation for evaluation in training.history if evaluation.step == step)


def _trial(member: Member, averaged: bool) -> Trial:
    return Trial(
        learning_rate=member.settings.learning_rate,
        steps=member.training.step,
        kept_step=member.kept.step,
        metric=member.kept.metric or 0.0,
        loss=member.kept.loss or 0.0,
        averaged=averaged,
    )
