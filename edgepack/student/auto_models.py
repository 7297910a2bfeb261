"""The student as transformers' Auto classes and pipelines know a model: one class for each task.

They add what callers there pass and edgepack itself has no use for: `labels` for a loss, `return_dict`. A folder's
task is in its config, and the class of another task refuses it: transformers would give it a head of random weights.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student, StudentOutput
from edgepack.task.scoring import MULTI_LABEL, REGRESSION
from edgepack.task.similarity import EMBEDS


class AutoStudent(Student):
    """A student of one task, with the arguments that transformers' callers pass."""

    task: ClassVar[str]

    def __init__(self, config: StudentConfig) -> None:
        if config.task != self.task:
            raise InputError(f"the student in this folder does {config.task}; {type(self).__name__} is for {self.task}")
        super().__init__(config)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
        return_dict: bool | None = None,
    ) -> StudentOutput | tuple[Tensor, ...]:
        """As `Student.forward`; with `labels` the loss that transformers has for the config's `problem_type`."""
        output = super().forward(input_ids, attention_mask, token_type_ids, bool(output_hidden_states))
        if labels is not None and output.logits is not None:
            loss = self.loss(output.logits, labels)
            output = StudentOutput(loss=loss, logits=output.logits, hidden_states=output.hidden_states)
        return output.to_tuple() if return_dict is False else output

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean cross-entropy (-100: not scored); of label sets the binary one, of scores the squared error."""
        if self.config.task == EMBEDS:
            raise InputError("a student that embeds texts has no loss of labels; leave labels out")
        if self.config.problem_type == MULTI_LABEL:
            return F.binary_cross_entropy_with_logits(logits, labels.float())
        if self.config.problem_type == REGRESSION:
            return F.mse_loss(logits.flatten(), labels.float().flatten())
        return F.cross_entropy(logits.flatten(0, -2), labels.flatten())


class StudentForFeatureExtraction(AutoStudent):
    """A vector for each text, as `logits` and the first output."""

    task = "feature-extraction"


class StudentForSequenceClassification(AutoStudent):
    """A label, a set of labels or a score for each text."""

    task = "text-classification"


class StudentForTokenClassification(AutoStudent):
    """A label for each token."""

    task = "token-classification"
