"""What a distillation loss may look at, and what every such loss is.

A loss is a frozen dataclass of its settings with one call, `(signals, learned) -> scalar`. Losses that learn maps of
their own (between sizes, between layers) give the maps' first values in `initial`; the training loop trains them
with the student, keeps them in checkpoints and drops them at the end.

A batch may be computed in pieces, so a loss is a mean over something that can be counted: `counted` says over what.
What a loss must know of the whole batch before it can be such a mean, `measure` gives as a mean over tokens; the loop
hands the whole batch's back among the learned values, under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from edgepack.task.scoring import SINGLE_LABEL

# examples; rows: examples, or tokens of one label each; labelled rows; real tokens; pairs of an example's real tokens
Counted = Literal["examples", "rows", "labelled", "tokens", "pairs"]


@dataclass(frozen=True, eq=False)
class Vectors:
    """A layer's queries, keys and values, each `(batch, heads, seq, head_size)`."""

    queries: Tensor
    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class Shapes:
    """Sizes and counts that a learned map needs."""

    student_hidden: int
    teacher_hidden: int
    student_states: int  # layers + 1
    teacher_states: int  # those that are stored
    classes: int = 0  # the task's labels


@dataclass(frozen=True, eq=False)
class Signals:
    """One batch, as student and teacher see it.

    `student_logits`, `teacher_logits` `(n, classes)` and `labels` `(n,)`: one row for each example, or for each
    labelled token. `student_states[i]` `(batch, seq, student_hidden)`: 0 is the embedding's output, `i + 1` layer
    `i`'s. `teacher_states[j]` `(batch, seq, teacher_hidden)`: the states that are stored. `pairs`: which student
    state belongs to which teacher state, as indices into the two. `mask` `(batch, seq)`: 1 for real tokens, 0 for
    padding. `student_vectors[layer]` and `teacher_vectors(layer)`, by the student's layer, are there for a loss that
    sets `needs_vectors`. `progress`: share of the training done, 0 to 1. Of label sets (`problem`) labels are
    `(n, classes)`; of scores they are numbers, NaN where there is none, and `scale` is the standard deviation of the
    teacher's outputs. Of a student that embeds texts (`problem` is the task's name) logits are vectors, and `anchors()`
    `(K, size)` some of the teacher's, always the same ones, of length 1.
    """

    student_logits: Tensor
    teacher_logits: Tensor
    labels: Tensor
    student_states: tuple[Tensor, ...]
    teacher_states: tuple[Tensor, ...]
    pairs: tuple[tuple[int, int], ...]
    mask: Tensor
    progress: float = 0.0
    student_vectors: tuple[Vectors, ...] = ()
    teacher_vectors: Callable[[int], Vectors] | None = None
    problem: str = SINGLE_LABEL
    scale: float = 1.0
    anchors: Callable[[], Tensor] | None = None


@dataclass(frozen=True)
class Loss:
    """Base of all losses; `weight` multiplies what the call returns."""

    weight: float = 1.0
    needs_vectors: ClassVar[bool] = False
    is_prediction: ClassVar[bool] = False  # of the task's own outputs; importance is measured on these alone
    first_token: ClassVar[bool] = False  # of the teacher's states it looks at the first token's alone
    counted: ClassVar[Counted] = "tokens"

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        """The teacher's states that the call looks at: 0 is the embedding's, `i + 1` layer `i`'s.

        `followed`: the layer, of the teacher's `layers`, that each of the student's learns from.
        """
        return set()

    @property
    def follows_map(self) -> bool:
        """Whether the call compares layers that the recipe's `layer_map` pairs."""
        return False

    @property
    def measures(self) -> bool:
        """Whether `measure` gives anything."""
        return False

    def initial(self, shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
        """First values of what this loss learns, by name; most learn nothing."""
        return {}

    def measure(self, signals: Signals, learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means over the real tokens that the call needs of the whole batch, by name, without gradient."""
        return {}

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        """The loss, unweighted, as a scalar."""
        raise NotImplementedError
