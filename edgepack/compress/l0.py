"""Pruning by hard-concrete masks (L0): the alternative to first-order importance.

Every head and FFN unit has a mask in [0, 1] that is exactly 0 or 1 with some probability, so that the expected
number of units kept has a gradient (Louizos et al. 2018, arXiv:1712.01312; the paper calls the masks gates). With
`log α` learned, β, γ, ζ fixed:

- sample (eq. 10): `s = σ((log u − log(1 − u) + log α) / β)`, `z = min(1, max(0, s (ζ − γ) + γ))`, u uniform;
- probability of being kept (eq. 12): `P(z > 0) = σ(log α − β log(−γ / ζ))`;
- after training (eq. 13): `z = min(1, max(0, σ(log α) (ζ − γ) + γ))`.

The size is steered by a Lagrangian as in CoFi (Xia et al. 2022, arXiv:2204.00408, §3.2, after Wang et al. 2020):
`λ₁ (ŝ − t) + λ₂ (ŝ − t)²`, minimized over the weights and `log α`, maximized over λ₁ and λ₂. Here ŝ is the share of
body parameters that stay, and the target falls linearly from 1 to the final share over the warm-up. CoFi's masks on
whole layers and on hidden dimensions are left out: layers are chosen before, the hidden size in `hidden_size.py`.

At the end `fold_masks` puts the masks' values into the weights, and the heads and units of the greatest `log α` stay,
as many in each set as the planned shape has (`train/masks.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.errors import InputError
from edgepack.student.model import Student

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1  # the paper's, §4


@dataclass(frozen=True)
class L0Pruning:
    """The share of steps over which the target falls to the final share of body parameters, and learning rates."""

    warmup: float = 0.5
    gate_lr: float = 0.1  # of the masks' log-alphas; the name is the papers'
    multiplier_lr: float = 0.1
    initial_log_alpha: float = 2.5  # P(kept) = 0.98: training starts with nearly all

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= 1:
            raise InputError(f"L0 pruning: warmup is {self.warmup}; allowed: 0 to 1")
        for name in ("gate_lr", "multiplier_lr"):
            if getattr(self, name) <= 0:
                raise InputError(f"L0 pruning: {name} is {getattr(self, name)}; allowed: above 0")

    def target(self, keep: float, progress: float) -> float:
        """Share of body parameters to have at this share of the steps, if it is `keep` in the end."""
        reached = min(1.0, progress / self.warmup) if self.warmup else 1.0
        return 1 + (keep - 1) * reached


def sample_masks(log_alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Random masks in [0, 1], the shape of `log_alpha`, differentiable in it; `generator` is on its device."""
    u = torch.rand(log_alpha.shape, generator=generator, device=log_alpha.device, dtype=log_alpha.dtype)
    u = u.clamp(1e-6, 1 - 1e-6)
    return stretch(torch.sigmoid((u.log() - (1 - u).log() + log_alpha) / BETA))


def final_masks(log_alpha: Tensor) -> Tensor:
    """The masks without noise, in [0, 1]."""
    return stretch(torch.sigmoid(log_alpha))


def stretch(s: Tensor) -> Tensor:
    """From (0, 1) to (γ, ζ), then cut to [0, 1]."""
    return torch.clamp(s * (ZETA - GAMMA) + GAMMA, 0, 1)


def expected_kept(log_alpha: Tensor) -> Tensor:
    """`P(mask > 0)` of every mask."""
    return torch.sigmoid(log_alpha - BETA * torch.log(torch.tensor(-GAMMA / ZETA)))


def lagrangian(expected: Tensor, target: float, multipliers: Tensor) -> Tensor:
    """`λ₁ (ŝ − t) + λ₂ (ŝ − t)²`, `multipliers (2,)`; descend in everything else, ascend in these."""
    gap = expected - target
    return multipliers[0] * gap + multipliers[1] * gap.square()


def expected_share(
    log_alpha_heads: Sequence[Tensor], log_alpha_units: Sequence[Tensor], head_size: Sequence[int]
) -> Tensor:
    """Expected share of the body's parameters that stay, scalar; a head counts `4 · size`, a unit 2 (times H)."""
    kept = torch.zeros(())
    total = 0
    for log_alpha, size in zip(log_alpha_heads, head_size, strict=True):
        kept = kept.to(log_alpha.device) + 4 * size * expected_kept(log_alpha).sum()
        total += 4 * size * len(log_alpha)
    for log_alpha in log_alpha_units:
        kept = kept.to(log_alpha.device) + 2 * expected_kept(log_alpha).sum()
        total += 2 * len(log_alpha)
    return kept / max(total, 1)


@torch.no_grad()
def fold_masks(student: Student, log_alpha_heads: Sequence[Tensor], log_alpha_units: Sequence[Tensor]) -> Student:
    """A copy whose weights hold the final masks: the columns of each output and down matrix times their masks."""
    state = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    rooms = (("attention", "output", log_alpha_heads), ("feed_forward", "down", log_alpha_units))
    for room, matrix, log_alphas in rooms:
        for s, log_alpha in enumerate(log_alphas):
            name = f"{room}.{s}.{matrix}"
            weight = state[f"{name}.{'full' if f'{name}.full.weight' in state else 'down'}.weight"]  # (…, heads · size)
            weight *= final_masks(log_alpha).repeat_interleave(weight.shape[1] // len(log_alpha))[None]
    folded = Student(student.config)
    folded.load_state_dict(state)
    return folded.train(student.training)
