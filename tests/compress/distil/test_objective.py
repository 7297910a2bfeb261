"""What every loss owes: padding, gradients, types, shapes. And the sum of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap
from edgepack.compress.distil.objective import LOSSES, Objective
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.relations import Relations
from edgepack.compress.distil.signals import Loss, Shapes, Signals, Vectors
from edgepack.compress.distil.soft_targets import HardLabels, SoftTargets
from edgepack.errors import InputError

SETTINGS: dict[str, dict[str, int]] = {"relations": {"relation_heads": 4}, "output_space": {"classes": 3}}
ALL = [kind(**SETTINGS.get(name, {})) for name, kind in LOSSES.items()]
IMITATED = [loss for loss in ALL if not isinstance(loss, (HardLabels, LearnedMap, OutputSpace))]
SHAPES = [
    {},
    {"states": (4, 7)},
    {"hidden": (4, 6), "heads": (2, 3)},
    {"hidden": (6, 4), "heads": (3, 2), "states": (4, 4)},
]

every_loss = pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def mapped_tensors(signals: Signals, change: Callable[[Tensor], Tensor]) -> Signals:
    """`change` applied to every state and vector of both."""
    assert signals.teacher_vectors is not None

    def vectors(of: Vectors) -> Vectors:
        return Vectors(*(change(getattr(of, field.name)) for field in fields(Vectors)))

    teacher = tuple(vectors(signals.teacher_vectors(i)) for i in range(len(signals.student_vectors)))
    return replace(
        signals,
        student_states=tuple(map(change, signals.student_states)),
        teacher_states=tuple(map(change, signals.teacher_states)),
        student_vectors=tuple(map(vectors, signals.student_vectors)),
        teacher_vectors=teacher.__getitem__,
    )


def other_padding(signals: Signals) -> Signals:
    """The same real tokens, something else in the padding."""
    padding = signals.mask == 0

    def change(x: Tensor) -> Tensor:
        here = padding[:, :, None] if x.dim() == 3 else padding[:, None, :, None]
        return torch.where(here, 17 * torch.ones_like(x) + torch.randn_like(x), x)

    return mapped_tensors(signals, change)


def require_gradients(signals: Signals) -> tuple[list[Tensor], list[Tensor]]:
    """Ask for the gradients of all the student's tensors, and of all the teacher's."""
    assert signals.teacher_vectors is not None
    own, other = [signals.student_logits, *signals.student_states], [signals.teacher_logits, *signals.teacher_states]
    for layer, vectors in enumerate(signals.student_vectors):
        own += [vectors.queries, vectors.keys, vectors.values]
        theirs = signals.teacher_vectors(layer)
        other += [theirs.queries, theirs.keys, theirs.values]
    for tensor in own + other:
        tensor.requires_grad_()
    return own, other


@every_loss
@every_shape
def test_padding_does_not_matter(
    make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes], loss: Loss, shape: dict
) -> None:
    signals = make_signals(**shape)
    learned = loss.initial(make_shapes(signals), torch.Generator().manual_seed(0))
    changed = other_padding(signals)
    assert not torch.equal(changed.student_states[1], signals.student_states[1])
    torch.testing.assert_close(loss(changed, learned), loss(signals, learned))


@every_loss
@every_shape
def test_the_student_and_what_is_learned_get_gradients_and_the_teacher_none(
    make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes], loss: Loss, shape: dict
) -> None:
    signals = make_signals(**shape)
    learned = loss.initial(make_shapes(signals), torch.Generator().manual_seed(0))
    own, other = require_gradients(signals)
    for value in learned.values():
        value.requires_grad_()
    result = loss(signals, learned)
    assert result.shape == ()
    assert result.dtype == torch.float32
    result.backward()
    reached = [tensor.grad for tensor in own if tensor.grad is not None]
    assert any(gradient.any() for gradient in reached)
    assert all(gradient.isfinite().all() for gradient in reached)
    assert all(tensor.grad is None for tensor in other)
    assert all(value.grad is not None and value.grad.any() for value in learned.values())


@pytest.mark.parametrize("loss", IMITATED, ids=lambda loss: type(loss).__name__)
def test_an_imitation_costs_nothing(
    make_signals: Callable[..., Signals], imitate: Callable[[Signals], Signals], loss: Loss
) -> None:
    signals = make_signals(hidden=(4, 8), heads=(3, 2))
    assert loss(imitate(signals), {}).item() == pytest.approx(0, abs=1e-6)
    assert loss(imitate(signals), {}).item() >= -1e-6
    assert loss(make_signals(), {}).item() > 0.01


@every_loss
def test_half_precision_is_computed_in_single(
    make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes], loss: Loss
) -> None:
    signals = make_signals()
    learned = loss.initial(make_shapes(signals), torch.Generator().manual_seed(0))
    rounded = mapped_tensors(signals, lambda x: x.to(torch.bfloat16))
    single = mapped_tensors(rounded, Tensor.float)
    assert loss(rounded, learned).dtype == torch.float32
    assert torch.equal(loss(rounded, learned), loss(single, learned))


@every_loss
def test_a_loss_without_padding_does_not_see_the_batch(
    make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes], loss: Loss
) -> None:
    """Means, not sums: the same examples twice give the same loss."""
    signals = make_signals()
    learned = loss.initial(make_shapes(signals), torch.Generator().manual_seed(0))
    twice = mapped_tensors(signals, lambda x: torch.cat([x, x]))
    rows = ("student_logits", "teacher_logits", "labels", "mask")
    twice = replace(twice, **{name: torch.cat([getattr(signals, name)] * 2) for name in rows})
    torch.testing.assert_close(loss(twice, learned), loss(signals, learned))


def test_the_total_is_the_weighted_sum_of_the_parts(
    make_signals: Callable[..., Signals], make_shapes: Callable[[Signals], Shapes]
) -> None:
    signals = make_signals(hidden=(4, 6))
    objective = Objective((SoftTargets(weight=2.0), HiddenStates(), LearnedMap(weight=0.5), HiddenStates(weight=3.0)))
    learned = objective.learned(make_shapes(signals), seed=0)
    assert sorted(learned) == ["1.map", "2.map", "2.mixture", "3.map"]
    learned["3.map"] = torch.randn(6, 4)  # each loss gets its own
    expected = [
        2 * SoftTargets()(signals, {}),
        100 * HiddenStates()(signals, {"map": learned["1.map"]}),
        0.5 * LearnedMap()(signals, {"map": learned["2.map"], "mixture": learned["2.mixture"]}),
        3 * HiddenStates()(signals, {"map": learned["3.map"]}),
    ]
    torch.testing.assert_close(objective(signals, learned), torch.stack(expected).sum())


def test_the_prediction_part_leaves_the_hidden_states_out(make_signals: Callable[..., Signals]) -> None:
    signals = make_signals()
    objective = Objective((HiddenStates(), SoftTargets(weight=2.0), HardLabels(weight=0.5)))
    expected = 2 * SoftTargets()(signals, {}) + 0.5 * HardLabels()(signals, {})
    torch.testing.assert_close(objective.prediction(signals), expected)
    with pytest.raises(InputError, match="no prediction loss among hidden_states; importance"):
        Objective((HiddenStates(),)).prediction(signals)


def test_vectors_are_asked_for_where_a_loss_needs_them() -> None:
    assert not Objective((SoftTargets(), HiddenStates())).needs_vectors
    assert Objective((SoftTargets(), Relations())).needs_vectors
    needing = {name for name, kind in LOSSES.items() if kind.needs_vectors}
    assert needing == {"attention_scores", "attention_transfer", "relations", "last_layer_attention"}


def test_a_seed_decides_what_is_learned_first() -> None:
    objective, shapes = Objective((OutputSpace(), OutputSpace())), Shapes(4, 6, 5, 5, 2)
    first, again, other = (objective.learned(shapes, seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.student_weight"], other["0.student_weight"])
    assert not torch.equal(first["0.student_weight"], first["1.student_weight"])


def test_an_objective_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no losses"):
        Objective(())


def test_every_loss_takes_its_weight_by_name() -> None:
    for name, kind in LOSSES.items():
        assert fields(kind)[0].name == "weight", name
        assert kind(weight=0.25).weight == 0.25
