"""Factorization: exact at full rank, best in the norm that was asked for below it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from edgepack.compress.low_rank import factorize


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 999))
def test_full_rank_reconstructs(rows: int, columns: int, seed: int) -> None:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    up, down = factorize(weight, min(rows, columns))
    torch.testing.assert_close(up @ down, weight, atol=1e-5, rtol=1e-5)


def test_error_is_the_discarded_singular_values() -> None:
    weight = torch.randn(9, 7)
    singular = torch.linalg.svdvals(weight)
    for rank in range(1, 7):
        up, down = factorize(weight, rank)
        assert up.shape == (9, rank)
        assert down.shape == (rank, 7)
        torch.testing.assert_close((weight - up @ down).norm(), singular[rank:].norm(), atol=1e-4, rtol=1e-4)


def test_the_input_moment_lowers_the_error_on_such_inputs() -> None:
    weight, inputs = torch.randn(16, 12), torch.randn(500, 12) * torch.logspace(0, -2, 12)
    moment = inputs.T @ inputs / len(inputs)

    def output_error(factors: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return (inputs @ (weight - factors[0] @ factors[1]).T).norm()

    assert output_error(factorize(weight, 3, moment)) < 0.9 * output_error(factorize(weight, 3))
