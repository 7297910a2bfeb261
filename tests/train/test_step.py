"""Signals: the student's own vectors in its layers' order, the teacher's out of stored states, and what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.objective import Objective
from edgepack.compress.distil.relations import Relations
from edgepack.compress.distil.signals import Signals
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train import make_accelerator
from edgepack.train.batches import Batch, Reader
from edgepack.train.state_budget import KeptStates
from edgepack.train.step import Models, StepTask, compute_signals, compute_step
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs, save_teacher_outputs
from tests.noisy import noisy_student

LAYERS, CPU = 3, torch.device("cpu")
INDICES = np.array([1, 4, 2])


def make_student(attention_sharing: list[int] | None = None) -> Student:
    config = StudentConfig(
        vocab_size=30,
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=LAYERS,
        attention_sharing=attention_sharing,
        num_heads=[4] * (max(attention_sharing or [2]) + 1),
        head_sizes=[4] * (max(attention_sharing or [2]) + 1),
        intermediate_sizes=[24] * LAYERS,
        max_position_embeddings=16,
        head_act="tanh",
        task="text-classification",
        id2label={0: "a", 1: "b"},
    )
    return noisy_student(config, 0.2).eval()


def make_data() -> Encoded:
    generator = np.random.default_rng(0)
    lengths = np.array([3, 9, 5, 7, 4, 12])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(offsets[-1])
    ids = generator.integers(0, 30, total).astype(np.int32)
    return Encoded(ids, np.zeros(total, np.int8), offsets, generator.integers(0, 2, len(lengths)))


def read(outputs: TeacherOutputs) -> Batch:
    return Reader(make_data(), outputs, 0, 16, 10_000).read(INDICES)[0]


def signals_of(student: Student, outputs: TeacherOutputs) -> tuple[Signals, Batch]:
    batch = read(outputs)
    return compute_signals(Models(student, outputs, make_accelerator("cpu")), batch, 0.0, True), batch


def vectors_of(student: Student, batch: Batch, layer: int) -> list[Tensor]:
    """Queries, keys and values by the layer's weights, out of the state that enters it."""
    with torch.no_grad():
        output = student(
            batch.inputs["input_ids"],
            batch.inputs["attention_mask"],
            batch.inputs["token_type_ids"],
            output_hidden_states=True,
        )
        attention = student.attention[(student.config.attention_sharing or [])[layer]]
        state = output.hidden_states[layer]
        found = []
        for name in ("query", "key", "value"):
            linear = getattr(attention, name).full
            projected = state @ linear.weight.T + linear.bias
            found.append(torch.stack(projected.split(4, dim=-1), dim=1))
    return found


def saved(folder: Path, layers: list[int], with_inputs: bool = False, teacher: Student | None = None) -> TeacherOutputs:
    own, data, quiet = make_student(), make_data(), Console(quiet=True)
    states = {0, *(layer + 1 for layer in layers), *(layers if with_inputs else ())}
    save_teacher_outputs(own, data, KeptStates(tuple(sorted(states))), folder, quiet, device=CPU, bf16=False)
    return load_teacher_outputs(folder, layers, teacher)


@pytest.mark.parametrize("sharing", [None, [0, 1, 0]])
def test_student_vectors_are_each_layers_own(tmp_path: Path, sharing: list[int] | None) -> None:
    student = make_student(sharing)
    outputs = saved(tmp_path, [0, 1, 2], teacher=make_student())
    signals, batch = signals_of(student, outputs)
    assert len(signals.student_vectors) == LAYERS
    for layer, vectors in enumerate(signals.student_vectors):
        for found, expected in zip(
            (vectors.queries, vectors.keys, vectors.values), vectors_of(student, batch, layer), strict=True
        ):
            torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)  # bf16 where it is native
            assert found.requires_grad
    assert all(module.vectors is None for module in student.attention)


def test_teacher_vectors_are_those_of_a_forward_pass(tmp_path: Path) -> None:
    teacher = make_student()
    outputs = saved(tmp_path, [0, 2], with_inputs=True, teacher=teacher)
    student = make_student()
    signals, batch = signals_of(student, outputs)
    assert signals.teacher_vectors is not None
    real = batch.inputs["attention_mask"].bool()
    for layer, teacher_layer in enumerate([0, 2]):
        vectors = signals.teacher_vectors(layer)
        expected = vectors_of(teacher, batch, teacher_layer)
        for found, exact in zip((vectors.queries, vectors.keys, vectors.values), expected, strict=True):
            kept = real[:, None, :, None].expand_as(exact)
            torch.testing.assert_close(found.float()[kept], exact[kept], rtol=0.05, atol=0.05)
            assert not found.requires_grad


def test_a_state_that_was_not_kept_is_named(tmp_path: Path) -> None:
    signals, _ = signals_of(make_student(), saved(tmp_path, [0, 2], teacher=make_student()))
    assert signals.teacher_vectors is not None
    signals.teacher_vectors(0)
    with pytest.raises(InputError, match="layer 1, and the state that enters it is not among those kept"):
        signals.teacher_vectors(1)


def test_vectors_without_the_teachers_layers_are_refused(tmp_path: Path) -> None:
    signals, _ = signals_of(make_student(), saved(tmp_path, [0, 1, 2]))
    assert signals.teacher_vectors is not None
    with pytest.raises(InputError, match="load the teacher's outputs with its layers"):
        signals.teacher_vectors(0)


def test_importance_is_of_the_prediction_losses_only(tmp_path: Path) -> None:
    outputs = saved(tmp_path, [0, 1, 2], teacher=make_student())
    student = make_student()
    with torch.no_grad():
        for parameter in student.attention.parameters():
            parameter.mul_(0.7)

    def importance(*losses: SoftTargets | HiddenStates | Relations) -> list[Tensor]:
        student.zero_grad()
        models = Models(student, outputs, make_accelerator("cpu"))
        result = compute_step(models, [read(outputs)], StepTask(Objective(losses), {}, 0.0, watch=True))
        assert result.importance is not None
        return [*result.importance.heads, *result.importance.units]

    alone = importance(SoftTargets())
    among = importance(SoftTargets(), HiddenStates(weight=1000.0), Relations(relation_heads=4))
    assert all(torch.equal(one, other) for one, other in zip(alone, among, strict=True))
    double = importance(replace(SoftTargets(), weight=2.0))
    for one, other in zip(alone, double, strict=True):
        torch.testing.assert_close(other, 2 * one, rtol=0.05, atol=1e-6)
