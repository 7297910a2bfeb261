"""SAFE out of a teacher's table: exact where the basis holds all, close where the spectrum falls, trainable."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgepack.compress.carve import carve
from edgepack.compress.narrow_embedding import factorize_embedding, self_attentive_embedding
from edgepack.compress.passes import Evidence, Goal
from edgepack.compress.units import Importance
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student

HIDDEN, WIDTH, VOCABULARY, LENGTH = 32, 12, 60, 10


def make_student(rank: int, decay: float = 1.0, **changes: object) -> Student:
    """A student whose words, positions and types lie in `rank` dimensions, of falling size, off the origin."""
    torch.manual_seed(0)
    shape: dict[str, object] = {
        "vocab_size": VOCABULARY,
        "embedding_size": HIDDEN,
        "embedding_projection": "identity",
        "hidden_size": HIDDEN,
        "num_hidden_layers": 1,
        "num_heads": [4],
        "head_sizes": [8],
        "intermediate_sizes": [16],
        "max_position_embeddings": LENGTH,
        "type_vocab_size": 2,
    }
    student = Student(StudentConfig(**{**shape, **changes})).eval()
    space = torch.linalg.qr(torch.randn(HIDDEN, rank)).Q * decay ** torch.arange(rank)
    with torch.no_grad():
        offset = torch.randn(rank)
        student.embeddings.word.weight.copy_((torch.randn(VOCABULARY, rank) + offset) @ space.T)
        student.embeddings.position.weight.copy_(0.3 * torch.randn(LENGTH, rank) @ space.T)
        if student.embeddings.token_type is not None:
            student.embeddings.token_type.weight.copy_(0.3 * torch.randn(2, rank) @ space.T)
        student.embeddings.norm.weight.copy_(1 + 0.3 * torch.randn(HIDDEN))
        student.embeddings.norm.bias.copy_(0.3 * torch.randn(HIDDEN))
    return student


def embed(student: Student) -> Tensor:
    ids = torch.randint(0, VOCABULARY, (4, LENGTH), generator=torch.Generator().manual_seed(1))
    types = torch.zeros_like(ids)
    types[:, 6:] = 1 if student.config.type_vocab_size else 0
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    with torch.no_grad():
        states: Tensor = student(ids, mask, types, output_hidden_states=True).hidden_states[0]
    return states


@pytest.mark.parametrize("act", ["gelu", "gelu_tanh", "relu"])
@pytest.mark.parametrize("norm", ["layer_norm", "no_norm"])
def test_output_is_the_full_embeddings_when_the_basis_holds_all(act: str, norm: str) -> None:
    student = make_student(rank=WIDTH - 1, hidden_act=act, norm=norm)
    safe = self_attentive_embedding(student, WIDTH, 3, 2 * WIDTH)
    assert safe.config.embedding_projection == "self_attentive"
    assert safe.embeddings.word.weight.shape == (VOCABULARY, WIDTH)
    assert safe.embeddings.position.weight.shape == (LENGTH, WIDTH)
    torch.testing.assert_close(embed(safe), embed(student), atol=1e-3, rtol=1e-3)


def test_a_tanh_model_gets_it_nearly() -> None:
    student = make_student(rank=WIDTH - 1, hidden_act="tanh")
    error = (embed(self_attentive_embedding(student, WIDTH, 3, 2 * WIDTH)) - embed(student)).norm()
    assert error < 0.02 * embed(student).norm()


def test_a_falling_spectrum_is_kept_as_well_as_by_the_linear_map() -> None:
    student = make_student(rank=HIDDEN, decay=0.85)
    full = embed(student)

    def error(other: Student) -> float:
        return float((embed(other) - full).norm() / full.norm())

    safe = error(self_attentive_embedding(student, WIDTH, 3, 2 * WIDTH))
    assert safe < 0.35
    assert safe < 1.3 * error(factorize_embedding(student, WIDTH))
    few_units = error(self_attentive_embedding(student, WIDTH, 3, 8))
    assert safe < few_units < 1


def test_every_part_learns_and_the_start_does_not_move_the_callers_student() -> None:
    student = make_student(rank=HIDDEN)
    before = {k: v.clone() for k, v in student.state_dict().items()}
    safe = self_attentive_embedding(student, WIDTH, 3, 40, torch.arange(VOCABULARY), seed=1)
    assert all(torch.equal(v, before[k]) for k, v in student.state_dict().items())
    ids = torch.randint(0, VOCABULARY, (4, LENGTH))
    optimizer = torch.optim.SGD(safe.parameters(), lr=0.1)
    for _ in range(2):  # after the first step the attention's output is no longer 0
        optimizer.zero_grad()
        safe(ids).logits.square().sum().backward()
        optimizer.step()
    for name, parameter in safe.embeddings.named_parameters():
        if name != "attention.key.full.bias":  # softmax does not see it
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    same = self_attentive_embedding(student, WIDTH, 3, 40, torch.arange(VOCABULARY), seed=1)
    again = self_attentive_embedding(student, WIDTH, 3, 40, torch.arange(VOCABULARY), seed=1)
    assert all(torch.equal(a, b) for a, b in zip(same.state_dict().values(), again.state_dict().values(), strict=True))


def test_carve_makes_a_self_attentive_embedding() -> None:
    student = make_student(rank=WIDTH - 1)
    shape = changed_config(
        student.config,
        embedding_size=WIDTH,
        embedding_projection="self_attentive",
        embedding_num_heads=2,
        embedding_intermediate_size=30,
        num_heads=[2],
        type_vocab_size=0,
    )
    importance = Importance((torch.rand(4),), (torch.rand(16),))
    evidence = Evidence(torch.ones(VOCABULARY), importance=importance)
    carved = carve(student, Goal((0,), shape), evidence).student
    for field in ("embedding_projection", "embedding_size", "embedding_num_heads", "embedding_intermediate_size"):
        assert getattr(carved.config, field) == getattr(shape, field)
    difference = embed(carved)[:, :6] - embed(student)[:, :6]  # type 0
    assert difference.abs().max() < 1e-3


def test_bad_counts_of_heads_are_refused() -> None:
    student = make_student(rank=HIDDEN)
    with pytest.raises(InputError, match="heads"):
        self_attentive_embedding(student, WIDTH, 0, 64)
