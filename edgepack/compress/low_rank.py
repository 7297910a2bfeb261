"""A weight matrix as the product of two thin ones, `W (out, in) ≈ up (out, r) · down (r, in)`.

Truncated SVD, the best rank-r approximation in the Frobenius norm (Eckart & Young 1936). With the second
moment of the layer's input, `C = E[x xᵀ] (in, in)`, the error is measured on the outputs instead,
`E‖(W − up · down) x‖²`, by taking the SVD of `W C^{1/2}` (as in Noach & Goldberg 2020; Hsu et al. 2022,
arXiv:2207.00112, weigh by Fisher information in the same way).
"""

from __future__ import annotations

import torch
from torch import Tensor


def factorize(weight: Tensor, rank: int, input_moment: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`(up (out, rank), down (rank, in))` in `weight`'s dtype; exact when `rank` is at least `weight`'s."""
    matrix = weight.double()
    if input_moment is None:
        root = inverse = torch.eye(matrix.shape[1], dtype=torch.double, device=matrix.device)
    else:
        values, vectors = torch.linalg.eigh(input_moment.double())
        values = values.clamp(min=values.max() * 1e-6).sqrt()
        root, inverse = vectors * values @ vectors.T, vectors / values @ vectors.T
    left, singular, right = torch.linalg.svd(matrix @ root, full_matrices=False)
    scale = singular[:rank].sqrt()
    return (left[:, :rank] * scale).to(weight.dtype), (scale[:, None] * right[:rank] @ inverse).to(weight.dtype)
