"""Prediction losses against values worked out by hand, and their invariants."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, rel_entr, softmax

from edgepack.compress.distil.signals import Signals
from edgepack.compress.distil.soft_targets import (
    HardLabels,
    SoftTargets,
    hard_label_loss,
    hard_set_loss,
    label_set_loss,
    soft_target_loss,
)
from edgepack.errors import InputError


def test_soft_targets_by_hand() -> None:
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]])
    # teacher (3/4, 1/4) against (1/2, 1/2) at T = 1
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert soft_target_loss(student, teacher, 1.0).item() == pytest.approx(expected)


@given(st.integers(0, 1000), st.floats(0.5, 8.0))
def test_soft_targets_are_the_papers_formula(seed: int, temperature: float) -> None:
    student, teacher = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(seed)) * 3
    divergences = rel_entr(softmax(teacher.numpy() / temperature, -1), softmax(student.numpy() / temperature, -1))
    expected = temperature**2 * divergences.sum(-1).mean()
    assert soft_target_loss(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert soft_target_loss(teacher + 7, teacher, temperature).item() == pytest.approx(0, abs=1e-5)


def test_the_mean_is_over_examples() -> None:
    student, teacher = torch.randn(3, 5), torch.randn(3, 5)
    once = soft_target_loss(student, teacher, 2.0)
    assert soft_target_loss(student.repeat(4, 1), teacher.repeat(4, 1), 2.0).item() == pytest.approx(once.item())


@given(st.integers(0, 1000), st.floats(0.5, 8.0))
def test_of_label_sets_each_label_is_a_question(seed: int, temperature: float) -> None:
    student, teacher = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(seed)) * 3
    before, after = teacher.double().numpy() / temperature, student.double().numpy() / temperature
    kl = rel_entr(expit(before), expit(after)) + rel_entr(expit(-before), expit(-after))
    expected = temperature**2 * kl.sum(-1).mean()
    assert label_set_loss(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert label_set_loss(teacher, teacher, temperature).item() == pytest.approx(0, abs=1e-6)


def test_hard_label_sets_leave_unlabelled_rows_out() -> None:
    logits, labels = torch.randn(3, 2), torch.tensor([[1, 0], [-100, -100], [1, 1]], dtype=torch.int8)
    known = logits[[0, 2]].numpy()
    expected = -(np.log(expit(known)) * [[1, 0], [1, 1]] + np.log(expit(-known)) * [[0, 1], [0, 0]]).sum() / 2
    assert hard_set_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)
    assert hard_set_loss(logits, torch.full((3, 2), -100)).item() == 0
    assert hard_set_loss(logits, torch.full((3,), -100)).item() == 0  # raw text


def test_the_problem_decides_the_formula() -> None:
    logits, teacher = torch.randn(2, 3), torch.randn(2, 3)
    labels = torch.tensor([[1, 0, 1], [0, 0, 0]], dtype=torch.int8)
    signals = Signals(logits, teacher, labels, (), (), (), torch.ones(2, 1), problem="multi_label_classification")
    assert SoftTargets(temperature=2.0)(signals, {}).item() == label_set_loss(logits, teacher, 2.0).item()
    assert HardLabels()(signals, {}).item() == hard_set_loss(logits, labels).item()


def test_hard_labels_leave_ignored_rows_out() -> None:
    logits, labels = torch.randn(4, 3), torch.tensor([2, -100, 0, 1])
    rows = log_softmax(logits.numpy(), -1)
    expected = -np.mean([rows[0, 2], rows[2, 0], rows[3, 1]])
    assert hard_label_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_hard_labels_of_nothing_are_zero_not_nan() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = hard_label_loss(logits, torch.tensor([-100, -100]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_losses_read_their_signals(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals()
    soft = soft_target_loss(signals.student_logits, signals.teacher_logits, 5.0)
    assert torch.equal(SoftTargets(temperature=5.0)(signals, {}), soft)
    assert torch.equal(HardLabels()(signals, {}), hard_label_loss(signals.student_logits, signals.labels))


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(InputError, match="temperature"):
        SoftTargets(temperature=temperature)
