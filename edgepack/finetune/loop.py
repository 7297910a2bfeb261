"""The training: cross entropy (of label sets binary, of scores the squared error) and AdamW.

Gradients are clipped to norm 1, batches are of similar length.

Every step is a function of its number and the state before it: batches follow from seed and epoch, dropout from seed
and step. So a run that resumes from a checkpoint ends as one that was never interrupted: bit for bit on a CPU.

A batch is computed in pieces that fit in memory; the loss is the sum over its examples (or tagged words) divided by
the sum of their class weights, whatever the pieces.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from edgepack.console import Advance, Console
from edgepack.errors import InputError
from edgepack.finetune.checkpoint import State, Training, load_training, save_training
from edgepack.finetune.schedule import Evaluation, kept, last_step, learning_rate, settled, starts_cool_down
from edgepack.finetune.settings import ClassWeights, Settings, fresh_factor
from edgepack.inference import input_names, predict, torch_batch
from edgepack.machine.memory import return_free_memory
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.task import Task
from edgepack.teacher.quiet import quiet_transformers
from edgepack.train.batches import RETURN_EVERY
from edgepack.train.optimizer import read_moments, restore_moments
from edgepack.train.processes import piece_tokens
from edgepack.train.schedule import iterate_batches

WEIGHT_DECAY = 0.01  # of matrices; norms and biases are not decayed
MAX_GRADIENT_NORM = 1.0
CHECKPOINT_SECONDS = 30.0
SHOW_EVERY = 10  # steps between figures on the screen: reading a loss makes a GPU wait


class DivergedError(InputError):
    """The loss is no number any more."""


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained on what; `held_out` None where nothing judges; `scratch` None keeps no checkpoints.

    `fresh`: names of the weights that are new to the base.
    """

    task: Task
    data: Encoded
    held_out: Encoded | None
    settings: Settings
    fresh: frozenset[str]
    device: torch.device
    bf16: bool
    scratch: Path | None
    console: Console


def train_teacher(model: PreTrainedModel, job: Job) -> Training:
    """Train `model` in place, from the last checkpoint where there is one; it ends with the best weights."""
    settings, device = job.settings, job.device
    model.to(device)
    parameters = dict(model.named_parameters())
    optimizer = make_optimizer(parameters, job.fresh, settings.learning_rate)
    found = load_training(job.scratch) if job.scratch is not None else None
    training, weights, moments = found or (Training(), None, {})
    if weights is not None:
        model.load_state_dict(weights)
        restore_moments(parameters, optimizer, moments)
        job.console.info(f"going on after step {training.step}")
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        plain_attention(model, device),
        job.console.progress("finetune", settings.steps, training.step) as advance,
    ):
        _run(model, optimizer, training, job, advance)
    if training.best is not None:
        model.load_state_dict(training.best)
    return training


@contextmanager
def plain_attention(model: PreTrainedModel, device: torch.device) -> Iterator[None]:
    """Attention as plain products while the block trains on a CPU, if transformers chose torch's own function.

    With dropout that function has no fused kernel on a CPU, and a step takes a sixth longer.
    """
    if device.type != "cpu" or model.config._attn_implementation != "sdpa":
        yield
        return
    with quiet_transformers():  # it warns of families that keep theirs
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        with quiet_transformers():
            model.set_attn_implementation("sdpa")


def make_optimizer(parameters: Mapping[str, nn.Parameter], fresh: Collection[str], peak: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101); the schedule sets the rate, times the group's `factor`.

    Weights that are new to the base are trained faster than what it knows, as Howard & Ruder 2018
    (arXiv:1801.06146, section 3.2) give each layer a rate.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        decay, factor = WEIGHT_DECAY if parameter.dim() > 1 else 0.0, fresh_factor(peak) if name in fresh else 1.0
        groups.setdefault((decay, factor), []).append(parameter)
    described = [{"params": some, "weight_decay": decay, "factor": factor} for (decay, factor), some in groups.items()]
    return torch.optim.AdamW(described, lr=0.0, fused=True)


def class_weights(kind: ClassWeights, labels: np.ndarray, classes: int) -> np.ndarray:
    """A weight for each class, float32: 1; or by 1 / frequency (`balanced`), or its root (`sqrt`), mean 1 over rows.

    Of label sets they are the weights of the labels that are there.
    """
    if kind == "none":
        return np.ones(classes, dtype=np.float32)
    sets = labels.ndim == 2
    counts = labels.sum(axis=0) if sets else np.bincount(labels[labels != IGNORED], minlength=classes)
    counts = counts.astype(np.float64)
    weights = np.where(counts > 0, 1 / np.maximum(counts, 1), 0.0) ** (0.5 if kind == "sqrt" else 1.0)
    weights[counts == 0] = weights.max()  # never met in training
    return np.asarray(weights * counts.sum() / (weights * counts).sum(), dtype=np.float32)


def _run(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, training: Training, job: Job, advance: Advance
) -> None:
    """Steps, evaluations and checkpoints until the training is over."""
    settings = job.settings
    weights = torch.from_numpy(class_weights(settings.class_weights, job.data.labels, len(job.task.labels)))
    loss_sum = torch.tensor(training.loss_sum, dtype=torch.float64, device=job.device)
    step, saved = Step(model.train(), optimizer, job, weights.to(job.device)), time.monotonic()
    indices = iterate_batches(job.data.lengths, settings.batch_size, settings.seed, training.step, settings.steps)
    while not training.finished:
        loss = step.take(next(indices), training)
        loss_sum += loss
        training.step += 1
        shown = {"loss": float(loss)} if training.step % SHOW_EVERY == 0 else {}
        advance(1, **shown)
        ended = training.step == last_step(settings, training.cool_down)
        if training.step % settings.evaluate_steps == 0 or ended:
            _judge(model, training, job, float(loss_sum))
            loss_sum.zero_()
            training.finished = ended
            if not ended and training.cool_down is None and starts_cool_down(settings, training.history):
                training.cool_down = training.step
                job.console.info(f"no longer improving: the rate falls until step {last_step(settings, training.step)}")
        if job.device.type == "cpu" and training.step % RETURN_EVERY == 0:
            return_free_memory()
        due = time.monotonic() - saved > CHECKPOINT_SECONDS
        if job.scratch is not None and (due or training.finished):
            training.loss_sum = float(loss_sum)
            moments = read_moments(dict(model.named_parameters()), optimizer)
            save_training(job.scratch, training, weights_of(model), moments)
            saved = time.monotonic()


@dataclass(frozen=True, eq=False)
class Step:
    """Takes steps of a training."""

    model: PreTrainedModel
    optimizer: torch.optim.Optimizer
    job: Job
    weights: Tensor

    def take(self, indices: np.ndarray, training: Training) -> Tensor:
        """One step on the examples `indices`; their loss."""
        job, settings = self.job, self.job.settings
        rate = learning_rate(training.step, settings, training.cool_down)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        torch.manual_seed(int(np.random.SeedSequence((settings.seed, training.step)).generate_state(1)[0]))
        loss = torch.zeros((), device=job.device)
        whole = self._weight(indices)
        for piece in _pieces(job.data, indices, piece_tokens(job.device)):
            part = self._loss(piece) / whole
            part.backward()
            loss += part.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def _weight(self, indices: np.ndarray) -> Tensor:
        """The sum of class weights over what is labelled in a batch."""
        data = self.job.data
        if self.job.task.is_multi_label or self.job.task.is_score:  # each text counts alike, also one without a label
            return torch.tensor(float(len(indices)), device=self.job.device)
        labels = data.labels[data.rows(indices)] if data.per_token else data.labels[indices]
        scored = torch.from_numpy(labels[labels != IGNORED]).to(self.job.device)
        return self.weights[scored].sum().clamp(min=1e-6)  # texts cut before their first word have nothing labelled

    def _loss(self, indices: np.ndarray) -> Tensor:
        """The summed loss of a piece."""
        job, pad_id = self.job, self.model.config.pad_token_id or 0
        batch = {
            name: t.to(job.device, non_blocking=True) for name, t in torch_batch(job.data, indices, pad_id).items()
        }
        labels, names = batch.pop("labels"), input_names(self.model)
        with torch.autocast(job.device.type, torch.bfloat16, enabled=job.bf16):
            logits = self.model(**{name: batch[name] for name in names}).logits
        smoothing = job.settings.label_smoothing
        return summed_loss(logits.float(), labels, job.task, self.weights, smoothing)


def summed_loss(
    logits: Tensor, labels: Tensor, task: Task, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """The summed loss of what is labelled: cross entropy; of label sets the binary one, summed over labels too.

    Of scores it is the squared error.

    Smoothing moves a share of each target to all classes alike, and of label sets half of it to either answer.
    """
    if task.is_multi_label:
        targets = labels.to(logits.dtype) * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="sum")
    if task.is_score:
        return functional.mse_loss(logits[:, 0], labels.to(logits.dtype), reduction="sum")
    return functional.cross_entropy(
        logits.flatten(0, -2),
        labels.flatten(),
        weight=weights,
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=smoothing,
    )


def _judge(model: PreTrainedModel, training: Training, job: Job, loss_sum: float) -> None:
    """Evaluate the held-out slice, keep the weights if they are the best, say so."""
    since = training.history[-1].step if training.history else 0
    training_loss, epoch = loss_sum / (training.step - since), training.step / job.settings.epoch_steps
    if not math.isfinite(training_loss):
        raise DivergedError(
            f"training diverged before step {training.step} at learning rate {job.settings.learning_rate:g}; "
            "give a lower --learning-rate"
        )
    may_keep = settled(training.step, job.settings, training.cool_down)
    if job.held_out is None:
        training.history.append(Evaluation(training.step, epoch, training_loss, None, None, may_keep))
        job.console.info(f"epoch {epoch:.1f}: loss {training_loss:.4f}")
        return
    metric, loss = held_out_score(model, job.task, job.held_out, job.device, job.bf16)
    evaluation = Evaluation(training.step, epoch, training_loss, loss, metric, may_keep)
    training.history.append(evaluation)
    keep = kept(training.history) is evaluation
    if keep:
        training.best, training.best_step = weights_of(model), training.step
    job.console.info(
        f"epoch {epoch:.1f}: loss {training_loss:.4f}, held out {job.task.metric_name} {metric:.4f}"
        f"{', kept so far' if keep else ''}"
    )


def held_out_score(
    model: PreTrainedModel, task: Task, held_out: Encoded, device: torch.device, bf16: bool
) -> tuple[float, float]:
    """Metric and mean loss on examples that are not trained on; thresholds of label sets are found on the same."""
    logits = predict(model, held_out, device=str(device), bf16=bf16)
    scored = held_out.scored
    labels = torch.from_numpy(held_out.labels[scored])
    loss = summed_loss(torch.from_numpy(logits[scored]), labels, task) / max(1, len(labels))
    return task.with_thresholds(logits, held_out).score(logits, held_out), float(loss)


def weights_of(model: PreTrainedModel) -> State:
    """A copy of the weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _pieces(data: Encoded, indices: np.ndarray, most_tokens: int) -> list[np.ndarray]:
    """A batch in parts of at most `most_tokens` padded tokens, or one example."""
    each = max(1, most_tokens // int(data.lengths[indices].max()))
    return np.array_split(indices, -(-len(indices) // each))
