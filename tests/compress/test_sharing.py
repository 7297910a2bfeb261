"""Sharing: patterns as the papers draw them, exact merging of what is the same, parameters counted on the module."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from edgepack.compress.carve import carve
from edgepack.compress.importance import masks, measure_importance
from edgepack.compress.passes import Evidence, Goal
from edgepack.compress.share_layers import share_layers
from edgepack.compress.sharing import (
    AttentionWeights,
    match_heads,
    mean_attention,
    share_pattern,
    solve_assignment,
)
from edgepack.compress.units import Importance
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student
from tests.noisy import noisy_student

LAYERS, HEADS, SIZE, HIDDEN, UNITS = 4, 3, 4, 16, 10


def make_student(**changes: object) -> Student:
    sets = {"attention_sharing": LAYERS, "ffn_sharing": LAYERS} | {
        k: max(v) + 1 for k, v in changes.items() if k in ("attention_sharing", "ffn_sharing") and isinstance(v, list)
    }
    shape: dict[str, object] = {
        "vocab_size": 30,
        "embedding_size": HIDDEN,
        "embedding_projection": "identity",
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_heads": [HEADS] * sets["attention_sharing"],
        "head_sizes": [SIZE] * sets["attention_sharing"],
        "intermediate_sizes": [UNITS] * sets["ffn_sharing"],
        "max_position_embeddings": 12,
    }
    return noisy_student(StudentConfig(**{**shape, **changes})).eval()


def run(student: Student) -> Tensor:
    ids = torch.randint(0, 30, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    with torch.no_grad():
        logits: Tensor = student(ids, mask).logits
    return logits


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_patterns() -> None:
    assert share_pattern("none", 3) == ([0, 1, 2], [0, 1, 2])
    assert share_pattern("all", 3) == ([0, 0, 0], [0, 0, 0])
    assert share_pattern("attention", 3) == ([0, 0, 0], [0, 1, 2])
    assert share_pattern("ffn", 3) == ([0, 1, 2], [0, 0, 0])
    assert share_pattern("sandwich", 6) == ([0, 1, 1, 1, 1, 2],) * 2
    assert [share_pattern("sandwich", n)[0] for n in (1, 2, 3)] == [[0], [0, 1], [0, 1, 2]]
    with pytest.raises(InputError, match="allowed: none, all"):
        share_pattern("some", 3)
    with pytest.raises(InputError, match="1 or more"):
        share_pattern("all", 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10_000), st.booleans())
def test_assignment_is_the_optimum(n: int, seed: int, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    cost = generator.integers(0, 4, (n, n)).astype(float) if ties else generator.normal(size=(n, n))
    columns = solve_assignment(torch.from_numpy(cost)).numpy()
    assert sorted(columns) == list(range(n))
    assert cost[np.arange(n), columns].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum())


def test_assignment_on_a_bigger_matrix_and_a_wrong_one() -> None:
    cost = np.random.default_rng(0).normal(size=(120, 120))
    columns = solve_assignment(torch.from_numpy(cost)).numpy()
    assert cost[np.arange(120), columns].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum())
    with pytest.raises(InputError, match="square"):
        solve_assignment(torch.zeros(2, 3))


def scrambled(student: Student, seed: int) -> Student:
    """All layers the function of layer 0, each with its own order of heads and units and basis within heads."""
    generator = torch.Generator().manual_seed(seed)
    changed = Student(student.config)
    changed.load_state_dict(student.state_dict())
    with torch.no_grad():
        for layer in range(1, LAYERS):
            target, source = changed.attention[layer], student.attention[0]
            heads = torch.randperm(HEADS, generator=generator)
            rows = (heads[:, None] * SIZE + torch.arange(SIZE)).flatten()
            bases = []
            for _ in range(2):
                blocks = [torch.eye(SIZE) + 0.3 * torch.randn(SIZE, SIZE, generator=generator) for _ in range(HEADS)]
                bases.append(torch.block_diag(*blocks))
            for name, basis in (("query", bases[0]), ("key", bases[0].inverse().T), ("value", bases[1])):
                linear, old = getattr(target, name).full, getattr(source, name).full
                linear.weight.copy_(basis @ old.weight[rows])
                linear.bias.copy_(basis @ old.bias[rows])
            target.output.full.weight.copy_(source.output.full.weight[:, rows] @ bases[1].inverse())
            target.output.full.bias.copy_(source.output.full.bias)
            units = torch.randperm(UNITS, generator=generator)
            up, down = changed.feed_forward[layer].up.full, changed.feed_forward[layer].down.full
            up.weight.copy_(student.feed_forward[0].up.full.weight[units])
            up.bias.copy_(student.feed_forward[0].up.full.bias[units])
            down.weight.copy_(student.feed_forward[0].down.full.weight[:, units])
            down.bias.copy_(student.feed_forward[0].down.full.bias)
    return changed.eval()


@pytest.mark.parametrize("kind", ["all", "attention", "ffn", "sandwich"])
def test_layers_that_are_the_same_but_for_order_and_basis_merge_exactly(kind: str) -> None:
    student = scrambled(make_student(), seed=3)
    before = {k: v.clone() for k, v in student.state_dict().items()}
    shared = share_layers(student, *share_pattern(kind, LAYERS)).student
    torch.testing.assert_close(run(shared), run(student), atol=2e-4, rtol=1e-3)
    assert all(torch.equal(v, before[k]) for k, v in student.state_dict().items())
    # averaging the same layers unmatched is not exact, so the above says something about the matching
    if kind == "all":
        blurred = Student(shared.config).eval()
        blurred.load_state_dict(shared.state_dict())
        with torch.no_grad():
            ups = torch.stack([f.up.full.weight for f in student.feed_forward])
            blurred.feed_forward[0].up.full.weight.copy_(ups.mean(0))
        assert (run(blurred) - run(student)).abs().max() > 1e-2


def attention_weights(seed: int) -> AttentionWeights:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.double)

    inner = HEADS * SIZE
    rows = [draw(inner, HIDDEN), draw(inner), draw(inner, HIDDEN), draw(inner, HIDDEN), draw(inner)]
    return AttentionWeights(*rows, draw(HIDDEN, inner), draw(HIDDEN), HEADS)


def test_the_mean_of_two_heads_is_the_best_of_its_rank() -> None:
    first, second = attention_weights(0), attention_weights(1)
    match = match_heads(first, second)
    assert sorted(match.tolist()) == list(range(HEADS))
    mean = mean_attention([first, second], [torch.arange(HEADS), match])

    def forms(w: AttentionWeights, head: int) -> np.ndarray:
        rows = slice(head * SIZE, (head + 1) * SIZE)
        query = np.column_stack([w.query[rows].numpy(), w.query_bias[rows].numpy()])
        return query.T @ w.key[rows].numpy()

    for head in range(HEADS):
        target = (forms(first, head) + forms(second, int(match[head]))) / 2
        error = np.linalg.norm(forms(mean, head) - target)
        assert error == pytest.approx(np.linalg.norm(np.linalg.svd(target)[1][SIZE:]))  # Eckart & Young


def test_a_shared_mask_has_the_sum_of_its_layers_gradients() -> None:
    """Importance of a shared unit counts all its layers: its mask's gradient is the sum of the copies' gradients."""
    shared = make_student(attention_sharing=[0, 1, 1, 2], ffn_sharing=[0] * LAYERS)
    state = {k: v for k, v in shared.state_dict().items() if not k.startswith(("attention.", "feed_forward."))}
    for layer in range(LAYERS):
        for room, sharing in (
            ("attention", shared.config.attention_sharing or []),
            ("feed_forward", shared.config.ffn_sharing or []),
        ):
            prefix = f"{room}.{sharing[layer]}."
            state |= {
                k.replace(prefix, f"{room}.{layer}.", 1): v
                for k, v in shared.state_dict().items()
                if k.startswith(prefix)
            }
    own = make_student()
    own.load_state_dict(state)
    torch.testing.assert_close(run(own), run(shared))
    ids = torch.randint(0, 30, (1, 7), generator=torch.Generator().manual_seed(2))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    measured = measure_importance(shared, [batch], lambda logits, _: logits[:, 0].sum())
    with masks(own, 1) as (heads, units):
        gradients = torch.autograd.grad(own(ids).logits[:, 0].sum(), heads + units)
    torch.testing.assert_close(measured.heads[1], (gradients[1] + gradients[2])[0].abs(), atol=1e-6, rtol=1e-4)
    together = torch.stack([g[0] for g in gradients[LAYERS:]]).sum(0).abs()
    torch.testing.assert_close(measured.units[0], together, atol=1e-6, rtol=1e-4)


def test_carving_shares_first_then_removes_by_the_summed_importance() -> None:
    student = scrambled(make_student(), seed=5)
    shape = changed_config(
        student.config,
        attention_sharing=[0, 0, 0, 0],
        ffn_sharing=[0, 0, 0, 0],
        num_heads=[2],
        head_sizes=[SIZE],
        intermediate_sizes=[6],
        ranks={},
    )
    reference = share_layers(student, [0] * LAYERS, [0] * LAYERS)
    heads, units = reference.attention[0], reference.feed_forward[0]
    assert heads.reference == 2
    scores = Importance(
        tuple(torch.rand(HEADS, generator=torch.Generator().manual_seed(i)) for i in range(LAYERS)),
        tuple(torch.rand(UNITS, generator=torch.Generator().manual_seed(9 + i)) for i in range(LAYERS)),
    )
    summed = [
        sum(float(scores.units[m][index[i]]) for m, index in zip(units.members, units.matches, strict=True))
        for i in range(UNITS)
    ]
    kept = sorted(np.argsort(summed)[-6:].tolist())
    carved = carve(student, Goal(tuple(range(LAYERS)), shape), Evidence(importance=scores)).student
    torch.testing.assert_close(
        carved.feed_forward[0].up.full.weight, reference.student.feed_forward[0].up.full.weight[kept]
    )
    assert carved.config.num_heads == [2]
    assert torch.isfinite(run(carved)).all()


def test_factorized_embedding_counts_as_in_the_paper() -> None:
    """A vocabulary of 100 at width 10 takes 1,000 numbers; with E = 5 it takes 500 + 50 (ALBERT, §3.1)."""
    small = {"vocab_size": 100, "hidden_size": 10, "num_heads": [2] * LAYERS, "head_sizes": [5] * LAYERS}
    full = make_student(**small, embedding_size=10)
    assert full.embeddings.word.weight.numel() == 1_000
    narrow = make_student(**small, embedding_size=5, embedding_projection="linear")
    assert narrow.embeddings.projection is not None
    assert narrow.embeddings.word.weight.numel() == 500
    assert count(narrow.embeddings.projection) == 50
    assert count(full) - count(narrow) == 1_000 - 550


@pytest.mark.parametrize("kind", ["none", "all", "attention", "ffn", "sandwich"])
def test_sharing_counts_parameters_once_and_norms_for_every_layer(kind: str) -> None:
    inner = HEADS * SIZE
    attention = 3 * (inner * HIDDEN + inner) + HIDDEN * inner + HIDDEN
    feed_forward = UNITS * HIDDEN + UNITS + HIDDEN * UNITS + HIDDEN
    sets = {"none": (4, 4), "all": (1, 1), "attention": (1, 4), "ffn": (4, 1), "sandwich": (3, 3)}[kind]
    shared = share_layers(make_student(), *share_pattern(kind, LAYERS)).student
    assert count(shared.attention) == sets[0] * attention
    assert count(shared.feed_forward) == sets[1] * feed_forward
    assert count(shared.attention_norms) == count(shared.ffn_norms) == LAYERS * 2 * HIDDEN
    norms = [*shared.attention_norms, *shared.ffn_norms]
    assert len({id(norm.weight) for norm in norms}) == 2 * LAYERS
    unique = sum(t.numel() for t in {t.data_ptr(): t for t in shared.state_dict().values()}.values())
    assert count(shared) == unique


def test_uneven_layers_cannot_share() -> None:
    student = make_student(intermediate_sizes=[10, 8, 10, 9])
    with pytest.raises(InputError, match="share before pruning"):
        share_layers(student, [0, 1, 2, 3], [0, 0, 0, 0])
    with pytest.raises(InputError, match="4 layers"):
        share_layers(student, [0] * 3, [0] * 3)
