"""The one training loop: distillation, with pruning and rounding inside it.

A build trains one student along one learning-rate schedule (linear warm-up, linear decay to zero over
`total_steps`), cut into stages: `distil` on the carved shape, `prune` removes heads and FFN units step by
step on the way to the plan's shape, `quantize` trains with the plan's bit widths. Each stage is a call of
`train` over its own range of steps; weights and optimizer moments pass from one to the next.

Batches are a function of (seed, epoch), there is no dropout (the teacher's soft targets regularize), and
teacher outputs come from disk. So a step depends on the step's number and the state before it alone: a run
that goes on from a checkpoint ends with the same bits as one that was never interrupted.

Pruning is first-order: an exponential mean of `|∂loss/∂gate|` per example, from the prediction loss only (the
hidden-state loss would only measure how much a unit is copied; GRAIN, Yang et al. 2022), and a cubic schedule
(Zhu & Gupta 2017, arXiv:1710.01878). Units are removed physically, weights and moments alike.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor

from edgepack.compress.distillation import hidden_state_loss, soft_target_loss
from edgepack.compress.importance import gates
from edgepack.console import Advance, Console
from edgepack.encoding import Encoded, length_buckets
from edgepack.student.carve import Importance, keep_units, slice_state, top_indices
from edgepack.student.model import Student
from edgepack.teacher_outputs import TeacherOutputs

State = dict[str, Tensor]
CHECKPOINT_SECONDS = 30.0
IMPORTANCE_EVERY, IMPORTANCE_DECAY = 4, 0.95


@dataclass(frozen=True)
class Schedule:
    """The whole build's training: steps, learning rate, losses. Stages are ranges of its steps."""

    total_steps: int
    batch_size: int
    peak_lr: float
    warmup: float = 0.06  # share of the steps
    weight_decay: float = 0.01
    temperature: float = 2.0
    logit_weight: float = 1.0
    hidden_weight: float = 1.0
    clip_norm: float = 1.0

    def learning_rate(self, step: int) -> float:
        """Linear up over the warm-up, linear down to zero at the end."""
        rise = max(1.0, self.warmup * self.total_steps)
        fall = (self.total_steps - step) / max(1.0, self.total_steps - rise)
        return self.peak_lr * min((step + 1) / rise, fall)


@dataclass(frozen=True)
class PruneTarget:
    """Final heads and FFN units of each weight set, reached in `events` removals spread over the stage."""

    heads: tuple[int, ...]
    units: tuple[int, ...]
    events: int = 8

    def counts(self, start: tuple[list[int], list[int]], event: int) -> tuple[list[int], list[int]]:
        """Heads and units to have after removal number `event` (from 1): cubic from `start` to the target."""
        left = (1 - event / self.events) ** 3

        def reached(first: list[int], last: tuple[int, ...]) -> list[int]:
            return [round(b + (a - b) * left) for a, b in zip(first, last, strict=True)]

        return reached(start[0], self.heads), reached(start[1], self.units)


@dataclass(frozen=True)
class StageSettings:
    """One stage: steps `first` up to `last` (not included), what it rounds and what it prunes."""

    first: int
    last: int
    body_bits: int = 32
    embedding_bits: int = 32
    prune: PruneTarget | None = None


@dataclass
class Progress:
    """All that a step depends on: the student, the optimizer's moments by parameter name, the step."""

    student: Student
    moments: State
    step: int
    losses: list[float]
    importance: Importance | None = None
    shape_at_start: tuple[list[int], list[int]] | None = None


def make_accelerator(device: str) -> Accelerator:
    """accelerate's view of this machine: `auto`, `cpu` or `cuda`; bf16 wherever the device computes in it."""
    cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    return Accelerator(cpu=cpu, mixed_precision="bf16" if has_bf16(cpu) else "no")


def has_bf16(cpu: bool) -> bool:
    """Whether bf16 matrix products are native here (on older CPUs they are emulated, slower than fp32)."""
    if not cpu:
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def train(
    progress: Progress,
    data: Encoded,
    teacher: TeacherOutputs,
    schedule: Schedule,
    stage: StageSettings,
    *,
    seed: int,
    scratch: Path,
    console: Console,
    accelerator: Accelerator,
    name: str,
) -> Progress:
    """Train from `stage.first` to `stage.last`, from the last checkpoint in `scratch` where there is one."""
    own = replace(progress, student=deepcopy(progress.student), losses=[], importance=None, shape_at_start=None)
    progress = load_progress(scratch / "checkpoint") or own
    if progress.shape_at_start is None:
        config = progress.student.config
        progress.shape_at_start = (list(config.num_heads or []), list(config.intermediate_sizes or []))
    with console.progress(name, stage.last - stage.first, progress.step - stage.first) as advance:
        run = Run(data, teacher, schedule, stage, seed, scratch, accelerator, advance)
        while progress.step < stage.last:
            _run_segment(progress, _next_removal(stage, progress.step), run)
            if stage.prune is not None:
                _remove(progress, stage, stage.prune)
    return progress


def _removal_steps(stage: StageSettings) -> list[int]:
    if stage.prune is None:
        return []
    length = stage.last - stage.first
    return [stage.first + length * e // stage.prune.events for e in range(1, stage.prune.events + 1)]


def _next_removal(stage: StageSettings, step: int) -> int:
    return min([s for s in _removal_steps(stage) if s > step], default=stage.last)


def _remove(progress: Progress, stage: StageSettings, prune: PruneTarget) -> None:
    """Physically remove what the schedule asks for at this step, in weights and moments."""
    assert progress.importance is not None
    assert progress.shape_at_start is not None
    event = _removal_steps(stage).index(progress.step) + 1
    heads, units = top_indices(progress.importance, *prune.counts(progress.shape_at_start, event))
    config = progress.student.config
    split: dict[str, State] = {"exp_avg": {}, "exp_avg_sq": {}}
    for key, value in progress.moments.items():
        name, _, kind = key.rpartition(".")
        split[kind][name] = value
    progress.moments = {
        f"{name}.{kind}": value
        for kind, state in split.items()
        for name, value in slice_state(state, config, heads, units).items()
    }
    progress.student = keep_units(progress.student, heads, units)
    progress.importance = Importance(
        tuple(score[kept] for score, kept in zip(progress.importance.heads, heads, strict=True)),
        tuple(score[kept] for score, kept in zip(progress.importance.units, units, strict=True)),
    )


@dataclass(frozen=True, eq=False)
class Run:
    """What every step of a stage has in hand."""

    data: Encoded
    teacher: TeacherOutputs
    schedule: Schedule
    stage: StageSettings
    seed: int
    scratch: Path
    accelerator: Accelerator
    advance: Advance


def _run_segment(progress: Progress, end: int, run: Run) -> None:
    """Steps of one static shape, up to `end`."""
    stage, schedule, accelerator = run.stage, run.schedule, run.accelerator
    student = progress.student
    student.set_bits(stage.body_bits, stage.embedding_bits)
    student.train()
    optimizer = make_optimizer(student, schedule.weight_decay)
    student.to(accelerator.device)
    restore_moments(student, optimizer, progress.moments, progress.step)
    model, prepared = accelerator.prepare(student, optimizer)
    last_saved = time.monotonic()
    for indices in _batches(run.data, schedule.batch_size, run.seed, progress.step, end):
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate(progress.step)
        share = indices[accelerator.process_index :: accelerator.num_processes]
        watch = stage.prune is not None and progress.step % IMPORTANCE_EVERY == 0
        loss = _step(model, student, share, run, progress, watch)
        accelerator.clip_grad_norm_(student.parameters(), schedule.clip_norm)
        prepared.step()
        prepared.zero_grad()
        progress.step += 1
        progress.losses.append(loss)
        run.advance(1, loss=loss)
        if accelerator.is_main_process and time.monotonic() - last_saved > CHECKPOINT_SECONDS and progress.step < end:
            save_progress(replace(progress, moments=read_moments(student, optimizer)), run.scratch / "checkpoint")
            last_saved = time.monotonic()
    progress.moments = read_moments(student, optimizer)
    accelerator.free_memory()
    progress.student = student.to("cpu")


def _step(
    model: torch.nn.Module, student: Student, indices: np.ndarray, run: Run, progress: Progress, watch: bool
) -> float:
    """Forward, backward; with `watch` also the gates' gradients of the prediction loss. Returns the loss."""
    data, schedule, accelerator = run.data, run.schedule, run.accelerator
    batch = {k: v.to(accelerator.device) for k, v in data.batch(indices, student.config.pad_token_id).items()}
    inputs = (batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
    teacher_logits = run.teacher.batch_logits(data, indices).to(accelerator.device)
    stored = [state for _, state in run.teacher.pairs]
    teacher_hidden = run.teacher.batch_hidden(data, indices)[:, :, stored].to(accelerator.device)
    real = batch["attention_mask"].bool()

    def losses() -> tuple[Tensor, Tensor]:
        output = model(*inputs, output_hidden_states=True)
        logits = output.logits
        if logits.dim() == 3:
            scored = batch["labels"][real] != -100
            prediction = soft_target_loss(logits[real][scored], teacher_logits[scored], schedule.temperature)
        else:
            prediction = soft_target_loss(logits, teacher_logits, schedule.temperature)
        states = [output.hidden_states[i] for i in run.teacher.student_states]
        hidden = hidden_state_loss(states, teacher_hidden, batch["attention_mask"])
        return prediction, hidden

    if watch:
        with gates(student, len(indices)) as (heads, units):
            prediction, hidden = losses()
            gradients = torch.autograd.grad(prediction, heads + units, retain_graph=True)
        _update_importance(progress, [g.abs().sum(0).cpu() for g in gradients], len(heads))
    else:
        prediction, hidden = losses()
    loss = schedule.logit_weight * prediction + schedule.hidden_weight * hidden
    accelerator.backward(loss)
    return float(loss.detach())


def _update_importance(progress: Progress, scores: list[Tensor], num_head_sets: int) -> None:
    new = Importance(tuple(scores[:num_head_sets]), tuple(scores[num_head_sets:]))
    old = progress.importance
    if old is None:
        progress.importance = new
        return

    def mix(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(x * IMPORTANCE_DECAY + y * (1 - IMPORTANCE_DECAY) for x, y in zip(a, b, strict=True))

    progress.importance = Importance(mix(old.heads, new.heads), mix(old.units, new.units))


def _batches(data: Encoded, batch_size: int, seed: int, first: int, last: int) -> Iterator[np.ndarray]:
    """The batches of steps `first` up to `last`; a step's batch depends on seed and step alone."""
    per_epoch = steps_per_epoch(len(data), batch_size)
    step = first
    while step < last:
        epoch = step // per_epoch
        for batch in length_buckets(data.lengths, batch_size, seed, epoch)[step % per_epoch :]:
            yield batch
            step += 1
            if step == last:
                return


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Batches in one pass over the data."""
    return -(-examples // batch_size)


def make_optimizer(student: Student, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019); norms, biases and embeddings are not decayed."""
    decayed = [p for n, p in student.named_parameters() if p.dim() > 1 and not n.startswith("embeddings.")]
    others = [p for n, p in student.named_parameters() if p.dim() <= 1 or n.startswith("embeddings.")]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), eps=1e-6, fused=True)


def read_moments(student: Student, optimizer: torch.optim.Optimizer) -> State:
    """The optimizer's first and second moments by parameter name, on the CPU."""
    moments: State = {}
    for name, parameter in student.named_parameters():
        state = optimizer.state.get(parameter, {})
        for kind in ("exp_avg", "exp_avg_sq"):
            if kind in state:
                moments[f"{name}.{kind}"] = state[kind].detach().cpu().clone()
    return moments


def restore_moments(student: Student, optimizer: torch.optim.Optimizer, moments: State, step: int) -> None:
    """Put moments back; `step` counts for Adam's bias correction."""
    for name, parameter in student.named_parameters():
        if f"{name}.exp_avg" in moments:
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device),
                "exp_avg": moments[f"{name}.exp_avg"].to(parameter.device, copy=True),
                "exp_avg_sq": moments[f"{name}.exp_avg_sq"].to(parameter.device, copy=True),
            }


def save_progress(progress: Progress, folder: Path) -> None:
    """Write a checkpoint beside and rename it into place; a kill leaves the old one or the new one."""
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    tensors = {f"moments.{name}": value for name, value in progress.moments.items()}
    tensors |= {f"student.{name}": value.contiguous() for name, value in progress.student.state_dict().items()}
    if progress.importance is not None:
        for kind, scores in asdict(progress.importance).items():
            tensors |= {f"importance.{kind}.{i}": score for i, score in enumerate(scores)}
    save_file(tensors, beside / "progress.safetensors")
    progress.student.config.save_pretrained(beside)
    record = {"step": progress.step, "losses": progress.losses, "shape_at_start": progress.shape_at_start}
    (beside / "progress.json").write_text(json.dumps(record))
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_progress(folder: Path) -> Progress | None:
    """The last checkpoint, also the one set aside when a kill came between two renames; None without one."""
    for candidate in (folder, folder.with_name(f".{folder.name}.old")):
        if not (candidate / "progress.json").exists():
            continue
        record = json.loads((candidate / "progress.json").read_text())
        tensors = load_file(candidate / "progress.safetensors")

        def part(prefix: str, tensors: State = tensors) -> State:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        student = Student(Student.config_class.from_pretrained(candidate))
        student.load_state_dict(part("student."))
        heads, units = part("importance.heads."), part("importance.units.")
        importance = Importance(_in_order(heads), _in_order(units)) if heads else None
        shape = record["shape_at_start"]
        return Progress(
            student, part("moments."), record["step"], record["losses"], importance, tuple(shape) if shape else None
        )
    return None


def _in_order(scores: State) -> tuple[Tensor, ...]:
    return tuple(scores[str(i)] for i in range(len(scores)))
