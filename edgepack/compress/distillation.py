"""Distillation losses: plain functions of tensors.

- Soft targets: `T² · KL(softmax(teacher / T) ‖ softmax(student / T))`, mean over examples (Hinton et al. 2015,
  arXiv:1503.02531, §2). T² keeps the gradient's size when T changes; the mean is over examples (or labelled
  tokens), never over classes.
- Hidden states: mean squared error between a student layer's output and its teacher layer's, on real tokens
  only (TinyBERT, Jiao et al. 2020, arXiv:1909.10351, eq. 8). The widths are equal here, so no map is learned.
- Attention relations: KL between the softmax of scaled query-query, key-key and value-value products, head
  counts free (MiniLMv2, Wang et al. 2021, arXiv:2012.15828, eq. 4–6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`(n, classes)` logits of both → scalar; 0 exactly when the distributions are the same."""
    student_log = F.log_softmax(student.float() / temperature, dim=-1)
    teacher_log = F.log_softmax(teacher.float() / temperature, dim=-1)
    return F.kl_div(student_log, teacher_log, reduction="batchmean", log_target=True) * temperature**2


def hidden_state_loss(student: Sequence[Tensor], teacher: Tensor, attention_mask: Tensor) -> Tensor:
    """`student`: states of `(batch, seq, H)`; `teacher (batch, seq, states, H)` → mean over real tokens, states, H.

    Padded positions are multiplied by 0 instead of being left out: gathering would cost a scatter in the backward.
    """
    real = attention_mask[:, :, None].float()
    squares = [((own.float() - teacher[:, :, i].float()) * real).square().sum() for i, own in enumerate(student)]
    return torch.stack(squares).sum() / (real.sum() * len(squares) * student[0].shape[-1])


def relation_loss(student: Tensor, teacher: Tensor, attention_mask: Tensor, relation_heads: int) -> Tensor:
    """MiniLMv2's loss for one kind of vector (queries, keys or values).

    `student (batch, seq, a)`, `teacher (batch, seq, b)`: widths may differ, each is split into
    `relation_heads` heads. Mean over real query positions and heads.
    """

    def log_relation(x: Tensor) -> Tensor:
        batch, seq, width = x.shape
        heads = x.float().view(batch, seq, relation_heads, width // relation_heads).transpose(1, 2)
        scores = heads @ heads.transpose(2, 3) / math.sqrt(width // relation_heads)
        return F.log_softmax(scores.masked_fill(attention_mask[:, None, None, :] == 0, -1e9), dim=-1)

    teacher_log = log_relation(teacher)
    divergence = (teacher_log.exp() * (teacher_log - log_relation(student))).sum(-1)  # (batch, heads, seq)
    real = attention_mask[:, None, :].expand_as(divergence).to(divergence.dtype)
    return (divergence * real).sum() / real.sum()


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the data's labels, **summed** over examples; −100 is ignored."""
    return F.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), ignore_index=-100, reduction="sum")
