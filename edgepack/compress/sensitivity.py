"""Mixed bit widths by measured sensitivity: what rounding one matrix alone costs, and the best widths for a size.

Sensitivity of a matrix at a width is the KL from the unrounded student's predictions to those with only that matrix
rounded. The widths are then the choice of least summed sensitivity within the bytes (as in ZeroQ, Cai et al. 2020,
arXiv:2001.00281, which also takes the effects to add up), found exactly.

Matrices are named as in `StudentConfig.widths`: `attention.0.qkv` (queries, keys and values of a set have one width),
`attention.0.output`, `feed_forward.1.up`, `head.dense`. A factorized matrix counts as one, a shared set once.
Weights only: activations stay as they are. The word table has its own width, `embedding_bits`, and is not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from edgepack.compress.knapsack import choose_options
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.quantization import bit_width, round_weight
from edgepack.student.linear import Projection, QuantizedLinear
from edgepack.student.model import Student
from edgepack.task.probabilities import divergences, label_divergences
from edgepack.task.scores import score_divergences
from edgepack.task.scoring import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from edgepack.task.similarity import EMBEDS, METRICS

Rounding = Callable[[Tensor, int, int], Tensor]
MEASURES = {SINGLE_LABEL: divergences, MULTI_LABEL: label_divergences, REGRESSION: score_divergences}
TOGETHER = ("query", "key", "value")


def rounded(weight: Tensor, bits: int, block_size: int) -> Tensor:
    """The weight as the runtime sees it at this width."""
    return round_weight(weight, bit_width(bits), block_size)


def weight_matrices(student: Student) -> dict[str, list[QuantizedLinear]]:
    """The linear layers of every named matrix: several for `qkv` and for factorized ones."""
    found: dict[str, list[QuantizedLinear]] = {}
    inside = {id(factor) for m in student.modules() if isinstance(m, Projection) for factor in m.factors()}
    for path, module in student.named_modules():
        if isinstance(module, Projection):
            parent, _, last = path.rpartition(".")
            found.setdefault(f"{parent}.qkv" if last in TOGETHER else path, []).extend(module.factors())
        elif isinstance(module, QuantizedLinear) and id(module) not in inside:
            found.setdefault(path, []).append(module)
    return found


@torch.no_grad()
def measure_sensitivity(
    student: Student,
    batches: Sequence[dict[str, Tensor]],
    widths: Sequence[int],
    rounding: Rounding = rounded,
    console: Console | None = None,
) -> dict[str, dict[int, float]]:
    """`sensitivity[matrix][bits]`: mean KL in nats over examples, or over real tokens where logits are per token.

    `rounding(weight, bits, block_size)` gives the rounded weight. Costs one pass over the batches for each matrix and
    bit width.
    """
    own = deepcopy(student).eval()
    own.set_bits(32, 32)
    reference = [_logits(own, batch) for batch in batches]
    measured: dict[str, dict[int, float]] = {}
    matrices = weight_matrices(own)
    masks, measure = [batch["attention_mask"] for batch in batches], divergence_of(own)
    with (console or Console(quiet=True)).progress("bit widths", len(matrices) * len(widths)) as advance:
        for name, linears in matrices.items():
            originals = [linear.weight.clone() for linear in linears]
            measured[name] = {}
            for bits in widths:
                for linear, original in zip(linears, originals, strict=True):
                    linear.weight.copy_(rounding(original, bits, own.config.block_size))
                logits = [_logits(own, batch) for batch in batches]
                measured[name][bits] = mean_divergence(reference, logits, masks, measure)
                advance()
            for linear, original in zip(linears, originals, strict=True):
                linear.weight.copy_(original)
    return measured


def divergence_of(student: Student) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """How far two answers are apart: KL of labels, of label sets each label's; of scores and vectors others."""
    if student.config.task == EMBEDS:
        return METRICS["teacher"].divergences
    return MEASURES[student.config.problem_type or SINGLE_LABEL]


def _logits(student: Student, batch: dict[str, Tensor]) -> Tensor:
    logits: Tensor = student(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]).logits
    return logits


def mean_divergence(
    reference: Sequence[Tensor],
    logits: Sequence[Tensor],
    masks: Sequence[Tensor],
    measure: Callable[[np.ndarray, np.ndarray], np.ndarray] = divergences,
) -> float:
    """Mean of KL(reference ‖ logits) in nats over examples `(batch, C)` or real tokens `(batch, seq, C)`.

    `measure` may be another divergence of rows.
    """
    total, count = 0.0, 0
    for before, after, mask in zip(reference, logits, masks, strict=True):
        if before.dim() == 3:
            before, after = before[mask.bool()], after[mask.bool()]
        count += len(before)
        total += float(measure(after.float().cpu().numpy(), before.float().cpu().numpy()).sum())
    return total / max(count, 1)


def assign_widths(
    sensitivity: Mapping[str, Mapping[int, float]], sizes: Mapping[str, Mapping[int, int]], byte_budget: int
) -> dict[str, int]:
    """The width of every matrix: least summed sensitivity among those that fit.

    `sizes[matrix][bits]`: bytes of the matrix in the file at that width, for the same widths as `sensitivity`'s.
    """
    options = {name: list(by_width) for name, by_width in sensitivity.items()}
    costs = [[sizes[name][bits] for bits in widths] for name, widths in options.items()]
    gains = [[-sensitivity[name][bits] for bits in widths] for name, widths in options.items()]
    try:
        picks = choose_options(costs, gains, byte_budget)
    except InputError as e:
        raise InputError(f"bit widths: bytes at the least widths do not fit: {e}") from e
    return {name: widths[pick] for (name, widths), pick in zip(options.items(), picks, strict=True)}
