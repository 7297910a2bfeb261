"""Finished stages used again or made again: a result counts only with the bytes that were written.

Hashing takes seconds a gigabyte. Small results are looked at whenever a build finds them; the teacher's hidden states,
gigabytes that only training reads, right before training. A stage that comes out different the second time
takes with it what was made from the first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.machine.memory import return_free_memory
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.train import Progress, read_result, training_record
from edgepack.train.teacher_outputs import HIDDEN_FILE
from edgepack.workspace import Stage, Workspace

log = logging.getLogger(__name__)

WITHOUT_TRAINING = ("export-", "validate-")  # beginnings of the names of stages that train nothing


def is_usable(stage: Stage, console: Console, leave: Collection[str] = (HIDDEN_FILE,)) -> bool:
    """Whether a finished result is there and undamaged; says so where it is damaged. `leave`: files not looked at."""
    if not stage.done:
        return False
    damaged = stage.damaged(leave)
    log.debug("stage %s was found under the key %s", stage.name, stage.key)
    if damaged is not None:
        console.warn(f"stage {stage.name} is damaged: {damaged} is not what was written; it is made again")
    return damaged is None


def make_stage(stage: Stage, work: Callable[[Stage], None], workspace: Workspace) -> None:
    """Have `work` fill the stage's scratch folder and finish it, in place of a damaged result where there is one."""
    before = stage.record.files if stage.done else {}
    log.debug("stage %s is made under the key %s in %s", stage.name, stage.key, stage.scratch)
    work(stage)
    made = stage.finish().files
    if any(made.get(name) != entry for name, entry in before.items()):
        workspace.forget_after(stage.key)
    return_free_memory()


def refuse_training(stage: Stage, workspace: Workspace) -> None:
    """`InputError` where the stage cannot be made without training, for commands that train nothing."""
    if not stage.name.startswith(WITHOUT_TRAINING):
        state = "damaged" if stage.done else "not finished for these inputs and this version"
        raise InputError(f"output {workspace.root}: stage {stage.name} is {state}; run `edgepack build` again")


def start_after(stage: Stage) -> Progress:
    """Where training resumes; the stage on raw text had a schedule of its own."""
    done = read_result(stage)
    return Progress(done.student, {}, 0, [], hidden_map=done.hidden_map) if stage.name == "general" else done


def rounded_student(trained: Progress, shape: StudentConfig) -> Student:
    """A trained student as files will hold it, in the bit widths of `shape`."""
    student = trained.student.eval()
    student.set_bits(shape.body_bits, shape.embedding_bits)
    student.round_vectors()
    return student


def stage_record(stage: Stage) -> dict[str, Any]:
    """A finished stage in a build's manifest; of training, in how many of its steps gradients were cut."""
    return {"name": stage.name, "key": stage.key, "seconds": stage.record.seconds, **training_record(stage)}
