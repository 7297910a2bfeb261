"""Each row of the table of teachers: a small checkpoint as the hub has them, loaded, and what a student starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.inference import predict
from edgepack.student.from_teacher import LAYOUTS, student_from_teacher
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Dataset, Example
from edgepack.task.tokenize import encode
from edgepack.teacher import FAMILIES, Teacher, load_teacher
from tests.teacher.table import CARVED, ROWS, Row
from tests.teacher.tiny import AUTO, write_teacher
from tests.teacher.tokenizers import TEXTS, TOKENIZERS

DOCS = Path(__file__).parents[2] / "docs" / "inputs.md"


def make_teacher(folder: Path, row: Row, kind: str) -> Teacher:
    """A random teacher of the row's family, with biases and norms that matter."""
    model = write_teacher(folder, row.family, kind, TOKENIZERS[row.tokenizer]())
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return load_teacher(str(folder))


def encode_texts(teacher: Teacher) -> Encoded:
    per_token = teacher.task.name == "token-classification"
    examples = [
        Example("" if per_token else text, None, *((tuple(words), (0,) * len(words)) if per_token else (None, 0)))
        for text in TEXTS
        for words in (text.split(),)
    ]
    return encode(Dataset(tuple(examples), "", ""), teacher.task, teacher.tokenizer, teacher.max_length)


@pytest.mark.parametrize("kind", AUTO)
@pytest.mark.parametrize("row", [row for row in ROWS if row.start == CARVED], ids=lambda row: row.model)
def test_layers_that_fit_give_the_teachers_logits(tmp_path: Path, row: Row, kind: str) -> None:
    teacher = make_teacher(tmp_path, row, kind)
    encoded = encode_texts(teacher)
    model = teacher.load_model()
    expected = predict(model, encoded)
    assert expected.std() > 0.01
    np.testing.assert_allclose(
        predict(student_from_teacher(model, teacher.task.name), encoded), expected, rtol=1e-5, atol=1e-5
    )


def test_every_family_that_is_carved_has_a_layout_and_a_row() -> None:
    assert set(LAYOUTS) == set(FAMILIES) == {row.family for row in ROWS if row.start == CARVED}


def test_the_table_in_the_docs_has_these_rows() -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    begin = lines.index("| teacher | `model_type` | tokenizer | the student starts from | tasks |") + 2
    end = next(number for number in range(begin, len(lines)) if not lines[number].startswith("|"))
    found = [tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")) for line in lines[begin:end]]
    assert found == [tuple(row) for row in ROWS]
