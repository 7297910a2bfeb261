"""Training on scores: they are learnt with mean 0 and variance 1, and the head is put on the data's scale afterwards.

A fresh head answers about 0 with a spread of its own; scores of 0 to 5, or of 0 to 10,000, would need learning rates of
their own. The last layer is linear, so its weights and bias take the scale back exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from edgepack.errors import InputError
from edgepack.finetune.head import last_layer
from edgepack.finetune.settings import Options
from edgepack.task.encoded import Encoded
from edgepack.task.ranking import spearman
from edgepack.task.task import Task


def refuse_class_options(options: Options) -> None:
    """`InputError` for options that are of classes."""
    if options.label_smoothing:
        raise InputError(
            f"label smoothing is {options.label_smoothing}; scores have no classes to spread it over: leave it out"
        )
    if options.class_weights != "none":
        raise InputError(f"class weights are {options.class_weights}; scores have no classes: leave them out")


def standardized(encoded: Encoded, chosen: np.ndarray, source: str) -> tuple[Encoded, tuple[float, float]]:
    """The scores with mean 0 and variance 1 over the `chosen` examples, and what these were."""
    mean, spread = float(encoded.labels[chosen].mean()), float(encoded.labels[chosen].std())
    if not spread > 0:
        raise InputError(f"{source}: all training examples have the same score, {mean:g}; different ones are needed")
    return replace(encoded, labels=(encoded.labels - mean) / spread), (mean, spread)


def put_on_scale(model: PreTrainedModel, mean: float, spread: float) -> None:
    """Make the last layer answer `spread` times what it answers, and `mean` more."""
    last = score_layer(model)
    with torch.no_grad():
        last.weight.mul_(spread)
        last.bias.mul_(spread).add_(mean)


def score_layer(model: PreTrainedModel) -> nn.Linear:
    """The last layer of the head; `InputError` where it has no bias to shift."""
    last = last_layer(model, 1)
    if last is None:
        raise InputError(
            f"the head of {type(model).__name__} does not end in a linear layer of one output with a bias, as scores "
            "need it; give a base of another family, such as bert or roberta"
        )
    return last


def score_figures(task: Task, logits: np.ndarray, encoded: Encoded) -> dict[str, float]:
    """Spearman's correlation and the mean absolute error; of rankings, and where there are labels, none."""
    if not task.scoring.correlates:
        return {}
    scores = task.decide(logits)
    return {
        "spearman": float(spearman(scores, encoded.labels)),
        "mean_absolute_error": float(np.abs(scores - encoded.labels).mean()),
    }
