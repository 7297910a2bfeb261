"""Random signals of any shape, padded on the right, for the tests of every loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from edgepack.compress.distil.signals import Shapes, Signals, Vectors

LENGTHS = (5, 3, 1)
SEQ, CLASSES = 5, 3


def random_signals(
    seed: int = 0,
    *,
    hidden: tuple[int, int] = (8, 8),
    states: tuple[int, int] = (5, 5),
    heads: tuple[int, int] = (2, 2),
    progress: float = 0.0,
) -> Signals:
    """Three examples of 5, 3 and 1 real tokens; `hidden`, `states`, `heads`: the student's, the teacher's."""
    generator = torch.Generator().manual_seed(seed)
    batch = len(LENGTHS)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def vectors(count: int) -> tuple[Vectors, ...]:
        return tuple(Vectors(*(random(batch, count, SEQ, 4) for _ in range(3))) for _ in range(states[0] - 1))

    student_vectors, teacher_vectors = vectors(heads[0]), vectors(heads[1])
    last = max(1, states[0] - 1)
    anchors = torch.nn.functional.normalize(random(4, CLASSES), dim=-1)
    return Signals(
        student_logits=random(batch, CLASSES),
        teacher_logits=random(batch, CLASSES),
        labels=torch.tensor([0, 2, 1]),
        student_states=tuple(random(batch, SEQ, hidden[0]) for _ in range(states[0])),
        teacher_states=tuple(random(batch, SEQ, hidden[1]) for _ in range(states[1])),
        pairs=tuple((i, i * (states[1] - 1) // last) for i in range(states[0])),
        mask=torch.tensor([[1] * length + [0] * (SEQ - length) for length in LENGTHS]),
        progress=progress,
        student_vectors=student_vectors,
        teacher_vectors=teacher_vectors.__getitem__,
        anchors=lambda: anchors,
    )


def shapes_of(signals: Signals) -> Shapes:
    """The widths and counts of what `random_signals` made."""
    return Shapes(
        signals.student_states[0].shape[-1],
        signals.teacher_states[0].shape[-1],
        len(signals.student_states),
        len(signals.teacher_states),
    )


def imitating(signals: Signals) -> Signals:
    """The same teacher with a student that does exactly what it does."""
    assert signals.teacher_vectors is not None
    return replace(
        signals,
        student_logits=signals.teacher_logits,
        student_states=signals.teacher_states,
        student_vectors=tuple(signals.teacher_vectors(i) for i in range(len(signals.student_vectors))),
        pairs=tuple((i, i) for i in range(len(signals.teacher_states))),
    )


@pytest.fixture
def make_signals() -> Callable[..., Signals]:
    return random_signals


@pytest.fixture
def make_shapes() -> Callable[[Signals], Shapes]:
    return shapes_of


@pytest.fixture
def imitate() -> Callable[[Signals], Signals]:
    return imitating
