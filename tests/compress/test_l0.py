"""Hard-concrete masks: the paper's formulas against sampling, the target is reached, pruned equals masked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.compress.importance import masks
from edgepack.compress.l0 import (
    L0Pruning,
    expected_kept,
    expected_share,
    final_masks,
    fold_masks,
    lagrangian,
    sample_masks,
)
from edgepack.compress.units import keep_units
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student


@pytest.mark.parametrize("log_alpha", [-3.0, -0.7, 0.0, 1.3, 4.0])
def test_masks_are_above_0_as_often_as_the_formula_says(log_alpha: float) -> None:
    n = 200_000
    samples = sample_masks(torch.full((n,), log_alpha), torch.Generator().manual_seed(0))
    assert samples.min() >= 0
    assert samples.max() <= 1
    beta, gamma, zeta = 2 / 3, -0.1, 1.1
    kept_share = 1 / (1 + math.exp(-(log_alpha - beta * math.log(-gamma / zeta))))
    assert float(expected_kept(torch.tensor(log_alpha))) == pytest.approx(kept_share, rel=1e-5)
    error = 4 * math.sqrt(kept_share * (1 - kept_share) / n)
    assert float((samples > 0).float().mean()) == pytest.approx(kept_share, abs=error)
    # P(z = 1) is 1 − Q(1) of the stretched concrete distribution (eq. 11)
    full_share = 1 - 1 / (1 + math.exp(-(beta * math.log((1 - gamma) / (zeta - 1)) - log_alpha)))
    assert float((samples == 1).float().mean()) == pytest.approx(full_share, abs=5e-3)


def test_the_mean_mask_follows_the_distribution_between_the_ends() -> None:
    """Quantiles of the samples are the formula's at the same quantiles of u, since z rises with u."""
    samples = sample_masks(torch.full((100_000,), 0.4), torch.Generator().manual_seed(1)).numpy()
    for u in (0.3, 0.45, 0.6):
        s = 1 / (1 + math.exp(-(math.log(u) - math.log(1 - u) + 0.4) / (2 / 3)))
        assert np.quantile(samples, u) == pytest.approx(min(1, max(0, 1.2 * s - 0.1)), abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.floats(-8, 8))
def test_final_masks(log_alpha: float) -> None:
    mask = float(final_masks(torch.tensor(log_alpha)))
    assert mask == pytest.approx(min(1, max(0, 1.2 / (1 + math.exp(-log_alpha)) - 0.1)), abs=1e-5)
    if mask > 0.001:
        assert float(expected_kept(torch.tensor(log_alpha))) > 0.3  # nothing stays that was mostly masked


def test_the_lagrangian_brings_the_share_to_its_target() -> None:
    gap = torch.tensor(0.25)
    assert float(lagrangian(gap + 0.5, 0.5, torch.tensor([2.0, 8.0]))) == pytest.approx(2 * 0.25 + 8 * 0.0625)
    heads = [torch.full((4,), 2.5, requires_grad=True) for _ in range(2)]
    units = [torch.full((32,), 2.5, requires_grad=True) for _ in range(2)]
    multipliers = torch.zeros(2, requires_grad=True)
    wanted = torch.rand(32, generator=torch.Generator().manual_seed(0))
    settings_ = L0Pruning()
    down = torch.optim.Adam([*heads, *units], lr=settings_.gate_lr)
    up = torch.optim.Adam([multipliers], lr=settings_.multiplier_lr, maximize=True)
    for step in range(600):
        share = expected_share(heads, units, [6, 6])
        worth = sum((wanted * expected_kept(u)).sum() for u in units) * 0.01  # what a task would lose
        penalty = lagrangian(share, settings_.target(0.4, step / 600), multipliers)
        down.zero_grad()
        up.zero_grad()
        (penalty - worth).backward()
        down.step()
        up.step()
    assert expected_share(heads, units, [6, 6]).item() == pytest.approx(0.4, abs=0.05)
    for log_alpha in units:  # what is worth more is kept more
        assert np.corrcoef(log_alpha.detach().numpy(), wanted.numpy())[0, 1] > 0.5


def test_the_share_counts_a_heads_four_matrices_and_a_units_two() -> None:
    heads, units = [torch.tensor([50.0, -50.0, 50.0])], [torch.tensor([50.0, -50.0, -50.0, -50.0])]
    assert float(expected_share(heads, units, [5])) == pytest.approx((2 * 4 * 5 + 2) / (3 * 4 * 5 + 8))


def test_targets_and_bad_settings() -> None:
    pruning = L0Pruning(warmup=0.5)
    assert [pruning.target(0.2, p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    for rate in ("gate_lr", "multiplier_lr"):
        with pytest.raises(InputError, match=f"{rate} is 0; allowed: above 0"):
            L0Pruning(**{rate: 0})
    with pytest.raises(InputError, match="warmup"):
        L0Pruning(warmup=2)


@pytest.mark.parametrize("rank", [0, 5])
def test_removing_masked_units_equals_masking_with_uneven_sets(rank: int) -> None:
    torch.manual_seed(0)
    ranks = {m: [rank] * 2 for m in ("output", "down", "query")} if rank else None
    student = Student(
        StudentConfig(
            vocab_size=20,
            embedding_size=16,
            embedding_projection="identity",
            hidden_size=16,
            num_hidden_layers=2,
            num_heads=[4, 3],
            head_sizes=[4, 6],
            intermediate_sizes=[12, 20],
            ranks=ranks,
            max_position_embeddings=8,
        )
    ).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    head_alphas = [torch.tensor([3.0, -4.0, 0.5, -5.0]), torch.tensor([2.0, -9.0, -6.0])]
    unit_alphas = [torch.randn(n, generator=torch.Generator().manual_seed(n)) * 4 for n in (12, 20)]
    heads, units = ([(final_masks(a) > 0).nonzero().flatten() for a in alphas] for alphas in (head_alphas, unit_alphas))
    assert [h.tolist() for h in heads] == [[0, 2], [0]]
    ids = torch.randint(0, 20, (3, 6), generator=torch.Generator().manual_seed(1))
    with masks(student, 1) as (head_masks, unit_masks), torch.no_grad():
        for mask, log_alpha in zip(head_masks + unit_masks, head_alphas + unit_alphas, strict=True):
            mask.copy_(final_masks(log_alpha)[None])
        masked = student(ids).logits
    before = student.attention[0].output.factors()[0].weight.clone()
    pruned = keep_units(fold_masks(student, head_alphas, unit_alphas), heads, units)
    assert torch.equal(student.attention[0].output.factors()[0].weight, before)
    assert pruned.config.num_heads == [2, 1]
    with torch.no_grad():
        torch.testing.assert_close(pruned(ids).logits, masked, atol=1e-5, rtol=1e-4)
