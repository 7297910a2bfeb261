"""The map between widths and the means over real tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgepack.compress.distil.signals import Shapes
from edgepack.compress.distil.states import initial_map, mapped, mean_square, token_mean

MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])


def test_equal_widths_learn_no_map() -> None:
    assert initial_map(Shapes(8, 8, 5, 5)) == {}
    state = torch.randn(2, 3, 8)
    assert torch.equal(mapped(state, {}), state)


def test_the_map_starts_as_a_truncated_identity() -> None:
    narrow = torch.randn(2, 3, 4)
    wide = mapped(narrow, initial_map(Shapes(4, 6, 5, 5)))
    assert torch.equal(wide[..., :4], narrow)
    assert not wide[..., 4:].any()


def test_the_map_is_a_matrix_product() -> None:
    state, matrix = torch.randn(2, 3, 4), torch.randn(6, 4)
    np.testing.assert_allclose(mapped(state, {"map": matrix}), state.numpy() @ matrix.numpy().T, rtol=1e-5, atol=1e-6)


def test_means_leave_padding_out() -> None:
    values = torch.tensor([[1.0, 2.0, 6.0], [11.0, 100.0, 1000.0]])
    assert token_mean(values, MASK).item() == pytest.approx(5.0)
    both = torch.stack([values, values + 2], dim=-1)
    assert token_mean(both, MASK).item() == pytest.approx(6.0)


def test_mean_square_is_the_mean_over_the_gathered_tokens() -> None:
    student, teacher = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    real = MASK.bool().numpy()
    expected = ((student.numpy()[real] - teacher.numpy()[real]) ** 2).mean()
    assert mean_square(student, teacher, MASK).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_gradient_of_a_mean_square_is_what_autograd_has(kind: torch.dtype) -> None:
    student, teacher = torch.randn(2, 3, 4).to(kind).requires_grad_(), torch.randn(2, 3, 4).half()
    before = student.detach().clone()
    (found,) = torch.autograd.grad(3 * mean_square(student, teacher, MASK), student)
    plain = ((student.float() - teacher.float()) * MASK[:, :, None]).square().sum() / (MASK.sum() * 4)
    (expected,) = torch.autograd.grad(3 * plain, student)
    assert found.dtype == kind
    torch.testing.assert_close(found, expected)
    assert torch.equal(student, before)  # a copy is what is computed on
