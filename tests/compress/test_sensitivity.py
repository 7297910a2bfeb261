"""Sensitivity: measured against a hand-rounded copy; the chosen widths are the best there are."""

from __future__ import annotations

import itertools
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgepack.compress.sensitivity import assign_widths, measure_sensitivity, weight_matrices
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student


def grid(weight: Tensor, bits: int, block_size: int) -> Tensor:
    """A plain symmetric grid over the whole matrix: the measure must take any rounding."""
    step = weight.abs().max() / (2 ** (bits - 1) - 1)
    return torch.round(weight / step) * step


def tiny(task: str, **changes: object) -> Student:
    torch.manual_seed(0)
    student = Student(
        StudentConfig(
            vocab_size=20,
            embedding_size=4,
            hidden_size=8,
            num_hidden_layers=3,
            attention_sharing=[0, 0, 1],
            num_heads=[2, 2],
            head_sizes=[4, 4],
            intermediate_sizes=[12] * 3,
            max_position_embeddings=8,
            task=task,
            head_act="tanh" if task == "text-classification" else None,
            **changes,
        )
    ).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.4)
    return student


def batch_of(size: int, seed: int) -> dict[str, Tensor]:
    ids = torch.randint(0, 20, (size, 6), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_only_the_one_matrix_is_rounded(task: str) -> None:
    student, batches = tiny(task), [batch_of(3, 0), batch_of(2, 1)]
    before = {k: v.clone() for k, v in student.state_dict().items()}
    measured = measure_sensitivity(student, batches, [2, 8], grid)
    assert all(torch.equal(v, before[k]) for k, v in student.state_dict().items())
    rounded = deepcopy(student)
    with torch.no_grad():
        for name in ("query", "key", "value"):
            weight = getattr(rounded.attention[0], name).full.weight
            weight.copy_(grid(weight, 2, 32))
        total, count = 0.0, 0
        for batch in batches:
            inputs = (batch["input_ids"], batch["attention_mask"])
            p, q = (softmax(m(*inputs).logits.numpy().astype(np.float64)) for m in (student, rounded))
            divergence = (p * np.log(p / q)).sum(-1)
            if task == "token-classification":
                divergence = divergence[batch["attention_mask"].bool().numpy()]
            total, count = total + divergence.sum(), count + divergence.size
    assert measured["attention.0.qkv"][2] == pytest.approx(total / count, rel=1e-3)
    assert measured["attention.0.qkv"][2] > 1e-4
    assert all(by_width[8] < by_width[2] for by_width in measured.values())


def test_no_rounding_costs_nothing() -> None:
    student, batches = tiny("text-classification"), [batch_of(4, 0)]
    measured = measure_sensitivity(student, batches, [3], lambda weight, bits, block: weight)
    assert all(by_width[3] == pytest.approx(0, abs=1e-12) for by_width in measured.values())


def test_matrices_are_named_as_in_the_config_and_cover_all() -> None:
    student = tiny("text-classification", ranks={"up": [3, 0, 3], "query": [2, 0]})
    matrices = weight_matrices(student)
    assert set(matrices) == {
        *(f"attention.{s}.{m}" for s in (0, 1) for m in ("qkv", "output")),
        *(f"feed_forward.{s}.{m}" for s in (0, 1, 2) for m in ("up", "down")),
        "embeddings.projection",
        "head.dense",
        "head.classifier",
    }
    assert len(matrices["attention.0.qkv"]) == 4  # query is two factors
    covered = sum(linear.weight.numel() for linears in matrices.values() for linear in linears)
    every = sum(m.weight.numel() for m in student.modules() if isinstance(m, torch.nn.Linear))
    assert covered == every


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_assigned_widths_are_the_best_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    names, widths = ["a", "b", "c", "d"], [2, 3, 4, 8]
    sensitivity = {n: dict(zip(widths, sorted(generator.exponential(size=4))[::-1], strict=True)) for n in names}
    sizes = {n: {b: int(generator.integers(1, 50)) * b for b in widths} for n in names}
    least = sum(min(s.values()) for s in sizes.values())
    budget = least + int(generator.integers(0, 300))
    chosen = assign_widths(sensitivity, sizes, budget)
    best = min(
        sum(sensitivity[n][b] for n, b in zip(names, choice, strict=True))
        for choice in itertools.product(widths, repeat=4)
        if sum(sizes[n][b] for n, b in zip(names, choice, strict=True)) <= budget
    )
    assert sum(sizes[n][chosen[n]] for n in names) <= budget
    assert sum(sensitivity[n][chosen[n]] for n in names) == pytest.approx(best)
    with pytest.raises(InputError, match="do not fit"):
        assign_widths(sensitivity, sizes, least - 1)
