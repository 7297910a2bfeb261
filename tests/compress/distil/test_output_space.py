"""Matching in class space: the formula with numpy, who learns from whom, and where the minimum is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from edgepack.compress.distil.output_space import OutputSpace, attended_targets, class_logits, matching_loss
from edgepack.compress.distil.signals import Shapes, Signals
from edgepack.errors import InputError

LOSS = OutputSpace(classes=3)


def test_the_formula(make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes]) -> None:
    signals = make_signals(hidden=(4, 6), states=(4, 6))
    learned = LOSS.initial(make_shapes(signals), torch.Generator().manual_seed(1))
    learned = {name: torch.randn_like(value) for name, value in learned.items()}

    def logits(side: str, states: tuple[torch.Tensor, ...]) -> np.ndarray:
        weight, bias = learned[f"{side}_weight"].numpy(), learned[f"{side}_bias"].numpy()
        return np.stack([states[i + 1][:, 0].numpy() @ weight[i].T + bias[i] for i in range(len(weight))], axis=1)

    own, other = logits("student", signals.student_states), logits("teacher", signals.teacher_states)
    assert own.shape == (3, 2, 3)
    assert other.shape == (3, 4, 3)
    prediction = softmax(signals.teacher_logits.numpy(), -1)[:, None]
    expected = rel_entr(prediction, softmax(other, -1)).sum(-1).mean()
    attention = softmax(own @ other.transpose(0, 2, 1), -1)
    expected += rel_entr(attention @ softmax(other, -1), softmax(own, -1)).sum(-1).mean()
    assert LOSS(signals, learned).item() == pytest.approx(expected, rel=1e-4)


def test_the_match_does_not_train_the_teachers_classifiers(
    make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes]
) -> None:
    signals = make_signals()
    learned = LOSS.initial(make_shapes(signals), torch.Generator().manual_seed(1))
    for value in learned.values():
        value.requires_grad_()

    def teacher_gradient(signals: Signals) -> torch.Tensor:
        return torch.autograd.grad(LOSS(signals, learned), learned["teacher_weight"])[0]

    other = replace(signals, student_states=tuple(state + 1 for state in signals.student_states))
    assert torch.equal(teacher_gradient(signals), teacher_gradient(other))
    assert teacher_gradient(signals).any()


def test_the_students_gradient_is_that_of_fixed_targets(
    make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes]
) -> None:
    """`∂KL(p ‖ softmax z) / ∂z = softmax z − p`: attention moves no target."""
    signals = make_signals()
    learned = LOSS.initial(make_shapes(signals), torch.Generator().manual_seed(1))
    learned = {name: torch.randn_like(value) for name, value in learned.items()}
    bias = learned["student_bias"].requires_grad_()
    (gradient,) = torch.autograd.grad(LOSS(signals, learned), bias)
    own, other = (
        class_logits(states[1:-1], learned[f"{side}_weight"], learned[f"{side}_bias"].detach())
        for side, states in (("student", signals.student_states), ("teacher", signals.teacher_states))
    )
    expected = (own.softmax(-1) - attended_targets(own, other)).sum(0) / (3 * 3)  # examples, intermediate layers
    torch.testing.assert_close(gradient, expected)


def test_equal_distributions_are_the_minimum() -> None:
    logits = torch.randn(4, 1, 3)
    targets = attended_targets(logits.expand(4, 2, 3), logits.expand(4, 5, 3))
    torch.testing.assert_close(targets, logits.softmax(-1).expand(4, 2, 3))
    assert matching_loss(logits.expand(4, 2, 3), targets).item() == pytest.approx(0, abs=1e-6)
    assert matching_loss(torch.randn(4, 2, 3), targets).item() > 0.01


def test_attention_goes_to_the_teacher_layer_that_agrees() -> None:
    student = torch.tensor([[[9.0, -9.0]]])
    teacher = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]])
    torch.testing.assert_close(attended_targets(student, teacher)[0, 0], teacher[0, 0].softmax(-1))


def test_a_certain_teacher_is_no_nan() -> None:
    student = torch.zeros(1, 1, 2, requires_grad=True)
    loss = matching_loss(student, torch.tensor([[[1.0, 0.0]]]))
    assert loss.item() == pytest.approx(np.log(2))
    loss.backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_the_seed_decides_the_first_classifiers() -> None:
    shapes = Shapes(4, 6, 5, 7)
    first, again, other = (LOSS.initial(shapes, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert {name: tuple(value.shape) for name, value in first.items()} == {
        "student_weight": (3, 3, 4),
        "student_bias": (3, 3),
        "teacher_weight": (5, 3, 6),
        "teacher_bias": (5, 3),
    }
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["student_weight"], other["student_weight"])


def test_what_cannot_be_matched_is_refused(
    make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes]
) -> None:
    with pytest.raises(InputError, match="classes is 1"):
        OutputSpace(classes=1)
    with pytest.raises(InputError, match="2 student states"):
        LOSS.initial(Shapes(4, 4, 2, 5), torch.Generator())
    signals = make_signals()
    learned = LOSS.initial(make_shapes(signals), torch.Generator())
    with pytest.raises(InputError, match="for text classification"):
        LOSS(replace(signals, teacher_logits=torch.randn(7, 3)), learned)
