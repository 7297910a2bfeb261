"""PKD's formula with numpy, and which layers it matches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from edgepack.compress.distil.patience import Patience, last_pairs, patience_loss, skip_pairs
from edgepack.compress.distil.signals import Signals
from edgepack.errors import InputError


def by_hand(signals: Signals, pairs: list[tuple[int, int]]) -> float:
    """Mean over layers and examples of |h_s / |h_s| − h_t / |h_t||²."""
    distances = []
    for own, other in pairs:
        student, teacher = signals.student_states[own][:, 0].numpy(), signals.teacher_states[other][:, 0].numpy()
        for s, t in zip(student, teacher, strict=True):
            distances.append(np.sum((s / np.linalg.norm(s) - t / np.linalg.norm(t)) ** 2))
    return float(np.mean(distances))


def test_skip_takes_the_given_pairs_of_intermediate_layers(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(4, 7))
    assert signals.pairs == ((0, 0), (1, 2), (2, 4), (3, 6))
    assert Patience()(signals, {}).item() == pytest.approx(by_hand(signals, [(1, 2), (2, 4)]), rel=1e-5)


def test_last_takes_the_teachers_last_intermediate_layers(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals(states=(4, 7))
    assert Patience(layers="last")(signals, {}).item() == pytest.approx(by_hand(signals, [(1, 4), (2, 5)]), rel=1e-5)


def test_the_papers_own_layers_of_a_6_layer_student_of_bert_base() -> None:
    skip = tuple((m, 2 * m) for m in range(7))
    assert [teacher for _, teacher in skip_pairs(skip, 7)] == [2, 4, 6, 8, 10]
    assert [teacher for _, teacher in last_pairs(7, 13)] == [7, 8, 9, 10, 11]


def test_fewer_stored_teacher_states_match_the_students_last() -> None:
    assert last_pairs(7, 4) == ((4, 1), (5, 2))


def test_opposite_directions_are_4_apart_and_lengths_do_not_count() -> None:
    state = torch.randn(3, 8)
    assert patience_loss(-5 * state, state).item() == pytest.approx(4, rel=1e-5)
    assert patience_loss(5 * state, state).item() == pytest.approx(0, abs=1e-6)


def test_only_the_first_token_counts(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals()
    before = Patience()(signals, {}).item()
    for state in signals.student_states:
        state[:, 1:] = 9.0
    assert Patience()(signals, {}).item() == before


@pytest.mark.parametrize("layers", ["skip", "last"])
def test_a_student_without_intermediate_layers_is_refused(make_signals: Callable[..., Signals], layers: str) -> None:
    with pytest.raises(InputError, match="no intermediate layer"):
        Patience(layers=layers)(make_signals(states=(2, 7)), {})  # type: ignore[arg-type]


def test_an_unknown_choice_of_layers_is_refused() -> None:
    with pytest.raises(InputError, match="allowed: skip, last"):
        Patience(layers="first")  # type: ignore[arg-type]
