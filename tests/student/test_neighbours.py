"""The convolution over word vectors: what it adds, where it may be, and that it starts as nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgepack.compress.narrow_embedding import add_convolution
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.student.neighbours import multiply_neighbours, sum_neighbours
from tests.noisy import noisy_student
from tests.student.shapes import ONE_LAYER


def noisy(**changes: Any) -> Student:
    return noisy_student(StudentConfig(**(ONE_LAYER | changes))).eval()


@pytest.mark.parametrize("seq", [1, 2, 7])
@pytest.mark.parametrize("kernel", [3, 5])
def test_it_is_torchs_convolution_without_the_middle(kernel: int, seq: int) -> None:
    generator = torch.Generator().manual_seed(seq)
    words = torch.randn(2, seq, 8, generator=generator)
    matrices = torch.randn(kernel, 16, 8, generator=generator)
    matrices[kernel // 2] = 0
    whole = torch.nn.functional.conv1d(words.transpose(1, 2), matrices.permute(1, 2, 0), padding=kernel // 2)
    places = [place for place in range(-(kernel // 2), kernel // 2 + 1) if place]
    used = torch.cat([matrices[kernel // 2 + place] for place in places])
    assert torch.allclose(sum_neighbours(words @ used.T, places), whole.transpose(1, 2), atol=1e-5)
    assert torch.allclose(multiply_neighbours(words, used, places), whole.transpose(1, 2), atol=1e-5)


def test_padding_adds_nothing_and_the_first_state_is_the_embeddings() -> None:
    student = noisy(embedding_kernel=5)
    ids = torch.tensor([[3, 10, 39, 7, 2]])
    padded = torch.cat([ids, torch.tensor([[9, 11, 30]])], dim=1)
    mask = (torch.arange(8) < 5).long()[None]
    with torch.no_grad():
        alone, batched = student(ids).logits, student(padded, mask, output_hidden_states=True)
        assert torch.allclose(alone, batched.logits, atol=1e-5)
        words = student.embeddings(padded, None, mask)
    assert torch.equal(batched.hidden_states[0], words)


def test_a_new_one_changes_no_answer() -> None:
    student = noisy()
    ids = torch.tensor([[3, 10, 39, 7, 2]])
    with torch.no_grad():
        added = add_convolution(student, 5)
        assert added.config.neighbours == (-2, -1, 1, 2)
        assert torch.equal(added(ids).logits, student(ids).logits)
        assert added.embeddings.convolution is not None
        added.embeddings.convolution.weight.data.normal_()
        assert not torch.allclose(added(ids).logits, student(ids).logits, atol=1e-3)


@pytest.mark.parametrize("bits", [4, 2, 1])
def test_its_input_is_not_rounded_where_the_tables_codes_are_whole_numbers(bits: int) -> None:
    student = noisy(embedding_kernel=3)
    student.set_bits(8, bits)
    convolution = student.embeddings.convolution
    assert convolution is not None
    assert convolution.exact_input == student.config.multiplies_codes == (bits < 4)
    assert convolution.width.bits == 8
    assert np.isfinite(student(torch.tensor([[1, 2, 3]])).logits.detach().numpy()).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding_kernel": 2}, "embedding_kernel is 2; allowed: 1, 3, 5"),
        ({"embedding_kernel": 7}, "embedding_kernel is 7; allowed: 1, 3, 5"),
        ({"embedding_kernel": 3, "embedding_projection": "identity", "embedding_size": 16}, "is 3; allowed: 1$"),
        ({"embedding_kernel": 3, "norm_before_projection": True}, "embedding_kernel is 3; allowed: 1$"),
    ],
)
def test_where_it_may_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StudentConfig(**(ONE_LAYER | changes))
