"""Losses of a student that embeds texts: the teacher's vector itself, and its place among fixed anchors.

`soft_targets` of vectors is `1 − cos(student, teacher)`, mean over texts. It asks for the direction alone.

`anchors` compares relations. With unit anchors a₁ … a_K and the vectors s of the student and t of the teacher,

    KL(softmax(t·a / τ) ‖ softmax(s·a / τ)), mean over texts,

which asks that a text is as near to each anchor, and above all to the nearest ones, as the teacher says: what a search
ranks by. It is the loss of SEED (Fang et al. 2021, arXiv:2101.04731, equations 3 and 4), with one deviation: anchors of
the paper are a queue of the last texts, here they are the teacher's vectors of training texts, chosen once. So a text's
loss does not depend on its batch, and pieces of a batch add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.distil.signals import Counted, Loss, Signals
from edgepack.errors import InputError

ANCHORS = 1_024  # training texts: more than a vector has numbers, and their product costs little


def vector_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Two `(texts, size)` → mean of `1 − cos`: 0 to 2."""
    return (1 - F.cosine_similarity(student.float(), teacher.detach().float(), dim=-1)).mean()


def anchor_loss(student: Tensor, teacher: Tensor, anchors: Tensor, temperature: float) -> Tensor:
    """`(texts, size)` of both and unit `anchors (K, size)` → mean KL of the softened cosines; 0 where they agree."""
    own, other = (
        F.normalize(vectors.float(), dim=-1) @ anchors.T / temperature for vectors in (student, teacher.detach())
    )
    return F.kl_div(F.log_softmax(own, -1), F.log_softmax(other, -1), reduction="batchmean", log_target=True)


def choose_anchors(vectors: Tensor, count: int = ANCHORS) -> Tensor:
    """`count` of the teacher's vectors `(n, size)`, evenly spaced, of length 1; rows of zeros are none."""
    known = vectors[(vectors != 0).any(dim=1)].float()
    places = torch.linspace(0, len(known) - 1, min(count, len(known))).long()
    return F.normalize(known[places], dim=-1)


@dataclass(frozen=True)
class Anchors(Loss):
    """Of vectors: nearness to fixed training texts, softened by `temperature`, is the teacher's."""

    temperature: float = 0.05
    is_prediction: ClassVar[bool] = True
    counted: ClassVar[Counted] = "rows"

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise InputError(f"anchors: temperature is {self.temperature}; allowed: above 0; 0.02 to 0.2 are usual")

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        if signals.anchors is None:
            raise InputError("anchors: there are none; this loss is for students that embed texts")
        return anchor_loss(signals.student_logits, signals.teacher_logits, signals.anchors(), self.temperature)
