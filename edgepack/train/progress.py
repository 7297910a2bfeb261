"""What a training step depends on, and checkpoints of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from edgepack.compress.surgery import State
from edgepack.compress.units import Importance, keep_units, slice_state
from edgepack.errors import InputError, reason
from edgepack.student.model import Student
from edgepack.train.optimizer import MOMENTS, STEP
from edgepack.workspace import Stage

RESULT = "result"  # what a training stage hands on: weights, optimizer moments, step


@dataclass
class Progress:
    """All that a step depends on: the student, the optimizer's moments by parameter name, the step.

    `learned`: what the losses of the present phase learn (maps between hidden sizes or layers), by
    `"{phase}.{loss}.{name}"`, and what a method learns over a stage (`l0.…`, `general.…`); their moments stand in
    `moments` under `"learned.{…}"`. `hidden_map (teacher_hidden, student_hidden)`: which of the teacher's hidden
    dimensions the student's are, where some were cut.
    """

    student: Student
    moments: State
    step: int
    losses: list[float]
    importance: Importance | None = None
    shape_at_start: tuple[list[int], list[int]] | None = None
    learned: State = field(default_factory=dict)
    hidden_map: Tensor | None = None
    clipped: int = 0  # of the stage's steps: how many had their gradients cut to the clip norm

    def keep(self, heads: list[Tensor], units: list[Tensor]) -> None:
        """Physically remove all heads and units but the given ones, in weights, moments and importance."""
        assert self.importance is not None
        split: dict[str, State] = {kind: {} for kind in (*MOMENTS, STEP)}
        for key, value in self.moments.items():
            name, _, kind = key.rpartition(".")
            split[kind][name] = value
        self.moments = {
            f"{name}.{kind}": value
            for kind, state in split.items()
            for name, value in (
                state if kind == STEP else slice_state(state, self.student.config, heads, units)
            ).items()
        }
        self.student = keep_units(self.student, heads, units)
        self.importance = Importance(
            tuple(score[kept] for score, kept in zip(self.importance.heads, heads, strict=True)),
            tuple(score[kept] for score, kept in zip(self.importance.units, units, strict=True)),
        )


def save_progress(progress: Progress, folder: Path) -> None:
    """Write a checkpoint under another name, then rename it; a kill leaves the old one or the new one."""
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    tensors = {f"moments.{name}": value for name, value in progress.moments.items()}
    tensors |= {f"student.{name}": value for name, value in progress.student.state_dict().items()}
    tensors |= {f"learned.{name}": value for name, value in progress.learned.items()}
    if progress.hidden_map is not None:
        tensors["hidden_map"] = progress.hidden_map
    if progress.importance is not None:
        for kind, scores in asdict(progress.importance).items():
            tensors |= {f"importance.{kind}.{i}": score for i, score in enumerate(scores)}
    laid_out = {name: value.contiguous() for name, value in tensors.items()}  # factors and their moments may not be
    save_file(laid_out, beside / "progress.safetensors")
    progress.student.config.save_pretrained(beside)
    record = {name: getattr(progress, name) for name in ("step", "losses", "shape_at_start", "clipped")}
    (beside / "progress.json").write_text(json.dumps(record))
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_progress(folder: Path) -> Progress | None:
    """The last checkpoint, also the one set aside when a kill came between two renames; None without one.

    `InputError` for one that is broken, as a disk that lost power leaves it.
    """
    for candidate in (folder, folder.with_name(f".{folder.name}.old")):
        if not (candidate / "progress.json").exists():
            continue
        try:
            return _load(candidate)
        except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as e:
            raise InputError(
                f"{candidate}: the checkpoint of a training is not readable: {reason(e)}; remove it, and the same "
                "command trains again from the stage before"
            ) from e
    return None


def _load(folder: Path) -> Progress:
    record = json.loads((folder / "progress.json").read_text())
    tensors = load_file(folder / "progress.safetensors")

    def part(prefix: str) -> State:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    student = Student(Student.config_class.from_pretrained(folder))
    student.load_state_dict(part("student."))
    heads, units = part("importance.heads."), part("importance.units.")
    shape = record["shape_at_start"]
    return Progress(
        student,
        part("moments."),
        record["step"],
        record["losses"],
        importance=Importance(_in_order(heads), _in_order(units)) if heads else None,
        shape_at_start=tuple(shape) if shape else None,
        learned=part("learned."),
        hidden_map=tensors.get("hidden_map"),
        clipped=record["clipped"],
    )


def _in_order(scores: State) -> tuple[Tensor, ...]:
    return tuple(scores[str(i)] for i in range(len(scores)))


def write_result(stage: Stage, progress: Progress) -> None:
    """Put what a stage hands on into its folder, and remove the rest: checkpoints, and a record that a kill left."""
    save_progress(progress, stage.scratch / RESULT)
    for path in stage.scratch.iterdir():
        if path.is_file():
            path.unlink()
        elif path.name != RESULT:
            shutil.rmtree(path)


def read_result(stage: Stage) -> Progress:
    """What a finished stage hands on."""
    progress = load_progress(stage.folder / RESULT)
    if progress is None:
        raise InputError(f"stage {stage.name} in {stage.folder} is damaged; build again with --fresh")
    return progress


def training_record(stage: Stage) -> dict[str, Any]:
    """Steps of a finished stage that trained, and the share of them in which gradients were cut; else nothing."""
    try:
        record = json.loads((stage.folder / RESULT / "progress.json").read_bytes())
    except OSError:
        return {}
    steps = len(record["losses"])
    return {"steps": steps, "clipped": round(record["clipped"] / steps, 4)} if steps else {}
