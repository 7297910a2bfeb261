"""The loop: steps of one static shape, removals between them, checkpoints, phases' learned maps.

Batches are a function of (seed, epoch), there is no dropout (the teacher's soft targets regularize), and on which
examples the teacher itself runs follows from the step. So a step depends on the step's number and the state before it
alone: a run that resumes from a checkpoint ends with the same bits as one that was never interrupted.

Pruning is first-order: an exponential mean of `|∂loss/∂mask|` per example, from the prediction losses only (a
hidden-state loss would only measure how much a unit is copied; GRAIN, Yang et al. 2022), and a cubic schedule
(Zhu & Gupta 2017, arXiv:1710.01878). Units are removed physically, weights and moments alike.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import Parameter

from edgepack.compress.distil.objective import Objective
from edgepack.compress.distil.signals import Shapes
from edgepack.compress.distil.states import MAP
from edgepack.compress.units import Importance, top_indices
from edgepack.console import Advance, Console
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train.batches import Batch, Reader
from edgepack.train.masks import PREFIX as MASKS
from edgepack.train.masks import MaskTraining, remove_masked, start_masks
from edgepack.train.optimizer import TableGradient, make_optimizer, named_parameters, read_moments, restore_moments
from edgepack.train.processes import average_gradients, piece_tokens
from edgepack.train.progress import Progress, load_progress, save_progress
from edgepack.train.raw_text import PREFIX as TEXT_HEADS
from edgepack.train.raw_text import RawText
from edgepack.train.replacing import Replacing, fill_gradients
from edgepack.train.schedule import Schedule, StageSettings, iterate_batches
from edgepack.train.step import Forward, Models, StepResult, StepTask, TextStep, compute_step
from edgepack.train.teacher_outputs import TeacherOutputs

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 30.0
IMPORTANCE_EVERY, IMPORTANCE_DECAY = 4, 0.95


@dataclass(frozen=True, eq=False)
class Material:
    """What is trained on: examples in the student's token ids, and the teacher's outputs on them."""

    data: Encoded
    teacher: TeacherOutputs


@dataclass(frozen=True, eq=False)
class Course:
    """How it is trained: the build's schedule, the stage of it that is run, the seed, and what methods change.

    `replacing`: the teacher's layers stand in for some of the student's. `raw_text`: the data is raw text, with
    objectives of its own.
    """

    schedule: Schedule
    stage: StageSettings
    seed: int
    replacing: Replacing | None = None
    raw_text: RawText | None = None


@dataclass(frozen=True, eq=False)
class Place:
    """Where it is trained: device and processes, the folder of checkpoints, the console and the stage's name there."""

    accelerator: Accelerator
    scratch: Path
    console: Console
    name: str


@dataclass(frozen=True, eq=False)
class Run:
    """What every step of a stage has in hand; what the course replaces is on the place's device."""

    material: Material
    course: Course
    place: Place
    advance: Advance

    def reader(self, student: Student, objective: Objective) -> Reader:
        """Reads this process's share of the batches, and of the teacher what the objective looks at."""
        config, accelerator = student.config, self.place.accelerator
        return Reader(
            self.material.data,
            self.material.teacher,
            pad_id=config.pad_token_id or 0,
            longest=config.max_position_embeddings,
            most_tokens=piece_tokens(accelerator.device),
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            pinned=accelerator.device.type == "cuda",
            states=objective.needs_states,
            without_states=objective.predicts or self.course.raw_text is not None,
            seed=self.course.seed,
        )


def train(progress: Progress, material: Material, course: Course, place: Place) -> Progress:
    """Train a copy from the stage's first step to its last, from the last checkpoint in the place where there is one.

    Several processes (accelerate's) train together and return the same; the main one alone writes.
    """
    own = replace(
        progress, student=deepcopy(progress.student), losses=[], importance=None, shape_at_start=None, clipped=0
    )
    progress = load_progress(place.scratch / "checkpoint") or own
    place.accelerator.wait_for_everyone()  # all have read the checkpoint before the main process writes the next
    if progress.shape_at_start is None:
        config = progress.student.config
        progress.shape_at_start = (list(config.num_heads or []), list(config.intermediate_sizes or []))
    stage, schedule, raw_text = course.stage, course.schedule, course.raw_text
    if raw_text is not None and not any(key.startswith(TEXT_HEADS) for key in progress.learned):
        progress.learned = {**progress.learned, **raw_text.initial(progress.student, course.seed)}
    with place.console.progress(place.name, stage.last - stage.first, progress.step - stage.first) as advance:
        run = Run(*_on_device(material, course, place.accelerator.device), place, advance)
        removals = stage.removal_steps()
        while progress.step < stage.last:
            begin_phase(progress, run)
            stops = [step for step in (*removals, *schedule.phase_ends()) if step > progress.step]
            _run_segment(progress, min(stops, default=stage.last), run)
            if stage.prune is not None and progress.step in removals:
                _remove(progress, removals.index(progress.step) + 1, stage)
    if progress.step >= schedule.total_steps:
        forget_learned(progress)
    if progress.losses and schedule.clip_norm:
        share = progress.clipped / len(progress.losses)
        place.console.info(
            f"{place.name}: gradients were cut to norm {schedule.clip_norm:g} in {share:.0%} of the steps"
        )
    return progress


def _on_device(material: Material, course: Course, device: torch.device) -> tuple[Material, Course]:
    """Both with the teacher's modules on the device."""
    replacing = course.replacing.to(device) if course.replacing is not None else None
    return replace(material, teacher=material.teacher.to(device)), replace(course, replacing=replacing)


def begin_phase(progress: Progress, run: Run) -> None:
    """What this phase's losses learn, at its first values where the phase is new; an earlier phase's is dropped."""
    phase, phases = run.course.schedule.phase_index(progress.step), run.course.schedule.phases
    if any(name.startswith(f"{phase}.") for name in progress.learned):
        return
    forget_learned(progress, tuple(f"{earlier}." for earlier in range(len(phases))))
    config, teacher = progress.student.config, run.material.teacher
    stored = len(teacher.kept.states)
    shapes = Shapes(config.hidden_size, teacher.hidden_size, config.num_hidden_layers + 1, stored, config.outputs)
    learned = Objective(phases[phase].losses).learned(shapes, run.course.seed + phase)
    if progress.hidden_map is not None:  # the student's dimensions are known: better than the first ones of all
        learned = {k: progress.hidden_map.clone() if k.endswith(f".{MAP}") else v for k, v in learned.items()}
    progress.learned |= {f"{phase}.{name}": value for name, value in learned.items()}


def forget_learned(progress: Progress, prefixes: tuple[str, ...] = ("",)) -> None:
    """Drop what losses and methods learned under names that begin so (default: all), and its moments."""
    dropped = tuple(f"learned.{prefix}" for prefix in prefixes)
    progress.learned = {name: value for name, value in progress.learned.items() if not name.startswith(prefixes)}
    progress.moments = {name: value for name, value in progress.moments.items() if not name.startswith(dropped)}


def _remove(progress: Progress, event: int, stage: StageSettings) -> None:
    """Physically remove what the schedule asks for at removal number `event`."""
    assert stage.prune is not None
    assert progress.shape_at_start is not None
    if stage.l0 is not None:
        remove_masked(progress, stage.prune)
        forget_learned(progress, (MASKS,))
        return
    assert progress.importance is not None
    prune = stage.prune
    progress.keep(*top_indices(progress.importance, *prune.counts(progress.shape_at_start, event)))


@dataclass(frozen=True, eq=False)
class Segment:
    """Steps of one shape and one phase: the student on its device, and all that is learned, with its optimizer."""

    student: Student
    learned: dict[str, Parameter]
    parameters: dict[str, Parameter]
    optimizer: torch.optim.Optimizer
    table_gradient: TableGradient
    masks: MaskTraining | None

    def snapshot(self, progress: Progress) -> Progress:
        """What a checkpoint of the present step holds."""
        values = {name: value.detach().cpu().clone() for name, value in self.learned.items()}
        moments = read_moments(self.parameters, self.optimizer)
        if self.masks is not None:
            values, moments = {**values, **self.masks.values()}, {**moments, **self.masks.moments()}
        return replace(progress, moments=moments, learned=values)

    def update(self, course: Course, step: int, accelerator: Accelerator) -> bool:
        """Move all that is learned by the gradients that a step has left; whether they were cut to the clip norm."""
        self.table_gradient.gather()
        mask_values = self.masks.parameters.values() if self.masks is not None else ()
        average_gradients([*self.parameters.values(), *mask_values], accelerator)
        limit = course.schedule.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), limit)
        for group in self.optimizer.param_groups:
            group["lr"] = course.schedule.learning_rate(step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.masks is not None:
            self.masks.step()
        return bool(norm > limit)


def _start_segment(progress: Progress, run: Run) -> Segment:
    """The student in the stage's bit widths, with the optimizer's moments where they were."""
    course, device = run.course, run.place.accelerator.device
    student = progress.student.to(device)
    student.set_bits(course.stage.body_bits, course.stage.embedding_bits)
    student.train()
    masks = start_masks(progress, course.stage, course.seed, device)
    # sorted, as in a checkpoint: the sum of squares that gradients are clipped by depends on the order
    own = {name: value for name, value in sorted(progress.learned.items()) if not name.startswith(MASKS)}
    learned = {name: Parameter(value.to(device, copy=True)) for name, value in own.items()}
    parameters = named_parameters(student, learned)
    optimizer = make_optimizer(student, course.schedule.weight_decay, learned, course.schedule.betas)
    restore_moments(parameters, optimizer, progress.moments)
    progress.moments = {}  # the optimizer has them now
    return Segment(student, learned, parameters, optimizer, TableGradient(student, device), masks)


def _run_segment(progress: Progress, end: int, run: Run) -> None:
    """Steps of one static shape and one phase, up to `end` or the stage's last."""
    course, accelerator, scratch = run.course, run.place.accelerator, run.place.scratch
    end, segment = min(end, course.stage.last), _start_segment(progress, run)
    last_saved = time.monotonic()
    lengths, schedule = run.material.data.lengths, course.schedule
    batches = iterate_batches(lengths, schedule.batch_size, course.seed, progress.step, end)
    objective = Objective(schedule.phases[schedule.phase_index(progress.step)].losses)
    for pieces in run.reader(segment.student, objective).read_ahead(batches, progress.step):
        masked = segment.masks.sampled(segment.student, progress.step) if segment.masks is not None else nullcontext()
        with masked:
            result = _step(progress, pieces, run, segment.learned)
        if result.importance is not None:
            progress.importance = mix_importance(progress.importance, result.importance)
        progress.clipped += segment.update(course, progress.step, accelerator)
        progress.step += 1
        progress.losses.append(result.loss)
        run.advance(1, loss=result.loss)
        if accelerator.is_main_process and time.monotonic() - last_saved > CHECKPOINT_SECONDS and progress.step < end:
            save_progress(segment.snapshot(progress), scratch / "checkpoint")
            log.debug("%s: checkpoint at step %d, loss %.4g", run.place.name, progress.step, result.loss)
            last_saved = time.monotonic()
    segment.table_gradient.end()
    finished = segment.snapshot(progress)
    progress.moments, progress.learned = finished.moments, finished.learned
    progress.student = segment.student.to("cpu")


def _step(progress: Progress, pieces: list[Batch], run: Run, learned: dict[str, Parameter]) -> StepResult:
    """One step's gradients under the phase's objective."""
    course, student, step = run.course, progress.student, progress.step
    share, phase = step / course.schedule.total_steps, course.schedule.phase_index(step)
    own: dict[str, Tensor] = {name.removeprefix(f"{phase}."): value for name, value in learned.items()}
    pruning = course.stage.prune is not None and course.stage.l0 is None
    watch = pruning and (step % IMPORTANCE_EVERY == 0 or progress.importance is None)
    forward: Forward | None = None
    if course.replacing is not None and not watch:
        successors = course.replacing.draw(course.seed, step, share)
        forward = partial(course.replacing.forward, student, successors=successors)
    text = TextStep(course.raw_text, course.seed, step) if course.raw_text is not None else None
    task = StepTask(Objective(course.schedule.phases[phase].losses), own, share, watch, text)
    result = compute_step(Models(student, run.material.teacher, run.place.accelerator, forward), pieces, task)
    if course.replacing is not None:
        fill_gradients(student)
    return result


def mix_importance(old: Importance | None, new: Importance) -> Importance:
    """The exponential mean of importance, with one more step's."""
    if old is None:
        return new

    def mix(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(x * IMPORTANCE_DECAY + y * (1 - IMPORTANCE_DECAY) for x, y in zip(a, b, strict=True))

    return Importance(mix(old.heads, new.heads), mix(old.units, new.units))
