"""How a teacher is trained: what a person asked for, and what the data decides of the rest.

Each rule is a constant with its reason. They were settled on slices of training data that the runs did not train on,
never on evaluation data; `python -m benchmarks finetune-grid` compares them with a grid of lengths and rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from edgepack.errors import InputError, shown
from edgepack.parameters import MOST_SEED
from edgepack.task.read_long import LongTexts
from edgepack.task.task import TaskName

ClassWeights = Literal["none", "sqrt", "balanced"]
CLASS_WEIGHTS: tuple[ClassWeights, ...] = ("none", "sqrt", "balanced")

BATCH_SIZE = 32
SMALL_BATCH_SIZE, SMALL_ROWS = 16, 2_000  # few rows: more steps from each pass over them
RATE, RATE_WIDTH, RATE_BATCH = 1e-4, 384, 32  # of an encoder 384 wide at batch 32; a third and three times are worse
TAGGING_RATE = 1.5  # times `RATE`: tags lie further from what a base knows
FRESH_RATE = 10.0  # times the rate, of weights that are new to the base: 3 and 30 are worse or no better
FRESH_MOST = 2e-3  # of their rate: 1e-3 was best, 3e-3 worse; where the rate itself is higher, theirs is the same
SMOOTHING = 0.1  # of text classification; tags are not smoothed, most of them are O
STEPS = 6_000  # what 77 classes or 39 entity types need to be learnt, within the epochs below
EPOCHS = (3, 20)  # few rows gain from many passes (Mosbach et al. 2021), many rows are learnt in few
LEAST_STEPS = 300  # what a fresh head needs, however few rows there are
PATIENCE = 5  # evaluations without a better one: a metric on some hundred rows stands still for four, then rises
COOL_DOWN = 0.2  # steps with a rate that falls to zero, for each step before, where a training is cut short
SETTLED = 0.5  # of the peak: weights are kept from where the rate is below; above it a good metric is often luck
EVALUATE_STEPS = (50, 1_000)  # between evaluations: an epoch, where it lies within these
WARM_UP = 0.1  # of the steps
FEW_ROWS = 6_000  # below, one training overfits or stops short, and which of both differs by data; more rows forgive
TRIALS = (6, (0.3, 0.6, 1.0))  # their epochs, and their rates as shares of the rate above
TAGGING_TRIALS = (10, (0.67, 1.0, 2.0))  # at lower ones tags are not learnt
TRIAL_SEEDS = 1_000  # between the seeds of trials: other batches, other dropout, the same head


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
    tag_scheme: str | None = None  # of the teacher's tags; "data": as the training data are written
    long_texts: LongTexts | None = None  # None: long texts of words are read in windows, labelled ones are cut

    def __post_init__(self) -> None:
        if self.class_weights not in CLASS_WEIGHTS:
            raise InputError(f"class weights are {self.class_weights!r}; allowed: {', '.join(CLASS_WEIGHTS)}")
        if self.long_texts not in (None, *get_args(LongTexts)):
            raise InputError(f"long texts are {self.long_texts!r}; allowed: {', '.join(get_args(LongTexts))}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning rate is {self.learning_rate}; a finite number above 0 is needed")
        if self.label_smoothing is not None and not 0 <= self.label_smoothing < 1:
            raise InputError(f"label smoothing is {self.label_smoothing}; allowed: from 0 to below 1")
        if not 0 <= self.seed <= MOST_SEED:
            raise InputError(f"seed is {shown(self.seed)}; allowed: 0 to {MOST_SEED}")
        if self.held_out is not None and not 0 <= self.held_out <= 0.5:
            raise InputError(f"held out is {self.held_out}; allowed: a share from 0 to 0.5 of the training rows")


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on besides base and data.

    `steps`: its length, unless `patience` evaluations without a better one cut it short; None never does.
    """

    batch_size: int
    learning_rate: float
    label_smoothing: float
    class_weights: ClassWeights
    seed: int
    epoch_steps: int
    evaluate_steps: int
    warm_up_steps: int
    steps: int
    patience: int | None


def choose(options: Options, task: TaskName, width: int, rows: int, judged: bool) -> Settings:
    """The settings for `rows` training examples and an encoder `width` wide; `judged`: some rows are held out."""
    batch_size = options.batch_size or (SMALL_BATCH_SIZE if rows < SMALL_ROWS else BATCH_SIZE)
    epoch = -(-rows // batch_size)
    steps = choose_steps(epoch) if options.epochs is None else options.epochs * epoch
    chosen_patience = PATIENCE if judged and options.epochs is None else None
    return Settings(
        batch_size=batch_size,
        learning_rate=options.learning_rate or choose_rate(task, width, batch_size),
        label_smoothing=choose_smoothing(task) if options.label_smoothing is None else options.label_smoothing,
        class_weights=options.class_weights,
        seed=options.seed,
        epoch_steps=epoch,
        evaluate_steps=evaluation_interval(epoch),
        warm_up_steps=max(1, int(WARM_UP * steps)),
        steps=steps,
        patience=chosen_patience if options.patience is None else options.patience,
    )


def choose_trials(options: Options, task: TaskName, width: int, rows: int, judged: bool) -> tuple[Settings, ...]:
    """The trainings whose weights are averaged: that of `choose`, and where rows are few, shorter ones.

    Who sets a length or a rate gets one training; who sets a patience has it in each.
    """
    first = choose(options, task, width, rows, judged)
    if rows >= FEW_ROWS or not judged or options.epochs is not None or options.learning_rate is not None:
        return (first,)
    epochs, shares = TAGGING_TRIALS if task == "token-classification" else TRIALS
    steps = max(LEAST_STEPS, epochs * first.epoch_steps)
    others = [
        replace(
            first,
            learning_rate=float(f"{share * first.learning_rate:.3g}"),
            seed=first.seed + TRIAL_SEEDS * number,
            steps=steps,
            warm_up_steps=max(1, int(WARM_UP * steps)),
            patience=options.patience,
        )
        for number, share in enumerate(shares, start=1)
    ]
    return first, *others


def choose_steps(epoch: int) -> int:
    """The steps of a training whose epochs have `epoch` steps."""
    return max(LEAST_STEPS, epoch * _between(round(STEPS / epoch), EPOCHS))


def choose_rate(task: TaskName, width: int, batch_size: int) -> float:
    """The peak rate: as 1 / width (Adam's rate for hidden matrices in µP, Yang et al. 2022), as √(batch size).

    A smaller batch than 32 does not lower it: there is less data then, and fewer steps.
    """
    rate = RATE * RATE_WIDTH / width * math.sqrt(max(1.0, batch_size / RATE_BATCH))
    return float(f"{rate * (TAGGING_RATE if task == 'token-classification' else 1.0):.3g}")


def fresh_factor(rate: float) -> float:
    """How many times the peak `rate` that of weights is which are new to the base."""
    return max(1.0, min(FRESH_RATE, FRESH_MOST / rate))


def choose_smoothing(task: TaskName) -> float:
    """The share of each target that is spread over all classes."""
    return SMOOTHING if task == "text-classification" else 0.0


def evaluation_interval(epoch: int) -> int:
    """Steps between evaluations: whole epochs, or an equal part of one."""
    low, high = EVALUATE_STEPS
    return epoch * -(-low // epoch) if epoch < low else -(-epoch // -(-epoch // high))


def _between(value: int, limits: tuple[int, int]) -> int:
    return min(max(value, limits[0]), limits[1])
