"""The wide table: means of the rows that a text's own tokens have, added to its scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgepack.errors import InputError
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student
from tests.student.shapes import ONE_LAYER


def test_what_it_adds_is_the_mean_over_real_tokens() -> None:
    torch.manual_seed(0)
    student = Student(StudentConfig(**ONE_LAYER, wide_rows=7)).eval()
    plain = Student(changed_config(student.config, wide_rows=0)).eval()
    plain.load_state_dict({name: value for name, value in student.state_dict().items() if name != "wide.weight"})
    ids = torch.tensor([[3, 10, 39, 0], [8, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
    with torch.no_grad():
        added = student(ids, mask).logits - plain(ids, mask).logits
    assert student.wide is not None
    table = student.wide.weight
    assert torch.allclose(added[0], (table[3] + table[3] + table[4]) / 3, atol=1e-6)  # 10 % 7 = 3, 39 % 7 = 4
    assert torch.allclose(added[1], table[1], atol=1e-6)


@pytest.mark.parametrize(("bits", "levels"), [(8, 256), (2, 16)])
def test_its_rows_are_rounded_as_the_positions_are(bits: int, levels: int) -> None:
    torch.manual_seed(0)
    student = Student(StudentConfig(**(ONE_LAYER | {"num_labels": 300}), wide_rows=4)).eval()
    student.set_bits(8, bits)
    assert student.wide is not None
    with torch.no_grad():
        ids = torch.tensor([[1]])
        row = student.wide.scores(ids, torch.ones_like(ids))[0]
        error = (row - student.wide.weight[1]).abs().max()
    assert len(row.unique()) <= levels
    assert 0 < error < 1.1 * (student.wide.weight[1].max() - student.wide.weight[1].min()) / (levels - 1)


@pytest.mark.parametrize("changes", [{"task": "token-classification", "head_act": None}, {"wide_rows": -1}])
def test_only_scores_of_texts_have_one(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="wide_rows is"):
        StudentConfig(**(ONE_LAYER | {"wide_rows": 8} | changes))
