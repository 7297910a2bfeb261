"""Carving: exact steps are exact, pruned equals masked, and the caller's student is left alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgepack.compress.carve import carve
from edgepack.compress.importance import masks, measure_importance
from edgepack.compress.layers import select_layers, spread_layers
from edgepack.compress.low_rank import factorize_matrices
from edgepack.compress.narrow_embedding import factorize_embedding
from edgepack.compress.passes import Evidence, Goal
from edgepack.compress.share_layers import share_layers
from edgepack.compress.tables import fold_token_types, trim_positions, trim_vocabulary
from edgepack.compress.units import Importance, keep_units
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student
from tests.noisy import noisy_student

SEQ = 9


def make_student(**changes: object) -> Student:
    shape: dict[str, object] = {
        "vocab_size": 40,
        "embedding_size": 24,
        "embedding_projection": "identity",
        "hidden_size": 24,
        "num_hidden_layers": 4,
        "num_heads": [4] * 4,
        "head_sizes": [6] * 4,
        "intermediate_sizes": [32] * 4,
        "max_position_embeddings": 16,
        "type_vocab_size": 2,
        "id2label": {0: "a", 1: "b", 2: "c"},
    }
    return noisy_student(StudentConfig(**{**shape, **changes})).eval()


def run(student: Student, ids: Tensor) -> Tensor:
    mask = torch.ones_like(ids)
    mask[0, 6:] = 0
    with torch.no_grad():
        logits: Tensor = student(ids, mask).logits
    return logits


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(0, 40, (3, SEQ), generator=torch.Generator().manual_seed(1))


def test_folding_types_and_trimming_positions_change_nothing(ids: Tensor) -> None:
    student = make_student()
    expected = run(student, ids)
    folded = fold_token_types(student)
    assert folded.config.type_vocab_size == 0
    torch.testing.assert_close(run(folded, ids), expected)
    torch.testing.assert_close(run(trim_positions(folded, SEQ), ids), expected)
    torch.testing.assert_close(run(student, ids), expected)


def test_trimmed_vocabulary_gives_the_same_logits_for_kept_tokens(ids: Tensor) -> None:
    student = make_student()
    kept = [int(i) for i in torch.randperm(40)[:39]]
    missing = next(i for i in range(40) if i not in kept)
    ids = torch.where(ids == missing, kept[0], ids)
    trimmed = trim_vocabulary(student, kept, kept.index(0) if 0 in kept else 0)
    assert trimmed.config.vocab_map == kept
    new_ids = torch.tensor([[kept.index(int(i)) for i in row] for row in ids])
    torch.testing.assert_close(run(trimmed, new_ids), run(student, ids))
    twice = trim_vocabulary(trimmed, [5, 3], 0)
    assert twice.config.vocab_map == [kept[5], kept[3]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_pruned_equals_masked(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    student = make_student()
    ids = torch.randint(0, 40, (2, SEQ), generator=generator)
    head_counts = torch.randint(1, 5, (4,), generator=generator).tolist()
    unit_counts = torch.randint(1, 33, (4,), generator=generator).tolist()
    heads = [torch.randperm(4, generator=generator)[:n].sort().values for n in head_counts]
    units = [torch.randperm(32, generator=generator)[:n].sort().values for n in unit_counts]
    pruned = keep_units(student, heads, units)
    assert pruned.config.num_heads == head_counts
    assert pruned.config.intermediate_sizes == unit_counts
    with masks(student, 1) as (head_masks, unit_masks), torch.no_grad():
        for mask, kept in zip(head_masks + unit_masks, heads + units, strict=True):
            mask.zero_()
            mask[:, kept] = 1
        masked = run(student, ids)
    torch.testing.assert_close(run(pruned, ids), masked, atol=1e-5, rtol=1e-4)


def test_pruning_a_factorized_and_relative_student_equals_masking(ids: Tensor) -> None:
    ranks = {m: [5] * 4 for m in ("query", "key", "value", "output", "up", "down")}
    student = make_student(ranks=ranks, relative_attention_buckets=8)
    heads, units = [torch.tensor([1, 3])] * 4, [torch.arange(3, 20)] * 4
    with masks(student, 1) as (head_masks, unit_masks), torch.no_grad():
        for mask, kept in zip(head_masks + unit_masks, heads + units, strict=True):
            mask.zero_()
            mask[:, kept] = 1
        masked = run(student, ids)
    torch.testing.assert_close(run(keep_units(student, heads, units), ids), masked, atol=1e-5, rtol=1e-4)


def test_full_rank_factorization_and_a_full_width_embedding_keep_the_logits(ids: Tensor) -> None:
    student = make_student()
    expected = run(student, ids)
    ranks = {"query": [24] * 4, "output": [24] * 4, "up": [24, 0, 24, 24], "down": [24] * 4}
    factorized = factorize_matrices(student, ranks)
    assert (factorized.config.ranks or {})["up"] == [24, 0, 24, 24]
    torch.testing.assert_close(run(factorized, ids), expected, atol=1e-4, rtol=1e-3)


def test_embedding_error_is_the_variance_left_out() -> None:
    student = make_student()
    with torch.no_grad():  # a table of rank 5 around its mean needs width 5
        student.embeddings.word.weight.copy_(torch.randn(40, 5) @ torch.randn(5, 24) + torch.randn(24))
    ids = torch.randint(0, 40, (3, SEQ))
    for width, exact in ((8, True), (3, False)):
        narrow = factorize_embedding(student, width, torch.arange(40))
        assert narrow.config.embedding_size == width
        difference = (run(narrow, ids) - run(student, ids)).abs().max().item()
        assert (difference < 1e-3) is exact


def test_selecting_and_sharing_layers(ids: Tensor) -> None:
    student = make_student()
    torch.testing.assert_close(run(select_layers(student, [0, 1, 2, 3]), ids), run(student, ids))
    two = select_layers(student, [1, 3])
    assert two.config.num_hidden_layers == 2
    assert torch.equal(two.attention[1].query.full.weight, student.attention[3].query.full.weight)
    shared = share_layers(student, [0, 1, 1, 2], [0, 1, 1, 2]).student
    assert len(shared.attention) == 3
    reselected = select_layers(shared, [1, 2])
    assert reselected.config.attention_sharing == [0, 0]
    assert len(reselected.attention) == 1


def test_spread_layers_keeps_the_ends() -> None:
    assert spread_layers(6, 6) == [0, 1, 2, 3, 4, 5]
    assert spread_layers(12, 4) == [0, 4, 7, 11]
    assert spread_layers(6, 1) == [5]


def test_importance_finds_the_head_and_unit_that_matter() -> None:
    student = make_student()
    with torch.no_grad():
        student.attention[0].output.full.weight[:, 6:12] = 0  # head 1 of layer 0 does nothing
        student.feed_forward[2].down.full.weight[:, 7] = 0
    ids = torch.randint(0, 40, (8, SEQ))
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
        "labels": torch.randint(0, 3, (8,)),
    }
    importance = measure_importance(
        student, [batch], lambda logits, b: torch.nn.functional.cross_entropy(logits, b["labels"], reduction="sum")
    )
    assert importance.heads[0].argmin() == 1
    assert importance.heads[0][1] == 0
    assert importance.units[2][7] == 0
    assert (importance.units[2] > 0).sum() == 31
    assert all(module.mask is None for module in student.attention)


def test_carve_makes_the_shape_that_was_asked_for(ids: Tensor) -> None:
    student = make_student()
    importance = Importance(tuple(torch.rand(4) for _ in range(4)), tuple(torch.rand(32) for _ in range(4)))
    kept = [0, *range(5, 30)]
    shape = changed_config(
        student.config,
        vocab_size=len(kept),
        vocab_map=kept,
        embedding_size=8,
        embedding_projection="linear",
        num_heads=[2, 1, 3, 4],
        intermediate_sizes=[8, 16, 32, 5],
        max_position_embeddings=12,
        type_vocab_size=0,
    )
    evidence = Evidence(torch.arange(40), importance=importance)
    carved = carve(student, Goal((0, 1, 2, 3), shape), evidence).student
    for field in ("vocab_map", "embedding_size", "num_heads", "intermediate_sizes", "max_position_embeddings"):
        assert getattr(carved.config, field) == getattr(shape, field)
    assert torch.isfinite(run(carved, ids % len(kept))).all()
