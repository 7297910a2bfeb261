"""Distillation losses against values worked out by hand, and their invariants."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgepack.compress.distillation import hidden_state_loss, label_loss, relation_loss, soft_target_loss


def test_soft_targets_by_hand() -> None:
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]])
    # teacher (3/4, 1/4) against (1/2, 1/2) at T = 1
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert soft_target_loss(student, teacher, 1.0).item() == pytest.approx(expected)


def test_soft_targets_are_a_mean_over_examples_and_scaled_by_the_squared_temperature() -> None:
    student, teacher = torch.randn(3, 5), torch.randn(3, 5)
    once = soft_target_loss(student, teacher, 2.0)
    assert soft_target_loss(student.repeat(4, 1), teacher.repeat(4, 1), 2.0).item() == pytest.approx(once.item())
    assert soft_target_loss(student * 2, teacher * 2, 4.0).item() == pytest.approx(4 * once.item(), rel=1e-5)


@given(st.integers(0, 1000), st.floats(0.5, 8.0))
def test_soft_targets_are_zero_for_equal_distributions_and_positive_otherwise(seed: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    teacher = torch.randn(4, 6, generator=generator)
    assert soft_target_loss(teacher + 3.0, teacher, temperature).abs() < 1e-4
    assert soft_target_loss(torch.randn(4, 6, generator=generator), teacher, temperature) > 0


def test_hidden_states_ignore_padding_and_average_the_rest() -> None:
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    teacher = torch.randn(2, 3, 4, 5)
    student = [teacher[:, :, i] + 2.0 for i in range(4)]
    assert hidden_state_loss(student, teacher, mask).item() == pytest.approx(4.0, rel=1e-5)
    student[0][0, 2] = 1e4  # padding
    assert hidden_state_loss(student, teacher, mask).item() == pytest.approx(4.0, rel=1e-5)


def test_relations_need_no_equal_widths_and_vanish_for_equal_relations() -> None:
    mask = torch.tensor([[1, 1, 1, 0]])
    vectors = torch.randn(1, 4, 8)
    assert relation_loss(vectors, vectors, mask, 2).abs() < 1e-6
    wider = torch.randn(1, 4, 12)
    assert relation_loss(vectors, wider, mask, 2) > 0
    changed = vectors.clone()
    changed[0, 3] = 50.0  # padding
    assert relation_loss(changed, vectors, mask, 2).abs() < 1e-6


def test_label_loss_is_a_sum_without_ignored_positions() -> None:
    logits = torch.zeros(2, 3, 4)
    labels = torch.tensor([[0, -100, 1], [-100, -100, 2]])
    assert label_loss(logits, labels).item() == pytest.approx(3 * math.log(4))
