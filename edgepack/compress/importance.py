"""First-order importance of heads and FFN units: how much the loss would change without them.

Each head's and unit's output is multiplied by a mask of 1; `|∂loss/∂mask|`, per example, is
`|Σ activation × gradient|` (Michel et al. 2019, arXiv:1905.10650, eq. 2; Molchanov et al. 2019,
arXiv:1906.10771), averaged over examples. Only the masks need gradients, so no weight gradient is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.units import Importance
from edgepack.student.model import Student
from edgepack.task.similarity import EMBEDS

DIRECTIONS = 0  # the seed of random directions


@contextmanager
def masks(student: Student, batch_size: int) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Put masks of 1 `(batch, count)` on all heads and units; take them off afterwards."""
    device = student.device
    heads = [torch.ones(batch_size, n, device=device, requires_grad=True) for n in student.config.num_heads or []]
    units = [
        torch.ones(batch_size, n, device=device, requires_grad=True) for n in student.config.intermediate_sizes or []
    ]
    modules = [*student.attention, *student.feed_forward]
    for module, mask in zip(modules, heads + units, strict=True):
        module.mask = mask
    try:
        yield heads, units
    finally:
        for module in modules:
            module.mask = None


def measure_importance(
    student: Student,
    batches: Iterable[dict[str, Tensor]],
    loss: Callable[[Tensor, dict[str, Tensor]], Tensor],
) -> Importance:
    """Mean over examples of `|∂loss/∂mask|` for every head and unit.

    `loss(logits, batch)` must be a sum over examples, so that each example's gradient is its own.
    """
    heads = [torch.zeros(n) for n in student.config.num_heads or []]
    units = [torch.zeros(n) for n in student.config.intermediate_sizes or []]
    examples = 0
    for batch in batches:
        size = len(batch["input_ids"])
        with masks(student, size) as (head_masks, unit_masks):
            logits = student(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]).logits
            gradients = torch.autograd.grad(loss(logits, batch), head_masks + unit_masks)
        for total, gradient in zip(heads + units, gradients, strict=True):
            total += gradient.abs().sum(0).cpu()
        examples += size
    return Importance(tuple(t / max(examples, 1) for t in heads), tuple(t / max(examples, 1) for t in units))


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the data's labels, **summed** over examples; −100 is ignored.

    Of label sets the binary one, of scores half of the squared error.
    """
    if labels.is_floating_point():
        return F.mse_loss(logits.float()[:, 0], labels.float(), reduction="sum") / 2
    if labels.shape == logits.shape:
        return F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="sum")
    return F.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), ignore_index=-100, reduction="sum")


def example_loss(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """`label_loss` with a batch's own labels."""
    return label_loss(logits, batch["labels"])


def vector_change(vectors: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """The sum of vectors `(batch, size)` along random directions: its gradient is how far a vector moves.

    A teacher's own vector is the best there is, so no loss has a gradient there. The mean square of the gradient over
    directions is that of the whole vector (Hutchinson 1989, "A stochastic estimator of the trace").
    """
    directions = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(DIRECTIONS))
    return (vectors.float() * directions.to(vectors.device)).sum()


def importance_loss(student: Student) -> Callable[[Tensor, dict[str, Tensor]], Tensor]:
    """What importance is measured by, for the student's task."""
    return vector_change if student.config.task == EMBEDS else example_loss
