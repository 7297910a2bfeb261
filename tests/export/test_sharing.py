"""Shared layers stay shared in every artifact: stored once, rounded once, and as accurate as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgepack.export import export
from edgepack.plan.size import model_size
from edgepack.runtime import load
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target

LAYERS, HIDDEN, INNER, VOCABULARY = 6, 32, 64, 40
SHARING = {"albert": [0] * LAYERS, "sandwich": [0, 1, 1, 1, 1, 2]}
TARGETS = ("linux-onnx", "android-torchscript")


def make_student(sharing: list[int], bits: int) -> Student:
    sets = max(sharing) + 1
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=VOCABULARY, embedding_size=16, hidden_size=HIDDEN, num_hidden_layers=LAYERS,
        attention_sharing=sharing, ffn_sharing=sharing, num_heads=[4] * sets, head_sizes=[8] * sets,
        intermediate_sizes=[INNER] * sets, max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    student = Student(config)
    student.set_bits(bits, bits)
    return student


def matrix_bytes(sets: int, bits: int) -> int:
    """Bytes of the layers' matrices, each weight set once."""
    return sets * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER) * bits // 8


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("pattern", SHARING)
def test_onnx_stores_each_weight_set_once_as_planned(pattern: str, bits: int, tmp_path: Path) -> None:
    student, target = make_student(SHARING[pattern], bits), load_target("linux-onnx")
    artifact = export(student, target, tmp_path)
    tensors = onnx.load(artifact.path).graph.initializer
    planned = model_size(student.config, target)
    assert {tensor.name: len(tensor.raw_data) for tensor in tensors} == dict(planned.tensors)
    assert artifact.size_bytes == planned.total
    large = [tensor.raw_data for tensor in tensors if len(tensor.raw_data) >= 256]
    assert len(large) == len(set(large))
    layers = ("attention.", "feed_forward.")
    stored = sum(len(t.raw_data) for t in tensors if t.name.startswith(layers) or t.name == f"b{bits}.codes")
    others = (
        (32 * HIDDEN + HIDDEN * HIDDEN + HIDDEN * 3) * bits // 8 if bits < 8 else 0
    )  # projection (a whole block) and head
    assert stored == matrix_bytes(max(SHARING[pattern]) + 1, bits) + others


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("pattern", SHARING)
def test_torchscript_stores_each_weight_set_once_as_planned(pattern: str, bits: int, tmp_path: Path) -> None:
    target = load_target("android-torchscript")
    own, shared = (make_student(sharing, bits) for sharing in (list(range(LAYERS)), SHARING[pattern]))
    sizes = [dict(model_size(student.config, target).tensors)["body weights"] for student in (own, shared)]
    artifact = export(shared, target, tmp_path)
    assert artifact.size_bytes == model_size(shared.config, target).total
    fewer = matrix_bytes(LAYERS - max(SHARING[pattern]) - 1, bits)
    multipliers = fewer * 8 // bits // 32 // 2 if bits == 4 else 0
    assert sizes[0] - sizes[1] == fewer + multipliers


@pytest.fixture(scope="module")
def trained() -> tuple[Student, torch.Tensor, torch.Tensor]:
    """A fully shared student that has learned to look at the second token."""
    student = make_student(SHARING["albert"], 32)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, VOCABULARY, (1600, 12), generator=generator)
    labels = ids[:, 1] % 3
    optimizer = torch.optim.AdamW(student.parameters(), 3e-3)
    for step in range(120):
        rows = torch.arange(64) + 64 * (step % 19)
        loss = nn.functional.cross_entropy(student(ids[rows]).logits, labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return student.eval(), ids[1216:], labels[1216:]


@pytest.mark.parametrize("target", TARGETS)
def test_int8_of_a_fully_shared_student_keeps_its_accuracy(target: str, trained: Any, tmp_path: Path) -> None:
    student, ids, labels = trained
    student.set_bits(32, 32)
    with torch.no_grad():
        full = student(ids).logits.argmax(1)
    student.set_bits(8, 8)
    session = load(export(student, load_target(target), tmp_path).path, load_target(target))
    ones = np.ones((1, ids.shape[1]), np.int64)
    got = torch.tensor(
        [int(session.run({"input_ids": row[None].numpy(), "attention_mask": ones})[0].argmax()) for row in ids]
    )
    accuracy = [float((found == labels).float().mean()) for found in (full, got)]
    assert accuracy[0] > 0.8
    assert accuracy[1] >= accuracy[0] - 0.02
    assert float((got == full).float().mean()) >= 0.97
