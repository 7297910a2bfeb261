"""How a teacher is trained: what a person asked for, and what the data decides of the rest.

Each rule is a constant with its reason. They were settled on slices of training data that the runs did not train on,
never on evaluation data; `python -m benchmarks finetune-grid` compares them with a grid of lengths and rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgepack.errors import InputError
from edgepack.task.metric import TaskName

ClassWeights = Literal["none", "sqrt", "balanced"]
CLASS_WEIGHTS: tuple[ClassWeights, ...] = ("none", "sqrt", "balanced")

BATCH_SIZE = 32
SMALL_BATCH_SIZE, SMALL_ROWS = 16, 2_000  # few rows: more steps from each pass over them
RATE, RATE_WIDTH, RATE_BATCH = 1.5e-4, 384, 32  # of an encoder 384 wide at batch 32
TAGGING_RATE = 2.0  # times `RATE`: a tagger learns from every word, and its tags are further from what a base knows
SMOOTHING = 0.1  # of text classification; tags are not smoothed, most of them are O
PATIENCE = 4  # evaluations without a better one; then the rate goes down
EVALUATE_STEPS = (50, 1_000)  # between evaluations: an epoch, where it lies within these
LEAST_STEPS = 300  # before the rate goes down: what a fresh head needs, however few rows there are
MOST_EPOCHS = 20  # before the rate goes down
COOL_DOWN = 0.5  # steps with a falling rate for each step before
WARM_UP_STEPS = (50, 500)  # half an epoch, where it lies within these
WARM_UP_SHARE = 0.1  # of a training whose length is given
EPOCHS_UNSEEN = 10  # where nothing can be held out, and no length is given


@dataclass(frozen=True)
class Options:
    """What a person asked for; None is chosen from the data. `held_out`: a share of the training rows, 0 for none."""

    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    patience: int | None = None
    label_smoothing: float | None = None
    class_weights: ClassWeights = "none"
    held_out: float | None = None
    max_length: int | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.class_weights not in CLASS_WEIGHTS:
            raise InputError(f"class weights are {self.class_weights!r}; allowed: {', '.join(CLASS_WEIGHTS)}")
        if self.label_smoothing is not None and not 0 <= self.label_smoothing < 1:
            raise InputError(f"label smoothing is {self.label_smoothing}; allowed: from 0 to below 1")
        if self.held_out is not None and not 0 <= self.held_out <= 0.5:
            raise InputError(f"held out is {self.held_out}; allowed: a share from 0 to 0.5 of the training rows")


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on besides base and data.

    `steps`: a length that was given; None trains until the held-out metric stops improving, for `most_steps` at most,
    and then lets the rate fall. `patience` None never stops a training of given length.
    """

    batch_size: int
    learning_rate: float
    label_smoothing: float
    class_weights: ClassWeights
    seed: int
    epoch_steps: int
    evaluate_steps: int
    warm_up_steps: int
    least_steps: int
    most_steps: int
    steps: int | None
    patience: int | None

    @property
    def last_step(self) -> int:
        """The most steps that the training can take."""
        return self.steps if self.steps is not None else self.most_steps + self.cool_down_steps(self.most_steps)

    def cool_down_steps(self, start: int) -> int:
        """Steps with a falling rate after `start` steps with a full one."""
        return max(self.epoch_steps, math.ceil(COOL_DOWN * start))


def choose(options: Options, task: TaskName, width: int, rows: int, judged: bool) -> Settings:
    """The settings for `rows` training examples and an encoder `width` wide; `judged`: some rows are held out."""
    batch_size = options.batch_size or (SMALL_BATCH_SIZE if rows < SMALL_ROWS else BATCH_SIZE)
    epoch = -(-rows // batch_size)
    epochs = options.epochs if options.epochs is not None or judged else EPOCHS_UNSEEN
    steps = epochs * epoch if epochs is not None else None
    interval = evaluation_interval(epoch)
    most = interval * -(-max(LEAST_STEPS, MOST_EPOCHS * epoch) // interval)  # the rate begins to fall at an evaluation
    patience = options.patience if options.patience is not None or steps is not None else PATIENCE
    return Settings(
        batch_size=batch_size,
        learning_rate=options.learning_rate or choose_rate(task, width, batch_size),
        label_smoothing=choose_smoothing(task) if options.label_smoothing is None else options.label_smoothing,
        class_weights=options.class_weights,
        seed=options.seed,
        epoch_steps=epoch,
        evaluate_steps=interval,
        warm_up_steps=_between(epoch // 2, WARM_UP_STEPS) if steps is None else max(1, int(WARM_UP_SHARE * steps)),
        least_steps=LEAST_STEPS,
        most_steps=most,
        steps=steps,
        patience=patience,
    )


def choose_rate(task: TaskName, width: int, batch_size: int) -> float:
    """The peak rate: as 1 / width (Adam's rate for hidden matrices in µP, Yang et al. 2022), as √batch size."""
    rate = RATE * RATE_WIDTH / width * math.sqrt(batch_size / RATE_BATCH)
    return float(f"{rate * (TAGGING_RATE if task == 'token-classification' else 1.0):.3g}")


def choose_smoothing(task: TaskName) -> float:
    """The share of each target that is spread over all classes."""
    return SMOOTHING if task == "text-classification" else 0.0


def evaluation_interval(epoch: int) -> int:
    """Steps between evaluations: whole epochs, or an equal part of one."""
    low, high = EVALUATE_STEPS
    return epoch * -(-low // epoch) if epoch < low else -(-epoch // -(-epoch // high))


def _between(value: int, limits: tuple[int, int]) -> int:
    return min(max(value, limits[0]), limits[1])
