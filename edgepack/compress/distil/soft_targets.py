"""Prediction losses: the teacher's softened outputs and the data's labels.

Soft targets: `T² · KL(softmax(teacher / T) ‖ softmax(student / T))`, mean over examples (Hinton et al. 2015,
arXiv:1503.02531, §2). T² keeps the gradient's size when T changes; the mean is over examples (or labelled tokens),
never over classes. Hard labels: cross-entropy, mean over the labelled.

Of label sets each label is a question of its own: `T² · Σ_c KL(σ(teacher_c / T) ‖ σ(student_c / T))`, the KL of the
distribution over sets of independent labels, and the sum of the labels' binary cross-entropies.

A score has no distribution to soften: both are the mean squared error (Ba and Caruana 2014, arXiv:1312.6184, §2.2:
regression on logits), of the teacher's outputs, and of the data's scores, in units of the teacher's variance, so that
the scale of a score does not weigh it against other losses. Temperature has no meaning there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from edgepack.compress.distil.signals import Counted, Loss, Signals
from edgepack.compress.distil.vectors import vector_loss
from edgepack.errors import InputError
from edgepack.task.scoring import MULTI_LABEL, REGRESSION
from edgepack.task.similarity import EMBEDS

IGNORED = -100


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`(n, classes)` logits of both → scalar; 0 exactly when the distributions are the same."""
    student_log = F.log_softmax(student.float() / temperature, dim=-1)
    teacher_log = F.log_softmax(teacher.detach().float() / temperature, dim=-1)
    return F.kl_div(student_log, teacher_log, reduction="batchmean", log_target=True) * temperature**2


def label_set_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The same where each label is a question of its own."""
    soft, target = student.float() / temperature, teacher.detach().float() / temperature
    found = target.sigmoid() * (F.logsigmoid(target) - F.logsigmoid(soft))
    found = found + (-target).sigmoid() * (F.logsigmoid(-target) - F.logsigmoid(-soft))
    return found.sum() / len(student) * temperature**2


def hard_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """`(n, classes)` and `(n,)` → mean cross-entropy of the rows whose label is not −100; 0 where there are none."""
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def hard_set_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """`(n, classes)` of both → mean over labelled rows of the summed binary cross-entropies; 0 where there are none."""
    if labels.dim() == 1:  # of raw text, which has no labels
        return logits.float().sum() * 0.0
    known = labels[:, 0] != IGNORED
    targets = labels[known].float()
    total = F.binary_cross_entropy_with_logits(logits[known].float(), targets, reduction="sum")
    return total / known.sum().clamp(min=1)


def score_loss(student: Tensor, targets: Tensor, scale: float) -> Tensor:
    """`(n, 1)` outputs and `(n,)` targets → mean squared error in units of `scale`² over targets that are numbers."""
    known = targets.isfinite()
    errors = (student.float()[:, 0] - targets.float().nan_to_num()) / scale
    return (errors**2 * known).sum() / known.sum().clamp(min=1)


@dataclass(frozen=True)
class SoftTargets(Loss):
    """KL to the teacher's distribution, both softened by `temperature`.

    Of scores the squared error, of vectors 1 less the cosine of the two.
    """

    temperature: float = 2.0
    is_prediction: ClassVar[bool] = True
    counted: ClassVar[Counted] = "rows"

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise InputError(f"soft targets: temperature is {self.temperature}; allowed: above 0; 1 to 8 are usual")

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        if signals.problem == REGRESSION:
            return score_loss(signals.student_logits, signals.teacher_logits.detach()[:, 0], signals.scale)
        if signals.problem == EMBEDS:
            return vector_loss(signals.student_logits, signals.teacher_logits)
        if signals.problem == MULTI_LABEL:
            return label_set_loss(signals.student_logits, signals.teacher_logits, self.temperature)
        return soft_target_loss(signals.student_logits, signals.teacher_logits, self.temperature)


@dataclass(frozen=True)
class HardLabels(Loss):
    """Cross-entropy with the data's own labels; of scores the squared error."""

    is_prediction: ClassVar[bool] = True
    counted: ClassVar[Counted] = "labelled"

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        if signals.problem == REGRESSION:
            return score_loss(signals.student_logits, signals.labels, signals.scale)
        if signals.problem == MULTI_LABEL:
            return hard_set_loss(signals.student_logits, signals.labels)
        return hard_label_loss(signals.student_logits, signals.labels)
