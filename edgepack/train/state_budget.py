"""Which of the teacher's hidden states are kept on disk, and for which examples the teacher runs in the loop instead.

Logits of all examples are always kept: they are small. Of the states only those are needed that the losses look at, and
only in phases that have such losses. The first of these that fits is chosen:

1. fp16 states of every example that training sees;
2. the same in int8, half the bytes;
3. int8 states of as many examples as fit, those that are seen most often first. For the others the teacher runs in the
   loop, in each step on a share of them that follows from seed and step. The share is as large as it can be
   while the teacher takes no longer than the student's own training, so no layer is ever dropped, no example either,
   and each has its turn.

All of it follows from the sizes of both models, the data and the budget, and from no clock: a build that is run again
chooses the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.compress.distil.objective import Objective
from edgepack.parameters import format_size
from edgepack.train.schedule import Schedule, iterate_batches
from edgepack.train.state_file import StateFormat, row_bytes

DISK, LOOP, NONE = range(3)  # where an example's states come from in a step
LOOP_TIME = 1.0  # the teacher in the loop takes at most so long, as a multiple of the student's own training
LEAST_STORED = 0.05  # where less of what training sees fits, gigabytes for it are not worth it
TRAINING = 4.0  # multiply-adds of a training step, as a multiple of the student's forward pass: measured, with losses
HEADER_BYTES = 128  # of a .npy file of a few dimensions


@dataclass(frozen=True)
class StateNeeds:
    """The teacher's states that losses look at (0: the embedding's, `i + 1`: layer `i`'s), of which tokens."""

    states: tuple[int, ...]
    hidden_size: int
    first_token: bool = False

    def rows(self, lengths: np.ndarray) -> np.ndarray:
        """Rows of each example: its tokens, or 1."""
        return np.ones_like(lengths) if self.first_token else lengths

    def row_bytes(self, form: StateFormat) -> int:
        """Bytes of a token's states, or of an example's."""
        return row_bytes(len(self.states), self.hidden_size, form)


@dataclass(frozen=True, eq=False)
class KeptStates:
    """What is kept on disk of the teacher's states, and how the rest is come by.

    `examples`: which have theirs on disk, ascending; None: all. `loop_share`: of a batch's other examples, on how many
    the teacher runs in the loop.
    """

    states: tuple[int, ...]
    form: StateFormat = "fp16"
    first_token: bool = False
    examples: np.ndarray | None = None
    loop_share: float = 0.0

    def first_rows(self, lengths: np.ndarray) -> np.ndarray:
        """For each example its first row in the file, −1 where it has none."""
        stored = np.ones(len(lengths), bool)
        if self.examples is not None:
            stored[:] = False
            stored[self.examples] = True
        counts = np.where(stored, 1 if self.first_token else lengths, 0)
        return np.where(stored, np.cumsum(counts) - counts, -1)


@dataclass(frozen=True, eq=False)
class Views:
    """What a training sees: how often each example is in a batch, and in a batch of a phase that needs states."""

    lengths: np.ndarray
    all_steps: np.ndarray
    with_states: np.ndarray

    @property
    def tokens(self) -> int:
        """Tokens that the student is trained on, repeats counted."""
        return int((self.all_steps * self.lengths).sum())

    @property
    def passes(self) -> float:
        """How often the mean example is seen."""
        return float(self.all_steps.mean()) if len(self.all_steps) else 0.0


@dataclass(frozen=True)
class Costs:
    """Multiply-adds of a token: the teacher's forward pass, a training step of the student."""

    teacher: float
    student: float


@dataclass(frozen=True, eq=False)
class StateChoice:
    """What is kept, its bytes, and what it gives.

    `known`: share of what training sees, in phases that need states, that has them. `loop_tokens`: on how many the
    teacher runs in the loop, repeats counted.
    """

    kept: KeptStates
    examples: int
    bytes: int
    whole_bytes: int  # of all states in fp16
    known: float
    loop_tokens: int

    @property
    def stored(self) -> int:
        """Examples with states on disk."""
        return self.examples if self.kept.examples is None else len(self.kept.examples)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "states": list(self.kept.states),
            "format": self.kept.form,
            "first_token": self.kept.first_token,
            "examples": self.examples,
            "stored_examples": self.stored if self.kept.states else 0,
            "bytes": self.bytes,
            "bytes_of_all": self.whole_bytes,
            "loop_share": self.kept.loop_share,
            "known_share": round(self.known, 4),
        }

    def describe(self, allowed: int) -> str:
        """What was chosen and why, in half a line."""
        kept = self.kept
        if not kept.states:
            return "no loss looks at hidden states"
        what = f"{len(kept.states)} hidden states{' of the first token' if kept.first_token else ''}"
        if not kept.loop_share:
            reason = "" if kept.form == "fp16" else f", as fp16 would take {format_size(self.whole_bytes)}"
            return f"{what} of all examples in {kept.form}{reason}"
        stored = f", {self.stored:,} of them on disk in int8" if self.stored else ""
        share = f"{kept.loop_share:.0%} of {'the others' if self.stored else 'the examples'}"
        return (
            f"{what} of {self.examples:,} examples{stored}; all would take {format_size(self.whole_bytes)} and "
            f"{format_size(allowed)} are allowed (--disk-budget), so the teacher runs on {share} in each batch"
        )


@dataclass(frozen=True, eq=False)
class OutputsPlan:
    """The teacher's outputs on one data set: what training sees of it, and what is kept."""

    views: Views
    choice: StateChoice
    fixed_bytes: int  # of logits and of each example's place

    @property
    def seen(self) -> np.ndarray | None:
        """The examples that training sees; None: all."""
        return None if self.views.all_steps.all() else np.flatnonzero(self.views.all_steps)

    @property
    def bytes(self) -> int:
        """On disk, with the states."""
        return self.fixed_bytes + self.choice.bytes

    @property
    def teacher_tokens(self) -> int:
        """Tokens that the teacher runs on: once for the logits of each example, and in the loop."""
        return int(self.views.lengths[self.views.all_steps > 0].sum()) + self.choice.loop_tokens


def find_needs(schedule: Schedule, followed: Sequence[int], layers: int, hidden_size: int) -> StateNeeds:
    """The states that any phase's losses look at."""
    losses = [loss for phase in schedule.phases for loss in phase.losses]
    asking = [(loss, loss.states_needed(followed, layers)) for loss in losses]
    states = sorted(set().union(*(needed for _, needed in asking)))
    return StateNeeds(tuple(states), hidden_size, all(loss.first_token for loss, needed in asking if needed))


def count_views(lengths: np.ndarray, schedule: Schedule, seed: int) -> Views:
    """How often a schedule's steps see each of the examples."""
    every, known = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    begin = 0
    for phase, end in zip(schedule.phases, schedule.phase_ends(), strict=True):
        needed = Objective(phase.losses).needs_states
        for batch in iterate_batches(lengths, schedule.batch_size, seed, begin, end):
            every[batch] += 1
            known[batch] += needed
        begin = max(begin, end)
    return Views(lengths, every, known)


def choose_kept(needs: StateNeeds, views: Views, costs: Costs, disk_bytes: int, seed: int) -> StateChoice:
    """What to keep in `disk_bytes`; monotone: with more disk no smaller share of what training sees has its states."""
    lengths, wanted = views.lengths, views.with_states
    rows, seen = needs.rows(lengths), int((wanted * lengths).sum())
    total = int(rows[wanted > 0].sum())
    whole = HEADER_BYTES + total * needs.row_bytes("fp16")
    if not needs.states or not seen:
        return StateChoice(KeptStates(()), len(lengths), 0, 0, 1.0, 0)
    unseen = (wanted == 0).any()
    for form in ("fp16", "int8"):
        size = HEADER_BYTES + total * needs.row_bytes(form)
        if size <= disk_bytes:
            examples = np.flatnonzero(wanted) if unseen else None
            kept = KeptStates(needs.states, form, needs.first_token, examples)
            return StateChoice(kept, len(lengths), size, whole, 1.0, 0)
    stored = _fitting(wanted, rows, (disk_bytes - HEADER_BYTES) // needs.row_bytes("int8"), seed)
    if int((wanted * lengths)[stored].sum()) < LEAST_STORED * seen:
        stored = stored[:0]
    rest = seen - int((wanted * lengths)[stored].sum())
    share = min(1.0, round(LOOP_TIME * costs.student * views.tokens / (costs.teacher * rest), 4))
    kept = KeptStates(needs.states, "int8", needs.first_token, stored, share)
    size = HEADER_BYTES + int(rows[stored].sum()) * needs.row_bytes("int8") if len(stored) else 0
    return StateChoice(kept, len(lengths), size, whole, (seen - rest + share * rest) / seen, round(share * rest))


def _fitting(wanted: np.ndarray, rows: np.ndarray, room: int, seed: int) -> np.ndarray:
    """As many examples as have no more than `room` rows in all, ascending: the most seen first, ties by the seed."""
    order = np.random.default_rng(seed).permutation(len(wanted))
    order = order[np.argsort(-wanted[order], kind="stable")]
    order = order[wanted[order] > 0]
    return np.sort(order[: np.searchsorted(np.cumsum(rows[order]), room, side="right")])
