"""Passes: what carving is a list of.

A pass changes one axis of a student's shape, or measures something that later passes need. It states what must hold
before it (`requires`) and what holds after it (`ensures`), and `run_passes` checks both every time, as ONNX IR's passes
do. A pass never changes the student that it is given. It may give one that shares tensors with it, so that a teacher's
layers are not copied with each change of a table; `run_passes` copies what its caller's student would share. Where
there is nothing to do it gives the same student back and says so, so a list can hold every pass there is.

What a pass needs to know of the task is `Evidence`. It travels with the student, since some of it is about units and
changes with them: layers that are merged have their importance summed. Some of it can only be measured on a student
that other passes made, so measurements stand in the list too, each at the place where it is true.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgepack.compress.examples import Examples
from edgepack.compress.hidden_size import HiddenImportance
from edgepack.compress.low_rank import Ranks
from edgepack.compress.surgery import own_tensors
from edgepack.compress.units import Importance
from edgepack.errors import EdgepackError, InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student


@dataclass(frozen=True, eq=False)
class RankChoice:
    """How ranks are chosen instead of taken from the shape: in multiples of `step`, such that `fits` accepts them."""

    step: int
    fits: Callable[[Ranks], bool]


@dataclass(frozen=True, eq=False)
class Goal:
    """The teacher's layers to keep and the shape to reach.

    `rank_weights`: what the error of a factorized matrix is weighed by, one of `compress/low_rank.py`'s. With
    `rank_choice` the shape's own ranks are the parameters to spend, not the ranks.
    """

    layers: tuple[int, ...]
    shape: StudentConfig
    rank_weights: str = "none"
    rank_choice: RankChoice | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of the task, and what was measured on the way; None: not measured, or not there.

    `token_counts (V,)` are uses of the teacher's tokens in training. `examples` are in the teacher's token ids,
    `own_examples` in the student's. `hidden_map (H, kept)` is 1 where a hidden dimension became which.
    """

    token_counts: Tensor | None = None
    seed: int = 0
    examples: Examples | None = None
    own_examples: Examples | None = None
    hidden: HiddenImportance | None = None
    hidden_map: Tensor | None = None
    importance: Importance | None = None
    moments: Mapping[str, Tensor] | None = None
    ranks: Ranks | None = None


@dataclass(frozen=True, eq=False)
class PassResult:
    """The student and the evidence after a pass, and whether it changed either."""

    student: Student
    evidence: Evidence
    changed: bool


class Pass(ABC):
    """One step of carving. `requires` and `ensures` name what is wrong in one sentence; None: nothing."""

    name: ClassVar[str]

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        """What must hold before; most passes can do with any student."""
        return None

    @abstractmethod
    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        """The pass itself."""

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        """What holds after it."""
        return None


class BrokenPromise(RuntimeError):
    """A pass did not do what it promises: a defect of edgepack."""


@dataclass(frozen=True, eq=False)
class Carved:
    """The carved student, the evidence at the end, and the passes that changed something."""

    student: Student
    evidence: Evidence
    changed: tuple[str, ...]


def run_passes(passes: Sequence[Pass], student: Student, goal: Goal, evidence: Evidence) -> Carved:
    """Run the passes in order; an error names the pass and those that were done before it."""
    done: list[str] = []
    changed: list[str] = []
    given = student
    for each in passes:
        where = f"carving, pass {each.name!r} (done before: {', '.join(done) or 'none'})"
        problem = each.requires(student, goal, evidence)
        if problem is not None:
            raise InputError(f"{where}: precondition: {problem}")
        try:
            result = each(student, goal, evidence)
        except EdgepackError as e:
            raise type(e)(f"{where}: {e}") from e
        except Exception as e:
            e.add_note(where)
            raise
        student, evidence = result.student, result.evidence
        problem = each.ensures(student, goal, evidence)
        if problem is not None:
            raise BrokenPromise(f"{where}: postcondition: {problem}")
        done.append(each.name)
        if result.changed:
            changed.append(each.name)
    return Carved(own_tensors(student, given), evidence, tuple(changed))
