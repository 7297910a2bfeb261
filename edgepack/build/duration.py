"""How long training takes on this machine: a few steps of the planned student, timed before anything is trained.

Timed are the teacher's forward pass (for what is stored and what it answers in the loop), and the student's forward
and backward pass with AdamW's step, with and without rounding, on batches of the task's own examples. Each counts as
often as the recipe asks for it. Not in it are what single methods add (pruning, the teacher's layers instead of the
student's, steps on raw text, a masked-word model), export and validation. It holds for a machine that is as busy as it
is now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgepack.build.data_plan import DataPlan
from edgepack.build.inputs import Inputs
from edgepack.build.recipe import make_schedule, make_stages
from edgepack.build.training_data import in_student_ids
from edgepack.inference import predict, torch_batch
from edgepack.machine.memory import return_free_memory
from edgepack.plan.candidate import Candidate
from edgepack.student.config import changed_config
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded, length_buckets
from edgepack.train import has_bf16, make_accelerator, make_optimizer

BATCHES = 4  # of every length that there is, as they are cut from examples drawn at random
BATCH_TOKENS = 2048  # of one batch at most: longer texts are timed in smaller batches


@dataclass(frozen=True)
class TrainingTime:
    """What a recipe makes of the plan: examples seen, steps, and about how many seconds they take here."""

    examples: int
    steps: int
    seconds: float


def estimate_training(inputs: Inputs, chosen: Candidate, data_plan: DataPlan) -> TrainingTime:
    """Time a few steps of each kind, some seconds in all. `data_plan`: on how many tokens the teacher runs."""
    recipe, shape, own = inputs.recipe, chosen.config, inputs.train
    schedule = make_schedule(recipe, chosen.estimated_speed)
    rounded = make_stages(recipe, schedule, shape)["quantize"]
    count = max(1, min(schedule.batch_size, int(BATCH_TOKENS // own.lengths.mean())))
    drawn = np.sort(np.random.default_rng(0).permutation(len(own))[: BATCHES * count])
    sample, asked = own.select(drawn), inputs.teacher_train.select(drawn)
    device = make_accelerator(inputs.request.device).device

    teacher_tokens = sum(outputs.teacher_tokens for outputs in data_plan.all)
    seconds = teacher_seconds(inputs, asked, device) * teacher_tokens / len(sample.input_ids)

    student = Student(changed_config(shape, body_bits=32, embedding_bits=32)).to(device)
    data = in_student_ids(sample, shape, inputs)
    batches = [torch_batch(data, each, shape.pad_token_id or 0) for each in length_buckets(data.lengths, count, 0, 0)]
    widths = (rounded.body_bits, rounded.embedding_bits)
    for bits, steps in (((32, 32), rounded.first), (widths, rounded.last - rounded.first)):
        student.set_bits(*bits)
        seconds += steps * step_seconds(student, batches, device) * schedule.batch_size / count
    return_free_memory()
    return TrainingTime(schedule.total_steps * schedule.batch_size, schedule.total_steps, seconds)


def teacher_seconds(inputs: Inputs, sample: Encoded, device: torch.device) -> float:
    """Of the teacher's forward pass over the sample."""
    teacher, bf16 = inputs.load_runner(), has_bf16(device.type == "cpu")
    return second_time(lambda: predict(teacher, sample, device=str(device), bf16=bf16), device)


def step_seconds(student: Student, batches: Sequence[dict[str, Tensor]], device: torch.device) -> float:
    """Of a training step, as a mean over the batches."""
    optimizer, bf16 = make_optimizer(student.train(), 0.01), has_bf16(device.type == "cpu")

    def work() -> None:
        for batch in batches:
            given = [batch[name].to(device) for name in ("input_ids", "attention_mask", "token_type_ids")]
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                output = student(*given, output_hidden_states=True)
            states = [output.logits, *output.hidden_states]
            torch.stack([state.float().square().mean() for state in states]).sum().backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return second_time(work, device) / len(batches)


def second_time(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of `work` once it is warm."""
    work()
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
