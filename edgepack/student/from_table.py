"""A student of a teacher whose layers it cannot compute: the teacher's word table, sizes and labels, a new body.

The shape is the teacher's in layers, hidden size, heads and feed-forward units, so that a plan is chosen and a student
cut from it as from any other. The body is random: matrices as Glorot and Bengio (2010) draw them, `N(0, 2 / (in +
out))`, biases 0, norms 1; positions and token types with the word table's own standard deviation, since the three are
added. The linear layer behind the pooling of a teacher that embeds texts is kept. It computes nothing of the
teacher's: outputs come from the teacher's own model (`OwnTeacher`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.from_teacher import vector_head
from edgepack.student.model import Student, StudentOutput
from edgepack.task.scoring import recorded_problem
from edgepack.teacher import OwnModel, Teacher, feed_forward_size
from edgepack.teacher.embedding_model import EmbeddingModel


class OwnTeacher(nn.Module):
    """A teacher's own model, called as a student of its shape would be; `config` is that student's."""

    def __init__(self, model: OwnModel, config: StudentConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.model.device

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> StudentOutput:
        """As `Student.forward`."""
        output = self.model(input_ids, attention_mask, token_type_ids, output_hidden_states)
        return StudentOutput(logits=output.logits, hidden_states=output.hidden_states)


def student_from_table(model: OwnModel, teacher: Teacher, max_length: int, seed: int) -> Student:
    """The teacher's word table in a student of its sizes with a random body, in eval mode."""
    table = model.weights().words()[: teacher.sizes.vocabulary]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Student(table_config(model, teacher, max_length))
        with torch.no_grad():
            for parameter in student.parameters():
                if parameter.dim() == 2:
                    parameter.normal_(0.0, (2 / sum(parameter.shape)) ** 0.5)
            for added in (student.embeddings.position, student.embeddings.token_type):
                if added is not None:
                    added.weight.normal_(0.0, float(table.std()))
            for name, parameter in student.named_parameters():
                if name.endswith(".bias"):
                    parameter.zero_()
            student.embeddings.word.weight.copy_(table)
            if isinstance(model.model, EmbeddingModel) and student.head.classifier is not None:
                own = model.model.student_weights()
                student.head.classifier.weight.copy_(own["classifier.weight"])
                student.head.classifier.bias.copy_(own["classifier.bias"])
    return student.eval()


def table_config(model: OwnModel, teacher: Teacher, max_length: int) -> StudentConfig:
    """The teacher's sizes as a student's shape; positions are as many as the data needs."""
    config, sizes = teacher.config, teacher.sizes
    size = model.model.get_input_embeddings().weight.shape[1]
    heads = sizes.heads if sizes.hidden_size >= sizes.heads else 1
    types = int(getattr(config, "type_vocab_size", 0) or 0)
    is_text = teacher.task.name == "text-classification"
    shape = StudentConfig(
        vocab_size=sizes.vocabulary,
        embedding_size=size,
        embedding_projection="identity" if size == sizes.hidden_size else "linear",
        hidden_size=sizes.hidden_size,
        num_hidden_layers=sizes.layers,
        num_heads=[heads] * sizes.layers,
        head_sizes=[sizes.hidden_size // heads] * sizes.layers,
        intermediate_sizes=[feed_forward_size(config)] * sizes.layers,
        max_position_embeddings=max_length,
        type_vocab_size=types if types > 1 else 0,
        head_act="tanh" if is_text else None,
        task=teacher.task.name,
        problem_type=recorded_problem(teacher.task.problem),
        id2label=dict(enumerate(teacher.task.labels)),
        label2id={name: i for i, name in enumerate(teacher.task.labels)},
        pad_token_id=int(config.pad_token_id or 0),
    )
    if teacher.embedding is None:
        return shape
    return changed_config(shape, **vector_head(teacher.embedding, teacher.task.vector_size))
