"""BERT-of-Theseus: both ends of the curriculum are models that can be built by hand; only the student learns."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgepack.compress.layers import select_layers
from edgepack.compress.module_replacing import (
    Groups,
    ModuleReplacing,
    draw_successors,
    successor_groups,
    theseus_forward,
)
from edgepack.compress.narrow_embedding import add_convolution, factorize_embedding
from edgepack.compress.tables import trim_vocabulary
from edgepack.compress.units import keep_units
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from tests.noisy import noisy_student

KEPT = [0, 1, 2, 5, 9, 11, 17, 23]
GROUPS = ((0, 1), (2, 3))


def make_teacher(**changes: object) -> Student:
    shape: dict[str, object] = {
        "vocab_size": 30,
        "embedding_size": 24,
        "embedding_projection": "identity",
        "hidden_size": 24,
        "num_hidden_layers": 4,
        "num_heads": [4] * 4,
        "head_sizes": [6] * 4,
        "intermediate_sizes": [32] * 4,
        "max_position_embeddings": 16,
        "id2label": {0: "a", 1: "b", 2: "c"},
    }
    return noisy_student(StudentConfig(**{**shape, **changes})).eval()


def make_student(teacher: Student) -> Student:
    """Two of the layers, a trimmed vocabulary, a factorized table, fewer heads and units."""
    student = select_layers(teacher, [1, 3])
    student = factorize_embedding(trim_vocabulary(student, KEPT, 0), 10)
    heads, units = [torch.tensor([0, 2]), torch.tensor([1, 2, 3])], [torch.arange(20), torch.arange(8)]
    return keep_units(student, heads, units)


def make_batch() -> tuple[Tensor, Tensor]:
    ids = torch.randint(0, len(KEPT), (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    return ids, mask


def run(student: Student, teacher: Student, successors: Sequence[bool], groups: Groups = GROUPS) -> Tensor:
    logits: Tensor = theseus_forward(student, teacher, *make_batch(), None, groups, successors).logits
    return logits


def by_hand(student: Student, teacher: Student, plan: list[tuple[Student, int]]) -> list[Tensor]:
    """Hidden states and logits of the student's embedding, these layers of these models, the student's head."""
    ids, attention_mask = make_batch()
    mask = (1.0 - attention_mask[:, None, None].float()) * torch.finfo(torch.bfloat16).min
    x = student.embeddings(ids, None, mask)
    states = [x]
    for model, layer in plan:
        x = model.attention_norms[layer](x + model.attention[layer](x, mask, None))
        x = model.ffn_norms[layer](x + model.feed_forward[layer](x))
        states.append(x)
    return [*states, student.head(x, make_batch()[1])]


def test_with_all_successors_it_is_the_student() -> None:
    teacher = make_teacher()
    student = make_student(teacher)
    output = theseus_forward(student, teacher, *make_batch(), None, GROUPS, (True, True))
    expected = student(*make_batch(), output_hidden_states=True)
    assert torch.equal(output.logits, expected.logits)
    assert len(output.hidden_states) == 3
    for own, other in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert torch.equal(own, other)


def test_with_all_successors_it_is_the_student_with_its_convolution() -> None:
    teacher = make_teacher()
    student = add_convolution(make_student(teacher), 3)
    assert student.embeddings.convolution is not None
    torch.nn.init.normal_(student.embeddings.convolution.weight)
    output = theseus_forward(student, teacher, *make_batch(), None, GROUPS, (True, True))
    expected = student(*make_batch(), output_hidden_states=True)
    assert torch.equal(output.logits, expected.logits)
    for own, other in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert torch.equal(own, other)


def test_every_draw_equals_a_composition_by_hand() -> None:
    teacher = make_teacher()
    student = make_student(teacher)
    seen = []
    for first, second in product((False, True), repeat=2):
        plan = [(student, 0)] if first else [(teacher, 0), (teacher, 1)]
        plan += [(student, 1)] if second else [(teacher, 2), (teacher, 3)]
        *states, logits = by_hand(student, teacher, plan)
        output = theseus_forward(student, teacher, *make_batch(), None, GROUPS, (first, second))
        torch.testing.assert_close(output.logits, logits)
        torch.testing.assert_close(output.hidden_states[1], states[1 if first else 2])
        torch.testing.assert_close(output.hidden_states[2], states[-1])
        seen.append(output.logits)
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(seen) for b in seen[:i])


def test_without_successors_a_student_with_the_teachers_embedding_is_the_teacher() -> None:
    teacher = make_teacher(relative_attention_buckets=8)
    student = select_layers(teacher, [1, 3])
    with torch.no_grad():
        for module in (*student.attention, *student.feed_forward):
            for parameter in module.parameters():
                parameter.zero_()
    torch.testing.assert_close(run(student, teacher, (False, False)), teacher(*make_batch()).logits)
    assert (run(student, teacher, (False, True)) - teacher(*make_batch()).logits).abs().max() > 1e-3


def test_gradients_reach_the_student_through_the_teacher_and_never_the_teacher() -> None:
    teacher = make_teacher()
    student = make_student(teacher)
    before = deepcopy(teacher.state_dict())
    run(student, teacher, (True, False)).square().sum().backward()
    assert all(p.grad is None and p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    for name, parameter in student.named_parameters():
        skipped = name.split(".")[0] in ("attention", "feed_forward", "attention_norms", "ffn_norms")
        if skipped and name.split(".")[1] == "1":
            assert parameter.grad is None, name  # its layer did not run
        elif not name.endswith("key.full.bias"):  # a key's bias shifts all of a row's scores: its gradient is 0
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_the_curriculum_rises_linearly_to_one() -> None:
    curriculum = ModuleReplacing(k=1.0, b=0.3)
    assert [curriculum.rate(t) for t in (0.0, 0.5, 0.7, 1.0)] == pytest.approx([0.3, 0.8, 1.0, 1.0])
    assert ModuleReplacing(k=0.0, b=0.5).rate(1.0) == 0.5
    for wrong in ({"k": -1.0}, {"b": 1.5}, {"b": -0.1}):
        with pytest.raises(InputError, match="module replacing"):
            ModuleReplacing(**wrong)


def test_draws_follow_the_rate_and_the_seed() -> None:
    generator = torch.Generator().manual_seed(0)
    share = sum(map(sum, (draw_successors(4, 0.3, generator) for _ in range(2000)))) / 8000
    assert abs(share - 0.3) < 0.02
    assert draw_successors(9, 1.0, generator) == (True,) * 9
    assert draw_successors(9, 0.0, generator) == (False,) * 9
    first, again = (draw_successors(20, 0.5, torch.Generator().manual_seed(7)) for _ in range(2))
    assert first == again


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
@settings(deadline=None)
def test_groups_part_the_teachers_layers_and_end_with_the_students(drawn: tuple[int, set[int]]) -> None:
    total, chosen = drawn
    layers = sorted(chosen | {total - 1})
    groups = successor_groups(layers, total)
    assert [layer for group in groups for layer in group] == list(range(total))
    assert [group[-1] for group in groups] == layers


def test_what_cannot_stand_in_is_refused() -> None:
    assert successor_groups([1, 3, 5], 6) == ((0, 1), (2, 3), (4, 5))
    for layers in ([], [0, 1], [1, 1, 3], [3, 1], [-1, 3]):
        with pytest.raises(InputError, match="rising"):
            successor_groups(layers, 4)
    teacher = make_teacher()
    student = make_student(teacher)
    for groups in (((0,), (1, 2)), ((0, 1, 2, 3), ()), ((2, 3), (0, 1))):
        with pytest.raises(InputError, match="in order"):
            run(student, teacher, (True, True), groups)
    with pytest.raises(InputError, match="draws"):
        run(student, teacher, (True,))
    wider = make_teacher(hidden_size=30, embedding_size=30)
    with pytest.raises(InputError, match="hidden sizes are 24"):
        run(student, wider, (True, True))
