"""The wide part of a student: scores of its tokens by themselves, beside the encoder.

Wide and deep (Cheng et al. 2016, arXiv:1606.07792): a linear model's scores are added to a network's. The linear model
here is of a text's tokens, whatever their order; it is small since ids share rows, `id % rows` (feature hashing:
Weinberger et al. 2009, arXiv:0902.2206). It needs nothing but ids, so it is part of every model file.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgepack.quantization import FP32, BitWidth, round_rows
from edgepack.student.pooling import pool
from edgepack.task.task import Task


class WideTable(nn.Embedding):
    """Scores of a text's tokens, in the mean: `(batch, seq) → (batch, labels)`; ids modulo the rows pick them."""

    width: BitWidth = FP32

    def scores(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        rows = round_rows(self(input_ids % self.num_embeddings), self.width)
        return pool(rows, attention_mask, "mean")


def may_be_wide(task: Task) -> bool:
    """Whether a student may have a wide table beside its encoder: a text has one label."""
    return task.name == "text-classification" and not task.is_multi_label and not task.is_score
