"""Make a teacher: a base checkpoint of a supported family, a new head, and the task's data.

The usual recipe (Devlin et al. 2019, arXiv:1810.04805, A.3): cross entropy, AdamW with weight decay 0.01 on
matrices only, linear warm-up over the first tenth of the steps and linear decay after it, gradients clipped to
norm 1. Labels are the data's own, sorted. Batches are length-bucketed, bf16 where the device computes in it.

It does not search hyperparameters, pick the best epoch by the evaluation data (which would make that figure
optimistic), or resume: fine-tuning is short beside a build. The folder appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast, get_linear_schedule_with_warmup

from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.inference import input_names, predict
from edgepack.task.encoded import Encoded, length_buckets
from edgepack.task.examples import Columns, Dataset, infer_task, read_both, read_labels, show_notes
from edgepack.task.metric import Task
from edgepack.task.tokenize import encode, suggest_max_length
from edgepack.teacher import (
    Checkpoint,
    load_tokenizer,
    load_weights,
    open_checkpoint,
    position_limit,
    quiet_transformers,
)
from edgepack.train import make_accelerator
from edgepack.workspace import publish_folder

WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class FinetuneResult:
    """The new teacher's metric on `n` evaluation examples."""

    metric: float
    n: int


def finetune(
    base: str,
    train: str,
    evaluation: str,
    output: Path,
    *,
    columns: Columns,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    max_length: int | None,
    console: Console,
) -> FinetuneResult:
    """Train a teacher from `base` and save it at `output`; `max_length` None takes it from the data.

    Of hub data sets, `train` is the split of that name and `evaluation` the split `validation`.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"output {output}: exists and is not an empty folder; name a new one")
    task, training, held_out = _read(train, evaluation, columns, console)
    checkpoint = open_checkpoint(base)
    set_seed(seed)
    model = _load_with_new_head(checkpoint, task)
    tokenizer = load_tokenizer(checkpoint, task.name)
    limit = position_limit(checkpoint, tokenizer)
    if max_length is not None and max_length > limit:
        raise InputError(f"max length is {max_length}; {checkpoint.name} allows at most {limit} tokens")
    length = max_length or suggest_max_length(training, held_out, tokenizer, limit)
    encoded = encode(training, task, tokenizer, length)
    accelerator = make_accelerator("auto")
    _train(model, encoded, accelerator, epochs, batch_size, learning_rate, seed, console)
    examples = encode(held_out, task, tokenizer, length)
    logits = predict(model, examples, device=str(accelerator.device))
    metric = float(task.metric(task.statistics(logits, examples).sum(axis=0)))
    _save(model.cpu(), tokenizer, output)
    console.info(f"teacher {output}: {task.metric_name} {metric:.4f} on {len(examples)} evaluation examples")
    return FinetuneResult(metric, len(examples))


def _read(train: str, evaluation: str, columns: Columns, console: Console) -> tuple[Task, Dataset, Dataset]:
    name, pair = infer_task(train, columns)
    task = Task(name, read_labels(train, columns), pair)
    if len(task.labels) < 2:
        raise InputError(f"{train}: its only label is {task.labels[0]!r}; at least 2 are needed")
    training, held_out = read_both(train, evaluation, task, columns)
    show_notes(console, training, held_out)
    return task, training, held_out


def _load_with_new_head(checkpoint: Checkpoint, task: Task) -> PreTrainedModel:
    """The base's encoder with a fresh head; a base that lacks encoder weights is refused."""
    model, info = load_weights(
        checkpoint,
        task.name,
        id2label=dict(enumerate(task.labels)),
        label2id={label: i for i, label in enumerate(task.labels)},
        problem_type=None,  # the base's own must not decide the loss
        ignore_mismatched_sizes=True,
    )
    encoder = f"{model.base_model_prefix}."
    missing = sorted(key for key in info["missing_keys"] if key.startswith(encoder) and ".pooler." not in key)
    if missing:
        raise InputError(f"checkpoint {checkpoint.name}: its weights lack {', '.join(missing[:3])}; not a base model")
    return model


def _train(
    model: PreTrainedModel,
    encoded: Encoded,
    accelerator: Accelerator,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    console: Console,
) -> None:
    """Train `model` in place."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    steps = epochs * -(-len(encoded) // batch_size)
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    schedule = get_linear_schedule_with_warmup(optimizer, int(WARMUP_SHARE * steps), steps)
    names, pad_id = (*input_names(model), "labels"), model.config.pad_token_id or 0
    prepared, optimizer = accelerator.prepare(model.train(), optimizer)
    with console.progress("finetune", steps) as advance:
        for epoch in range(epochs):
            for indices in length_buckets(encoded.lengths, batch_size, seed, epoch):
                batch = {n: t.to(accelerator.device) for n, t in encoded.batch(indices, pad_id).items() if n in names}
                loss = prepared(**batch).loss
                accelerator.backward(loss)
                nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                advance(1, loss=loss.item())
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, output: Path) -> None:
    """Write the teacher beside `output`, then rename."""
    beside = output.resolve().with_name(f".{output.name}.{os.getpid()}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        with quiet_transformers():
            model.save_pretrained(beside)
            tokenizer.save_pretrained(beside)
        publish_folder(beside, output.resolve())
    finally:
        shutil.rmtree(beside, ignore_errors=True)
