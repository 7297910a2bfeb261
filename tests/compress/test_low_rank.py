"""Factorization: exact at full rank, best in the norm that was asked for below it; the best ranks for a budget."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.compress.knapsack import choose_options
from edgepack.compress.low_rank import (
    Ranks,
    body_matrices,
    factorize,
    factorize_matrices,
    fisher_moments,
    input_moments,
    rank_of,
)
from edgepack.compress.ranks import allocate_ranks, choose_ranks, rank_options
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from tests.noisy import noisy_student


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 999))
def test_full_rank_reconstructs(rows: int, columns: int, seed: int) -> None:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    up, down = factorize(weight, min(rows, columns))
    torch.testing.assert_close(up @ down, weight, atol=1e-5, rtol=1e-5)


def test_error_is_the_discarded_singular_values() -> None:
    weight = torch.randn(9, 7)
    singular = torch.linalg.svdvals(weight)
    for rank in range(1, 7):
        up, down = factorize(weight, rank)
        assert up.shape == (9, rank)
        assert down.shape == (rank, 7)
        torch.testing.assert_close((weight - up @ down).norm(), singular[rank:].norm(), atol=1e-4, rtol=1e-4)


def test_the_input_moment_lowers_the_error_on_such_inputs() -> None:
    weight, inputs = torch.randn(16, 12), torch.randn(500, 12) * torch.logspace(0, -2, 12)
    moment = inputs.T @ inputs / len(inputs)

    def output_error(factors: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return (inputs @ (weight - factors[0] @ factors[1]).T).norm()

    assert output_error(factorize(weight, 3, moment)) < 0.9 * output_error(factorize(weight, 3))


def tiny(**changes: object) -> Student:
    shape: dict[str, object] = {
        "vocab_size": 20,
        "embedding_size": 8,
        "embedding_projection": "identity",
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_heads": [2, 2],
        "head_sizes": [4, 4],
        "intermediate_sizes": [12, 12],
        "max_position_embeddings": 8,
    }
    return noisy_student(StudentConfig(**{**shape, **changes})).eval()


def batch_of(size: int, seed: int = 0) -> dict[str, torch.Tensor]:
    ids = torch.randint(0, 20, (size, 6), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    labels = torch.arange(size) % 2
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids), "labels": labels}


def summed_loss(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="sum")


def test_input_moments_are_means_over_real_tokens_of_all_layers_that_share() -> None:
    student = tiny(attention_sharing=[0, 0], ffn_sharing=[0, 0], num_heads=[2], head_sizes=[4], intermediate_sizes=[12])
    batch = batch_of(3)
    moments = input_moments(student, [batch])
    with torch.no_grad():
        states = student(batch["input_ids"], batch["attention_mask"], output_hidden_states=True).hidden_states
    rows = torch.cat([state[batch["attention_mask"].bool()] for state in states[:2]]).numpy()  # inputs of both layers
    np.testing.assert_allclose(moments["attention.0.query"].numpy(), rows.T @ rows / len(rows), rtol=1e-4, atol=1e-5)
    assert moments["feed_forward.0.down"].shape == (12, 12)
    assert not student.attention[0].query.full._forward_pre_hooks


def test_fisher_moments_are_mean_squares_of_single_examples_gradients() -> None:
    student, batch = tiny(), batch_of(3)
    moments = fisher_moments(student, [batch], summed_loss)
    expected = np.zeros(8)
    for i in range(3):
        student.zero_grad()
        one = {k: v[i : i + 1] for k, v in batch.items()}
        logits = student(one["input_ids"], one["attention_mask"], one["token_type_ids"]).logits
        summed_loss(logits, one).backward()
        expected += (student.attention[1].value.full.weight.grad.numpy() ** 2).mean(0) / 3
    np.testing.assert_allclose(moments["attention.1.value"].diagonal().numpy(), expected, rtol=1e-3, atol=1e-9)
    assert torch.equal(moments["attention.1.value"], torch.diag(moments["attention.1.value"].diagonal()))


def test_fwsvd_is_the_svd_of_the_weighted_rows_as_the_paper_writes_it() -> None:
    weight = torch.randn(6, 5, dtype=torch.double)
    fisher = torch.rand(5, dtype=torch.double) + 0.1
    up, down = factorize(weight, 2, torch.diag(fisher))
    rows = np.diag(np.sqrt(fisher.numpy()))  # Î; the paper's W is (in, out)
    u, s, vt = np.linalg.svd(rows @ weight.numpy().T, full_matrices=False)
    paper = np.linalg.inv(rows) @ (u[:, :2] * s[:2]) @ vt[:2]
    np.testing.assert_allclose((up @ down).numpy(), paper.T, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_allocated_ranks_are_the_best_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shapes = {str(i): tuple(int(x) for x in generator.integers(2, 7, 2)) for i in range(3)}
    spectra = {n: torch.from_numpy(np.sort(generator.exponential(size=min(s)))[::-1].copy()) for n, s in shapes.items()}

    def options(name: str) -> list[tuple[int, int, float]]:
        rows, columns = shapes[name]
        listed = [(r, r * (rows + columns), float(spectra[name][:r].sum())) for r in range(1, min(shapes[name]) + 1)]
        cheap = [each for each in listed if each[1] < rows * columns]
        return [*cheap, (0, rows * columns, float(spectra[name].sum()))]

    least = sum(min(cost for _, cost, _ in options(n)) for n in shapes)
    budget = least + int(generator.integers(0, 60))
    best = max(
        sum(gain for _, _, gain in choice)
        for choice in itertools.product(*(options(n) for n in shapes))
        if sum(cost for _, cost, _ in choice) <= budget
    )
    chosen = allocate_ranks(spectra, shapes, budget)
    picked = [next(o for o in options(n) if o[0] == chosen[n]) for n in shapes]
    assert sum(cost for _, cost, _ in picked) <= budget
    assert sum(gain for _, _, gain in picked) == pytest.approx(best)
    with pytest.raises(InputError, match="do not fit"):
        allocate_ranks(spectra, shapes, least - 1)


def test_a_coarse_step_still_keeps_the_budget() -> None:
    generator = np.random.default_rng(0)
    costs = [sorted(generator.integers(1, 10**6, 5).tolist()) for _ in range(8)]
    gains = [sorted(generator.random(5).tolist()) for _ in range(8)]
    budget = sum(c[2] for c in costs)
    picks = choose_options(costs, gains, budget)
    assert sum(c[p] for c, p in zip(costs, picks, strict=True)) <= budget
    assert sum(g[p] for g, p in zip(gains, picks, strict=True)) > sum(g[2] for g in gains) - 1e-9


def planned_ranks(rank: int) -> Ranks:
    return {m: [rank] * 2 for m in ("query", "key", "value", "output", "up", "down")}


def body_parameters(student: Student) -> int:
    body = [p for n, p in student.named_parameters() if n.split(".")[0] in ("attention", "feed_forward")]
    return sum(p.numel() for p in body if p.dim() == 2)


def test_a_students_ranks_fit_its_parameters_and_weighing_by_inputs_keeps_its_logits_better() -> None:
    student, batch = (
        tiny(hidden_size=24, embedding_size=24, head_sizes=[12, 12], intermediate_sizes=[40, 40]),
        batch_of(8),
    )
    moments, planned = input_moments(student, [batch]), planned_ranks(8)
    budget = body_parameters(factorize_matrices(student, planned))
    ranks = choose_ranks(student, planned, 1, lambda _: True, moments, relative=True)
    plain, weighted = factorize_matrices(student, ranks), factorize_matrices(student, ranks, moments)
    assert weighted.config.ranks == ranks != planned
    assert budget * 0.95 < body_parameters(weighted) <= budget

    def error(other: Student) -> float:
        with torch.no_grad():
            a = other(batch["input_ids"], batch["attention_mask"], output_hidden_states=True).hidden_states[-1]
            b = student(batch["input_ids"], batch["attention_mask"], output_hidden_states=True).hidden_states[-1]
        return float((a - b)[batch["attention_mask"].bool()].norm())

    assert error(weighted) < 0.9 * error(plain)


def test_chosen_ranks_capture_more_come_in_whole_steps_and_shrink_until_they_fit() -> None:
    student = tiny(hidden_size=24, embedding_size=24, head_sizes=[12, 12], intermediate_sizes=[40, 40])
    with torch.no_grad():  # one matrix is of rank 1: what it does not need is worth more elsewhere
        student.attention[0].query.full.weight.copy_(torch.outer(torch.randn(24), torch.randn(24)))
    matrices, planned = body_matrices(student), planned_ranks(8)

    def captured(ranks: Ranks) -> float:
        singular = {name: np.linalg.svd(m.weight.detach().numpy(), compute_uv=False) for name, m in matrices.items()}
        return sum(float((s[: rank_of(ranks, name) or None] ** 2).sum()) for name, s in singular.items())

    def parameters(ranks: Ranks) -> int:
        return body_parameters(factorize_matrices(student, ranks))

    free = choose_ranks(student, planned, 1, lambda _: True)
    assert free["query"][0] == 1
    assert parameters(free) <= parameters(planned)
    assert captured(free) > captured(planned)
    stepped = choose_ranks(student, planned, 4, lambda _: True)
    assert {rank_of(stepped, name) % 4 for name in matrices} == {0}
    limit = parameters(free) - 300
    fitting = choose_ranks(student, planned, 1, lambda ranks: parameters(ranks) <= limit)
    assert limit - 150 < parameters(fitting) <= limit
    assert choose_ranks(student, planned, 1, lambda _: False) == planned
    assert rank_options(2, 2, 1) == []
    assert rank_options(24, 24, 32) == list(range(1, 12))
