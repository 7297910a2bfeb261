"""Losses of vectors: by hand, lengths that do not matter, anchors that are the same for every batch."""

import pytest
import torch

from edgepack.compress.distil.signals import Signals
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.distil.vectors import Anchors, anchor_loss, choose_anchors, vector_loss
from edgepack.compress.importance import vector_change
from edgepack.errors import InputError


def test_directions_count_and_lengths_do_not() -> None:
    student = torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    teacher = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    expected = (0 + 1 - 0.5**0.5) / 2
    assert vector_loss(student, teacher).item() == pytest.approx(expected)
    assert vector_loss(7 * student, teacher).item() == pytest.approx(expected)


def test_nearness_by_hand() -> None:
    anchors, temperature = torch.eye(2), 0.5
    student, teacher = torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0, 0.0]])
    p = torch.softmax(torch.tensor([1.0, 0.0]) / temperature, 0)
    q = torch.softmax(torch.tensor([0.0, 1.0]) / temperature, 0)
    expected = (p * (p / q).log()).sum()
    assert anchor_loss(student, teacher, anchors, temperature).item() == pytest.approx(expected.item(), rel=1e-6)
    assert anchor_loss(5 * teacher, teacher, anchors, temperature).item() == pytest.approx(0, abs=1e-7)


def test_anchors_are_evenly_spaced_vectors_of_length_one_without_the_unseen() -> None:
    vectors = torch.arange(1.0, 9)[:, None] * torch.tensor([[3.0, 4.0]])
    vectors[3] = 0
    found = choose_anchors(vectors, 3)
    assert found.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]] * 3
    assert len(choose_anchors(vectors)) == 7
    assert torch.equal(choose_anchors(vectors), choose_anchors(vectors))


def test_a_task_of_vectors_takes_the_cosine(make_signals) -> None:  # type: ignore[no-untyped-def]
    signals: Signals = make_signals()
    own = Signals(**{**vars(signals), "problem": "feature-extraction"})
    assert SoftTargets()(own, {}) == vector_loss(signals.student_logits, signals.teacher_logits)
    assert SoftTargets()(own, {}) != SoftTargets()(signals, {})


def test_what_is_refused(make_signals) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=r"temperature is 0\.0; allowed: above 0"):
        Anchors(temperature=0.0)
    signals = Signals(**{**vars(make_signals()), "anchors": None})
    with pytest.raises(InputError, match="for students that embed texts"):
        Anchors()(signals, {})


def test_the_change_of_a_vector_has_a_gradient_where_no_loss_has_one() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(4, 6), dim=-1).requires_grad_()
    vector_change(vectors, {}).backward()
    first = vectors.grad
    assert first is not None
    assert (first.abs().sum(1) > 0).all()
    vectors.grad = None
    vector_change(vectors, {}).backward()
    assert torch.equal(first, vectors.grad)  # type: ignore[arg-type]
