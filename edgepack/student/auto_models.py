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
        """As `Student.forward`; the mean cross-entropy where there are `labels` (-100: not scored)."""
        output = super().forward(input_ids, attention_mask, token_type_ids, bool(output_hidden_states))
        if labels is not None and output.logits is not None:
            loss = F.cross_entropy(output.logits.flatten(0, -2), labels.flatten())
            output = StudentOutput(loss=loss, logits=output.logits, hidden_states=output.hidden_states)
        return output.to_tuple() if return_dict is False else output


class StudentForSequenceClassification(AutoStudent):
    """A label for each text."""

    task = "text-classification"


class StudentForTokenClassification(AutoStudent):
    """A label for each token."""

    task = "token-classification"
