"""Which teacher layer a student layer learns from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from edgepack.compress.distil.layer_maps import LearnedMap, initial_mixture, last_map, mixture_loss, uniform_map
from edgepack.compress.distil.signals import Shapes, Signals
from edgepack.errors import InputError


def test_the_papers_maps() -> None:
    assert uniform_map(4, 12) == (2, 5, 8, 11)  # TinyBERT's g(m) = 3m, counted from 0
    assert uniform_map(6, 12) == (1, 3, 5, 7, 9, 11)
    assert last_map(4, 12) == (8, 9, 10, 11)


@given(st.integers(1, 24), st.integers(0, 24))
def test_maps_go_up_and_end_together(student: int, more: int) -> None:
    teacher = student + more
    for layers in (uniform_map(student, teacher), last_map(student, teacher)):
        assert len(layers) == student
        assert list(layers) == sorted(set(layers))
        assert layers[0] >= 0
        assert layers[-1] == teacher - 1
    steps = np.diff((-1, *uniform_map(student, teacher)))
    assert steps.max() - steps.min() <= 1  # evenly spread


@pytest.mark.parametrize("rule", [uniform_map, last_map])
@pytest.mark.parametrize("student", [0, 7])
def test_more_student_layers_than_the_teachers_are_refused(
    rule: Callable[[int, int], tuple[int, ...]], student: int
) -> None:
    with pytest.raises(InputError, match="allowed: 1 to 6"):
        rule(student, 6)


def test_the_mixture_starts_near_the_even_spread() -> None:
    weights = torch.softmax(initial_mixture(4, 7, 3.0), dim=-1)
    assert weights.argmax(-1).tolist() == [0, 2, 4, 6]
    assert weights.max(-1).values.min() > 0.9
    assert torch.equal(initial_mixture(4, 7, 0.0).softmax(-1), torch.full((4, 7), 1 / 7))
    assert initial_mixture(1, 3, 3.0).shape == (1, 3)


def test_the_loss_is_the_error_to_the_mixtures(make_signals: Callable[..., Signals]) -> None:
    signals, mixture, matrix = make_signals(hidden=(4, 6), states=(3, 5)), torch.randn(3, 5), torch.randn(6, 4)
    real = signals.mask.bool().numpy()
    teacher = np.stack([state.numpy()[real] for state in signals.teacher_states])
    targets = np.einsum("st,tnh->snh", softmax(mixture.numpy(), -1), teacher)
    student = np.stack([state.numpy()[real] @ matrix.numpy().T for state in signals.student_states])
    loss = LearnedMap()(signals, {"mixture": mixture, "map": matrix})
    assert loss.item() == pytest.approx(((student - targets) ** 2).mean(), rel=1e-5)


def test_a_mixture_of_one_layer_is_plain_matching(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals()
    sure = 1e4 * torch.eye(5)[[2, 0, 1, 4, 3]]
    student = [signals.teacher_states[i] for i in (2, 0, 1, 4, 3)]
    assert mixture_loss(student, signals.teacher_states, sure, signals.mask).item() == 0


def test_training_the_mixture_finds_the_layers(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(3, 5))
    student = [signals.teacher_states[i] for i in (4, 1, 3)]
    mixture = torch.zeros(3, 5, requires_grad=True)
    optimizer = torch.optim.Adam([mixture], lr=0.2)
    for _ in range(60):
        optimizer.zero_grad()
        mixture_loss(student, signals.teacher_states, mixture, signals.mask).backward()
        optimizer.step()
    assert mixture.argmax(-1).tolist() == [4, 1, 3]


def test_a_negative_sharpness_is_refused() -> None:
    with pytest.raises(InputError, match="sharpness is -1"):
        LearnedMap(sharpness=-1)


def test_what_it_learns() -> None:
    learned = LearnedMap().initial(Shapes(4, 6, 3, 5), torch.Generator())
    assert {name: tuple(value.shape) for name, value in learned.items()} == {"mixture": (3, 5), "map": (6, 4)}
