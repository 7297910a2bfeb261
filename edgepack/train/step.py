"""What one step computes: student and teacher as `Signals`, the objective, gradients, importance.

The teacher runs for pieces whose states are not on disk, and for no others; pieces that have no states at all teach
predictions. Its queries, keys and values, where a loss compares them, are its own projections of the state that enters
the layer. Losses are computed in fp32, outside autocast.

A batch in several pieces, or in several processes, is run once more without gradients where a loss must know something
of the whole batch: the earth mover's transport, the teacher's mean square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor

from edgepack.compress.distil.objective import Objective
from edgepack.compress.distil.signals import Signals, Vectors
from edgepack.compress.importance import masks
from edgepack.compress.units import Importance
from edgepack.errors import InputError
from edgepack.student.model import Attention, Student, StudentOutput
from edgepack.task.encoded import IGNORED
from edgepack.task.scoring import REGRESSION, SINGLE_LABEL
from edgepack.task.similarity import EMBEDS
from edgepack.train.batches import Batch
from edgepack.train.processes import UNLABELLED, average
from edgepack.train.raw_text import RawText
from edgepack.train.state_budget import LOOP, NONE
from edgepack.train.teacher_outputs import TeacherOutputs

Forward = Callable[[dict[str, Tensor]], StudentOutput]  # inputs as `Encoded.batch` gives them


@dataclass(frozen=True, eq=False)
class TextStep:
    """The objectives of raw text in one step."""

    raw: RawText
    seed: int
    step: int


@dataclass(frozen=True, eq=False)
class Models:
    """The student and what is stored of its teacher, where they are computed.

    `forward` runs instead of the student's own.
    """

    student: Student
    teacher: TeacherOutputs
    accelerator: Accelerator
    forward: Forward | None = None


@dataclass(frozen=True, eq=False)
class StepTask:
    """What a step computes: losses and what they learn, at which share of the training done.

    `watch`: measure importance too. `text` corrupts what the student reads and adds its objectives.
    """

    objective: Objective
    learned: Mapping[str, Tensor]
    progress: float
    watch: bool = False
    text: TextStep | None = None


@dataclass(frozen=True)
class StepResult:
    """The loss of the whole batch and, where it was measured, importance per head and unit."""

    loss: float
    importance: Importance | None = None


def compute_step(models: Models, pieces: Sequence[Batch], task: StepTask) -> StepResult:
    """Forward and backward of this process's pieces; gradients add up."""
    accelerator, losses = models.accelerator, list[Tensor]()
    if task.objective.measures and (len(pieces) > 1 or accelerator.num_processes > 1):
        task = replace(task, learned={**task.learned, **measure_batch(models, pieces, task)})
    scores: list[list[Tensor]] = []
    for piece in pieces:
        loss, found = _piece_loss(models, piece, task)
        loss.backward()
        losses.append(loss.detach())
        scores.append(found)
    loss = average(torch.stack(losses).sum(), accelerator)
    if not task.watch:
        return StepResult(float(loss))
    summed = [average(torch.stack(parts).sum(0), accelerator).cpu() for parts in zip(*scores, strict=True)]
    sets = len(models.student.config.num_heads or [])
    return StepResult(float(loss), Importance(tuple(summed[:sets]), tuple(summed[sets:])))


def measure_batch(models: Models, pieces: Sequence[Batch], task: StepTask) -> dict[str, Tensor]:
    """What the losses need of the whole batch: its pieces' means, weighed by their tokens."""
    accelerator, objective = models.accelerator, task.objective
    found: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        for piece in pieces:
            if piece.share.source == NONE:
                continue
            batch = _read(with_states(models, piece, objective), task)[0].to(accelerator.device)
            seen = compute_signals(models, batch, task.progress, objective.needs_vectors)
            for name, value in objective.measure(seen, task.learned).items():
                found.setdefault(name, []).append(piece.share.tokens * value.to(accelerator.device))
    return {name: average(torch.stack(parts).sum(0), accelerator) for name, parts in found.items()}


def with_states(models: Models, piece: Batch, objective: Objective) -> Batch:
    """The piece with the teacher's states, computed now where they are not on disk and losses look at them."""
    if piece.share.source != LOOP or not objective.needs_states:
        return piece
    teacher = models.teacher.in_loop
    assert teacher is not None, "states are to be computed, and there is no teacher to run"
    batch = piece.to(models.accelerator.device)
    return replace(piece, teacher_hidden=teacher.run(batch.inputs, batch.aligned))


def _read(piece: Batch, task: StepTask) -> tuple[Batch, Tensor | None]:
    """What the student reads of a piece, and the words that it is to tell where some are masked."""
    return (piece, None) if task.text is None else task.text.raw.corrupt(piece, task.text.seed, task.text.step)


def _piece_loss(models: Models, piece: Batch, task: StepTask) -> tuple[Tensor, list[Tensor]]:
    """The weighted loss of one piece and, where it is measured, the importance of each set's heads and units."""
    student, objective, text = models.student, task.objective, task.text
    blind = piece.share.source == NONE and objective.needs_states
    seen_piece, targets = _read(with_states(models, piece, objective), task)
    batch, weighed = seen_piece.to(models.accelerator.device), piece.share.weigh(objective)
    needs_vectors = objective.needs_vectors and not blind
    scores: list[Tensor] = []
    if task.watch:
        with masks(student, len(batch.inputs["input_ids"])) as (heads, units):
            seen = compute_signals(models, batch, task.progress, needs_vectors)
            gradients = torch.autograd.grad(weighed.prediction(seen), heads + units, retain_graph=True)
        scores = [gradient.abs().sum(0) for gradient in gradients]
    else:
        seen = compute_signals(models, batch, task.progress, needs_vectors)
    loss = _weighed_loss(weighed, seen, task.learned, blind)
    if text is not None and targets is not None:
        loss = loss + text.raw.loss(student, piece, seen.student_states[-1], targets, task.learned, text.step)
    return loss, scores


def _weighed_loss(objective: Objective, seen: Signals, learned: Mapping[str, Tensor], blind: bool) -> Tensor:
    """The weighted sum of all losses; of a piece without states of those that look at predictions."""
    if not blind:
        return objective(seen, learned)
    return objective.prediction(seen) if objective.predicts else seen.student_states[-1].float().sum() * 0.0


def compute_signals(models: Models, batch: Batch, progress: float, needs_vectors: bool) -> Signals:
    """One forward pass of the student, and what is known of the teacher for the same batch."""
    accelerator, teacher = models.accelerator, models.teacher
    forward = models.forward or partial(run_student, models.student)
    inputs = batch.inputs
    mask = inputs["attention_mask"]
    with accelerator.autocast(), recorded_vectors(models.student, needs_vectors) as vectors:
        output = forward(inputs)
    assert output.logits is not None
    assert output.hidden_states is not None
    logits, teacher_logits, labels = output.logits, batch.teacher_logits, inputs["labels"]
    if logits.dim() == 3:
        real = mask.bool()
        scored = labels[real] != IGNORED
        if not scored.any():  # a share of nothing but specials: a mean over no rows would be no number
            scored[0] = True
        logits, teacher_logits, labels = logits[real][scored], teacher_logits[scored], labels[real][scored]
    config = models.student.config
    teacher_states = batch.teacher_hidden.unbind(2) if batch.teacher_hidden is not None else ()

    def teacher_vectors(layer: int) -> Vectors:
        with accelerator.autocast(), torch.no_grad():
            return compute_teacher_vectors(teacher, teacher_states, layer)

    problem = EMBEDS if config.task == EMBEDS else config.problem_type or SINGLE_LABEL
    return Signals(
        problem=problem,
        scale=teacher.scale,
        anchors=lambda: teacher.anchors.to(logits.device),
        student_logits=logits,
        teacher_logits=teacher_logits,
        labels=known_labels(labels, problem),
        student_states=output.hidden_states,
        teacher_states=teacher_states,
        pairs=teacher.pairs,
        mask=mask,
        progress=progress,
        student_vectors=tuple(vectors),
        teacher_vectors=teacher_vectors if needs_vectors else None,
    )


def known_labels(labels: Tensor, problem: str) -> Tensor:
    """Labels as losses have them: −100 where there is none; of scores NaN, also on raw text, which has none."""
    if problem != REGRESSION:
        return labels.masked_fill(labels == UNLABELLED, IGNORED)
    return labels if labels.is_floating_point() else torch.full(labels.shape, torch.nan, device=labels.device)


def run_student(student: Student, inputs: dict[str, Tensor]) -> StudentOutput:
    """The student's own forward pass, with hidden states."""
    ids, mask, types = inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
    output: StudentOutput = student(ids, mask, types, output_hidden_states=True)
    return output


def compute_teacher_vectors(teacher: TeacherOutputs, states: tuple[Tensor, ...], layer: int) -> Vectors:
    """Queries, keys and values of the teacher layer that student layer `layer` came from."""
    if not teacher.attention:
        raise InputError("a loss compares queries, keys and values; load the teacher's outputs with its layers")
    stored = teacher.inputs[layer]
    if stored is None:
        raise InputError(
            f"a loss compares queries, keys and values of layer {layer}, and the state that enters it is not among "
            f"those kept ({', '.join(map(str, teacher.kept.states))}); build again with --fresh"
        )
    attention = teacher.attention[layer]
    state = states[stored].to(attention.output.factors()[0].weight.dtype)
    shape = (attention.num_heads, attention.head_size)
    queries, keys, values = (
        projection(state).unflatten(-1, shape).transpose(1, 2)  # (batch, heads, seq, size)
        for projection in (attention.query, attention.key, attention.value)
    )
    return Vectors(queries, keys, values)


@contextmanager
def recorded_vectors(student: Student, wanted: bool) -> Iterator[list[Vectors]]:
    """A list that gets each layer's queries, keys and values once the block, a forward pass, is over."""
    layers: list[Vectors] = []
    modules = [cast(Attention, module) for module in student.attention] if wanted else []
    for module in modules:
        module.vectors = []
    try:
        yield layers
        used: dict[int, Iterator[tuple[Tensor, Tensor, Tensor]]] = {
            index: iter(module.vectors or []) for index, module in enumerate(modules)
        }
        if wanted:  # layers that share a module filled its list in turn
            layers += [Vectors(*next(used[index])) for index in student.config.attention_sharing or []]
    finally:
        for module in modules:
            module.vectors = None
