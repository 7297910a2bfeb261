"""The gradient of the word table: the same numbers in memory that stays."""

from __future__ import annotations

import torch

from edgepack.student.config import StudentConfig
from edgepack.train.optimizer import TableGradient
from tests.noisy import noisy_student
from tests.student.shapes import ONE_LAYER

CPU = torch.device("cpu")
PIECES = (torch.tensor([[3, 10, 3, 7]]), torch.tensor([[7, 7], [2, 10]]))


def test_it_is_autograds_at_every_step() -> None:
    student = noisy_student(StudentConfig(**ONE_LAYER, embedding_kernel=3))
    weight = student.embeddings.word.weight

    def backward() -> None:
        student.zero_grad()
        for ids in PIECES:
            student(ids).logits.square().sum().backward()

    backward()
    assert weight.grad is not None
    expected = weight.grad.clone()
    table = TableGradient(student, CPU)
    places = set()
    for _ in range(2):
        backward()
        assert weight.grad.is_sparse
        table.gather()
        torch.testing.assert_close(weight.grad, expected)
        places.add(weight.grad.data_ptr())
    assert len(places) == 1
    table.end()
    backward()
    assert not weight.grad.is_sparse


def test_a_gradient_of_the_whole_table_is_left_as_it_is() -> None:
    student = noisy_student(StudentConfig(**ONE_LAYER))
    table, weight = TableGradient(student, CPU), student.embeddings.word.weight
    table.gather()
    assert weight.grad is None
    (student(PIECES[0]).logits.sum() + weight.square().sum()).backward()  # as a loss of masked words has it
    whole = weight.grad
    table.gather()
    assert weight.grad is whole
    assert whole is not None
    assert not whole.is_sparse
