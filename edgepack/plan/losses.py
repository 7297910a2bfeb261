"""Estimates of the metric that a shape loses: constants fitted to trained students (listed in docs/plan.md).

They rank candidates and do nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from edgepack.compress.narrow_embedding import weighted_covariance
from edgepack.plan.speed import layer_weights, teacher_weights
from edgepack.student.config import StudentConfig

BODY_LOSS, BODY_POWER = 0.0012, 1.2  # share s of the teacher's body loses 0.0012 · (s^-1.2 − 1)
COMPUTE_PRICE = 0.01  # what a whole teacher's compute is worth, in metric
DEPTH_LOSS, DEPTH_POWER = 0.13, 2.5  # share d of the layers given up loses 0.13 · d^2.5
NEW_BODY_LOSS = 0.005  # for a body that starts at random: the larger of two measured, with three times the examples
HEAD_LOSS = 0.0005  # for giving up three quarters of the head's dense layer
SPECTRUM_LOSS = 0.05  # times the cube of the share of the embedding table's variance given up
TABLE_ROUNDING = 2.0  # how much more than its own share of the variance a table's rounding error costs
UNKNOWN_LOSS = 0.3  # per share of tokens that a trimmed vocabulary must spell in other pieces
BODY_ROUNDING = 0.07  # per relative squared error of the weights, after training in them
# relative squared error of normal values in the formats of compress/quantization.py
ROUNDING_ERROR = {8: 0.0, 4: 0.011, 3: 0.037, 2: 0.119, 1: 0.19}


def body_loss(full: StudentConfig, layers: int, heads: int, ffn: int) -> float:
    """For fewer layers, heads and FFN units than the teacher's."""
    compute = compute_share(full, layers, heads, ffn)
    given_up = 1 - layers / full.num_hidden_layers
    price = compute_price(full, layers, heads, ffn)
    return BODY_LOSS * (compute**-BODY_POWER - 1) + price + DEPTH_LOSS * given_up**DEPTH_POWER


def compute_price(full: StudentConfig, layers: int, heads: int, ffn: int) -> float:
    """The part of `body_loss` that is no loss: what its compute is worth."""
    return COMPUTE_PRICE * compute_share(full, layers, heads, ffn)


def head_loss(share: float) -> float:
    """For a smaller dense layer in the head."""
    return HEAD_LOSS * (1 - share) / 0.75


def body_rounding_loss(bits: int) -> float:
    """For the body's width in bits."""
    return BODY_ROUNDING * ROUNDING_ERROR[bits]


def table_loss(spectrum: Sequence[float], width: int, bits: int, unknown_share: float) -> float:
    """For a table's width, its rounding, and the words that its vocabulary lacks.

    `spectrum`: ascending variances of the table's principal directions. What is cut off is lost whole, what is kept
    loses its rounding error: so two bits at twice the width often keep more than four.
    """
    kept = sum(spectrum[len(spectrum) - width :]) / (sum(spectrum) or 1.0)
    given_up = 1 - kept * (1 - TABLE_ROUNDING * ROUNDING_ERROR[bits])
    return SPECTRUM_LOSS * given_up**3 + UNKNOWN_LOSS * unknown_share


def compute_share(full: StudentConfig, layers: int, heads: int, ffn: int) -> float:
    """Share of the teacher's multiply-adds per token in attention projections and FFN."""
    ours = layers * layer_weights(heads, (full.head_sizes or [])[0], ffn, full.hidden_size)
    return ours / sum(teacher_weights(full))


def embedding_spectrum(table: torch.Tensor, token_counts: torch.Tensor) -> tuple[float, ...]:
    """Ascending variances of the word table's principal directions, weighted as carving weighs them."""
    _, covariance = weighted_covariance(table, token_counts)
    return tuple(torch.linalg.eigvalsh(covariance).clamp(min=0).tolist())
