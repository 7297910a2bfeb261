"""Parts of a teacher's layers: where its attention does nothing of its own, a student of them is the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edgepack.student.from_parts import student_from_parts, takes_parts
from edgepack.student.model import Student
from edgepack.teacher import OwnModel, Teacher, load_teacher, tensors
from tests.teacher.tiny import AUTO, edit, edit_weights, write_teacher

IDS = torch.tensor([[3, 4, 5, 6, 7, 5, 4], [3, 7, 6, 5, 4, 4, 4]])
MASK = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
RELATIVE: dict[str, Any] = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
PLAIN: dict[str, tuple[str, dict[str, Any]]] = {  # settings under which tokens look at each other as BERT's do
    "DeBERTa": ("deberta", {}),
    "DeBERTa, no distances": ("deberta", RELATIVE),
    "DeBERTa-v2": ("deberta-v2", {}),
    "DeBERTa-v2, no distances": ("deberta-v2", RELATIVE),
    "DeBERTa-v2, another activation": ("deberta-v2", {"hidden_act": "relu", "pooler_hidden_act": "relu"}),
    "DeBERTa-v2, token types": ("deberta-v2", {"type_vocab_size": 2}),
    "BigBird": ("big_bird", {}),
    "Longformer": ("longformer", {}),
}


def without_distances(held: dict[str, Tensor]) -> dict[str, Tensor]:
    """Distances that say nothing: their vectors, and what is added to them, are 0."""
    silent = ("rel_embeddings", "pos_", "query_proj.bias", "q_bias")
    return {name: torch.zeros_like(t) if any(part in name for part in silent) else t for name, t in held.items()}


def one_attention(held: dict[str, Tensor]) -> dict[str, Tensor]:
    """A Longformer's first token, which sees all of a text, looks as the others do."""
    return {name: held[name.replace("_global", "")].clone() for name in held}


def open_teacher(folder: Path, family: str, kind: str = "text", **settings: Any) -> Teacher:
    model = write_teacher(folder, family, kind, **settings)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    edit_weights(folder, lambda held: one_attention(without_distances(held) if settings.get("pos_att_type") else held))
    if family == "longformer":
        edit(folder, "config.json", attention_window=[64, 64])
    return load_teacher(str(folder))


def own_model(teacher: Teacher) -> OwnModel:
    model = teacher.load_model()
    assert isinstance(model, OwnModel)
    return model


def logits(model: OwnModel | Student) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(IDS, MASK).logits
    return found[MASK.bool()] if found.dim() == 3 else found


@pytest.mark.parametrize("kind", AUTO)
@pytest.mark.parametrize("name", PLAIN)
def test_where_the_attention_is_berts_the_student_is_the_teacher(tmp_path: Path, name: str, kind: str) -> None:
    family, settings = PLAIN[name]
    teacher = open_teacher(tmp_path, family, kind, **settings)
    model = own_model(teacher)
    assert float(logits(model).std()) > 0.01
    student = student_from_parts(model, teacher, max_length=16)
    torch.testing.assert_close(logits(student), logits(model), rtol=1e-5, atol=1e-5)


def test_positions_that_the_teacher_lacks_begin_at_zero(tmp_path: Path) -> None:
    teacher = open_teacher(tmp_path, "deberta-v2", position_biased_input=False)
    student = student_from_parts(own_model(teacher), teacher, max_length=11)
    assert student.embeddings.position.weight.shape == (11, 16)
    assert not student.embeddings.position.weight.any()
    with torch.no_grad():  # so the order of words changes nothing
        turned = student(IDS[:, [0, 3, 2, 1, 4, 5, 6]], torch.ones_like(IDS)).logits
        torch.testing.assert_close(turned, student(IDS, torch.ones_like(IDS)).logits)


def test_a_teacher_that_memory_does_not_hold_gives_the_same_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_teacher(tmp_path, "deberta")
    edit_weights(tmp_path, lambda held: {name: t.bfloat16() for name, t in held.items()})
    teacher = load_teacher(str(tmp_path))
    expected = student_from_parts(own_model(teacher), teacher, 16).state_dict()
    monkeypatch.setattr(tensors, "free_memory", lambda: 2000)
    little = load_teacher(str(tmp_path))
    model = own_model(little)
    assert model.from_disk
    found = student_from_parts(model, little, 16).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("deberta", {"talking_head": True}),
        ("deberta-v2", {"embedding_size": 8}),
        ("deberta-v2", {"hidden_act": "silu"}),
        ("deberta-v2", {"pooler_hidden_act": "silu"}),
        ("big_bird", {"rescale_embeddings": True}),
        ("modernbert", {}),
    ],
)
def test_settings_that_leave_no_parts(tmp_path: Path, family: str, settings: dict[str, Any]) -> None:
    write_teacher(tmp_path, family, **settings)
    assert not takes_parts(load_teacher(str(tmp_path)).config)
