"""Hidden width: dimensions of zeros go without a trace, what matters is found, compensation helps, all shapes work."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from edgepack.compress.hidden_size import compensate, cut_hidden, hidden_importance
from edgepack.compress.surgery import rebuild
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from tests.noisy import noisy_student

HIDDEN, KEPT = 16, 10


def make_student(**changes: object) -> Student:
    shape: dict[str, object] = {
        "vocab_size": 30,
        "embedding_size": HIDDEN,
        "embedding_projection": "identity",
        "hidden_size": HIDDEN,
        "num_hidden_layers": 3,
        "num_heads": [3] * 3,
        "head_sizes": [4] * 3,
        "intermediate_sizes": [14] * 3,
        "max_position_embeddings": 8,
        "type_vocab_size": 2,
        "id2label": {0: "a", 1: "b", 2: "c"},
    }
    return noisy_student(StudentConfig(**{**shape, **changes})).eval()


def batch_of(size: int, seed: int = 0) -> dict[str, Tensor]:
    ids = torch.randint(0, 30, (size, 7), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
        "labels": torch.arange(size) % 3,
    }


def run(student: Student, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        logits: Tensor = student(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]).logits
    return logits


def summed_loss(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="sum")


SHAPES: dict[str, dict[str, object]] = {
    "identity": {},
    "linear": {"embedding_projection": "linear", "embedding_size": 6},
    "linear with bias": {"embedding_projection": "linear", "embedding_size": 6, "projection_bias": True},
    "norm first": {"embedding_projection": "linear", "embedding_size": 6, "norm_before_projection": True},
    "norm first, as wide": {"embedding_projection": "linear", "embedding_size": 16, "norm_before_projection": True},
    "self-attentive": {
        "embedding_projection": "self_attentive",
        "embedding_size": 6,
        "embedding_num_heads": 2,
        "embedding_intermediate_size": 9,
    },
    "shared": {
        "attention_sharing": [0, 0, 0],
        "ffn_sharing": [0, 1, 1],
        "num_heads": [3],
        "head_sizes": [4],
        "intermediate_sizes": [14, 5],
    },
    "low rank": {"ranks": {"query": [2, 0, 3], "output": [3, 3, 0], "up": [4, 4, 4], "down": [0, 4, 4]}},
    "relative": {"relative_attention_buckets": 8},
    "tokens": {"task": "token-classification", "head_act": None},
    "no norm": {"norm": "no_norm"},
}


@pytest.mark.parametrize("name", SHAPES)
def test_dimensions_that_nothing_writes_leave_without_a_trace(name: str) -> None:
    """With zeros written to the dropped dimensions and kept ones centred, only the norms' √(H / h) is left."""
    student, batch = make_student(**SHAPES[name]), batch_of(4)
    kept = torch.tensor([0, 2, 3, 5, 6, 9, 10, 12, 14, 15])
    dropped = [i for i in range(HIDDEN) if i not in kept.tolist()]

    def centre(tensor: Tensor, dim: int) -> None:
        """Zeros at the dropped numbers along `dim`, kept ones moved to mean 0."""
        moved = tensor.movedim(dim, -1)
        moved[..., dropped] = 0
        moved[..., kept] -= moved[..., kept].mean(-1, keepdim=True)

    config = student.config
    with torch.no_grad():
        embeddings = student.embeddings
        at_hidden = config.sum_size == HIDDEN and not config.norm_before_projection
        if at_hidden:
            centre(embeddings.position.weight, 1)
            centre(embeddings.token_type.weight, 1)
        if config.embedding_projection == "identity":
            centre(embeddings.word.weight, 1)
        if embeddings.projection is not None:
            centre(embeddings.projection.weight, 0)
            if embeddings.projection.bias is not None:
                centre(embeddings.projection.bias, 0)
        writers = [m for a in student.attention for m in (a.output.factors()[-1],)]
        writers += [f.down.factors()[-1] for f in student.feed_forward]
        norms = [*student.attention_norms, *student.ffn_norms]
        if config.embedding_projection == "self_attentive":
            writers.append(embeddings.feed_forward.down.full)
            norms.append(embeddings.output_norm)
        elif not config.norm_before_projection:
            norms.append(embeddings.norm)
        for writer in writers:
            centre(writer.weight, 0)
            centre(writer.bias, 0)
        for norm in norms:
            norm.weight.copy_(torch.where(torch.isin(torch.arange(HIDDEN), kept), 1.3, 0.0))
            norm.bias.zero_()
        cut = cut_hidden(student, kept, torch.arange(HIDDEN)[:KEPT] if student.head.dense is not None else None)
        if student.head.dense is not None:  # the head's other units must not count in the wide one either
            student.head.classifier.weight[:, KEPT:] = 0
        if config.norm == "layer_norm":
            for norm in (*cut.attention_norms, *cut.ffn_norms):
                norm.weight.mul_(math.sqrt(HIDDEN / KEPT))
            if config.embedding_projection == "self_attentive":
                cut.embeddings.output_norm.weight.mul_(math.sqrt(HIDDEN / KEPT))
            elif not config.norm_before_projection:
                cut.embeddings.norm.weight.mul_(math.sqrt(HIDDEN / KEPT))
    assert cut.config.hidden_size == KEPT
    assert cut.config.num_heads == config.num_heads
    torch.testing.assert_close(run(cut, batch), run(student, batch), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_cut_and_compensation_brings_it_nearer(name: str) -> None:
    student, batches = make_student(**SHAPES[name]), [batch_of(60, seed) for seed in (1, 2)]
    before = {k: v.clone() for k, v in student.state_dict().items()}
    kept, head_kept = torch.arange(HIDDEN - 4), torch.arange(4, HIDDEN)
    if student.head.dense is None:
        head_kept = None
    cut = cut_hidden(student, kept, head_kept)
    as_cut = {k: v.clone() for k, v in cut.state_dict().items()}
    fitted = compensate(cut, student, kept, batches, head_kept)
    assert all(torch.equal(v, before[k]) for k, v in student.state_dict().items())
    assert all(torch.equal(v, as_cut[k]) for k, v in cut.state_dict().items())
    unseen = batch_of(40, 3)

    def error(other: Student) -> float:
        with torch.no_grad():
            inputs = (unseen["input_ids"], unseen["attention_mask"], unseen["token_type_ids"])
            states = [s(*inputs, output_hidden_states=True).hidden_states[-1] for s in (other, student)]
        return float((states[0] - states[1][..., kept])[unseen["attention_mask"].bool()].square().mean())

    assert error(fitted) < error(cut)


def test_fitting_a_norm_and_a_matrix_undoes_the_cut_of_empty_dimensions() -> None:
    """The same student, one dimension of each layer's writers scaled: the fit must find what the test above puts in."""
    student, batches = make_student(norm="no_norm"), [batch_of(60, 1)]
    kept = torch.arange(HIDDEN)
    scrambled = cut_hidden(student, kept, kept)
    with torch.no_grad():
        for norm in scrambled.ffn_norms:
            norm.weight.mul_(0.5)
            norm.bias.add_(1.0)
    fitted = compensate(scrambled, student, kept, batches, kept)
    torch.testing.assert_close(run(fitted, batches[0]), run(student, batches[0]), atol=2e-2, rtol=1e-2)
    assert (run(scrambled, batches[0]) - run(student, batches[0])).abs().max() > 0.1


@pytest.mark.parametrize("kept", [[3], list(range(KEPT))])
def test_inputs_that_never_change_are_fitted_too(kept: list[int]) -> None:
    """A norm of one number gives them, and so do the first tokens of equal texts."""
    full, batch = make_student(), {name: value[:1].expand(4, -1) for name, value in batch_of(4).items()}
    cut = cut_hidden(full, torch.tensor(kept))
    fitted = compensate(cut, full, torch.tensor(kept), [batch])
    wanted, before, after = (run(student, batch) for student in (full, cut, fitted))
    assert (after - wanted).abs().mean() < (before - wanted).abs().mean()


def test_importance_is_the_change_of_the_loss_when_a_dimension_is_masked() -> None:
    student, batch = make_student(), batch_of(1)
    measured = hidden_importance(student, [batch], summed_loss)
    step = 1e-3
    double = make_student().double()
    for dimension in (0, 7):
        losses = []
        for sign in (1, -1):

            def scale(_: object, __: object, output: Tensor, sign: int = sign, dimension: int = dimension) -> Tensor:
                mask = torch.ones(HIDDEN, dtype=output.dtype)
                mask[dimension] += sign * step
                return output * mask

            points = [double.embeddings, *double.attention_norms, *double.ffn_norms]
            handles = [p.register_forward_hook(scale) for p in points]
            losses.append(float(summed_loss(run(double, batch), batch)))
            for handle in handles:
                handle.remove()
        expected = abs(losses[0] - losses[1]) / (2 * step)
        assert float(measured.hidden[dimension]) == pytest.approx(expected, rel=2e-2, abs=1e-4)
    assert not student.embeddings._forward_hooks
    assert measured.head is not None
    assert make_student(task="token-classification", head_act=None).head.dense is None


def test_importance_finds_head_units_that_do_nothing() -> None:
    student = make_student()
    with torch.no_grad():
        student.head.classifier.weight[:, [3, 8]] = 0
    measured = hidden_importance(student, [batch_of(8)], summed_loss)
    assert measured.head is not None
    assert np.flatnonzero(measured.head.numpy() == 0).tolist() == [3, 8]


@pytest.mark.skipif("head_size" not in StudentConfig().to_dict(), reason="heads have no width of their own yet")
def test_a_head_with_a_width_of_its_own_keeps_it() -> None:
    student, batch = make_student(head_size=5), batch_of(6)
    measured = hidden_importance(student, [batch], summed_loss)
    assert measured.head is not None
    assert measured.head.shape == (5,)
    kept = torch.arange(1, HIDDEN)
    cut = cut_hidden(student, kept)
    assert torch.equal(cut.head.dense.weight, student.head.dense.weight[:, kept])
    assert run(compensate(cut, student, kept, [batch]), batch).shape == (6, 3)


def test_bad_numbers() -> None:
    student = make_student()
    with pytest.raises(InputError, match="0 to 15"):
        cut_hidden(student, torch.tensor([1, 16]))
    with pytest.raises(InputError, match="different"):
        cut_hidden(student, torch.tensor([1, 1]))
    with pytest.raises(InputError, match="head_kept"):
        cut_hidden(student, torch.tensor([1, 2]), torch.tensor([1]))


VECTORS: dict[str, object] = {"task": "feature-extraction", "head_act": None, "pooling": "mean", "normalized": True}


def test_a_narrow_student_still_gives_vectors_of_the_wide_ones_size() -> None:
    full, batch = make_student(**VECTORS), batch_of(40)
    kept = torch.arange(KEPT)
    cut = cut_hidden(full, kept)
    assert (cut.config.hidden_size, cut.config.vector_size, cut.config.outputs) == (KEPT, HIDDEN, HIDDEN)
    fitted = compensate(cut, full, kept, [batch])

    def likeness(student: Student) -> float:
        return float((run(student, batch) * run(full, batch)).sum(-1).mean())

    assert likeness(cut) < likeness(fitted) <= 1


def test_zero_dimensions_go_without_a_trace_from_vectors_too() -> None:
    full, batch = make_student(**VECTORS, norm="no_norm"), batch_of(5)
    with torch.no_grad():
        for module in full.modules():
            if type(module).__name__ == "NoNorm":
                module.weight[KEPT:] = 0
                module.bias[KEPT:] = 0
    torch.testing.assert_close(run(cut_hidden(full, torch.arange(KEPT)), batch), run(full, batch), rtol=0, atol=1e-5)


def test_vectors_without_a_layer_of_their_own_get_other_norms() -> None:
    full, batch = make_student(**VECTORS), batch_of(40)
    bare = rebuild(full, full.state_dict(), norm="no_norm")
    fitted = compensate(bare, full, torch.arange(HIDDEN), [batch])

    def likeness(student: Student) -> float:
        return float((run(student, batch) * run(full, batch)).sum(-1).mean())

    assert fitted.head.classifier is None
    assert likeness(bare) < likeness(fitted)
