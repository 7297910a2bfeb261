"""A fresh head on a base: what of it is new, where its last layer is, and what that one's bias begins with.

A fresh bias is 0: each of 28 labels of a set is as likely as not. Adam moves a bias by about the learning rate in a
step, so it takes tens of thousands of them to where labels are rare; the encoder makes up for it sooner, and loses what
it knew. So for label sets the bias begins where it would end if texts said nothing: at the labels' shares in the
training data (as Lin et al. 2017, arXiv:1708.02002, section 4.1, do with one prior for all). For tags no gain was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from edgepack.finetune.loop import class_weights
from edgepack.finetune.settings import Settings
from edgepack.task.encoded import Encoded
from edgepack.task.scoring import recorded_problem
from edgepack.task.task import Task
from edgepack.teacher import Checkpoint, check_base, load_weights
from edgepack.teacher.weights import POOLER, key_names

UNSEEN = 0.5  # what is added to each count: a label that no text has is rare, not impossible


@dataclass(frozen=True, eq=False)
class Beginning:
    """A base with a head for the task, and the names of the weights that are new to the base."""

    model: PreTrainedModel
    fresh: frozenset[str]


def load_with_new_head(checkpoint: Checkpoint, task: Task, seed: int) -> Beginning:
    """The base's encoder with a head for the task.

    New are the weights that the base did not have and, with them, its pooler, which was trained for another task or for
    none (Zhang et al. 2021, arXiv:2006.05987, begin it anew). A head of as many outputs that the base has stays, and
    nothing is new then. A base whose encoder is not all there, or not all used, is an `InputError`.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model, info = load_weights(
            checkpoint,
            task.name,
            id2label=dict(enumerate(task.labels)),
            label2id={label: i for i, label in enumerate(task.labels)},
            problem_type=recorded_problem(task.problem),  # the base's own is another task's
            ignore_mismatched_sizes=True,
        )
    check_base(model, info, checkpoint)
    fresh = key_names([*info["missing_keys"], *info["mismatched_keys"]])
    if fresh:
        fresh.update(name for name, _ in model.named_parameters() if f".{POOLER}" in f".{name}")
    return Beginning(model, frozenset(fresh))


def last_layer(model: PreTrainedModel, outputs: int) -> nn.Linear | None:
    """The linear layer that the head ends in, wherever the class has its encoder; None without one with a bias."""
    encoder = set() if model.base_model is model else set(model.base_model.modules())
    layers = [each for each in model.modules() if isinstance(each, nn.Linear) and each not in encoder]
    if not layers or layers[-1].out_features != outputs or layers[-1].bias is None:
        return None
    return layers[-1]


def begin_at_shares(beginning: Beginning, task: Task, data: Encoded, settings: Settings) -> None:
    """For label sets: set the last bias to the labels' shares, if it is one of the fresh weights."""
    last = last_layer(beginning.model, len(task.labels)) if task.is_multi_label else None
    parameters = dict(beginning.model.named_parameters())
    if last is not None and any(parameters.get(name) is last.bias for name in beginning.fresh):
        with torch.no_grad():
            last.bias.copy_(torch.from_numpy(bias_of(data.labels, settings)))


def bias_of(labels: np.ndarray, settings: Settings) -> np.ndarray:
    """The logits `(classes,)`, fp32, that have the least loss where they are the same for all texts.

    `labels (n, classes)`: label sets, 1 where a text has the label, 0 where not.
    """
    weights = class_weights(settings.class_weights, labels, labels.shape[1])
    shares = (labels.sum(axis=0) + UNSEEN) / (len(labels) + 2 * UNSEEN)
    targets = shares * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    return np.asarray(np.log(weights * targets / (1 - targets)), dtype=np.float32)
