"""Files hold the steps that were learned, in each format that stores blocks, in no more bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.build.single_stage import export_student
from edgepack.console import Console
from edgepack.export import export
from edgepack.plan.size import model_size
from edgepack.runtime import load
from edgepack.student.model import Student
from edgepack.target import Target, load_target

Make = Callable[..., Student]
Inputs = Callable[..., dict[str, torch.Tensor]]
FORMATS = [
    *(("linux-onnx", bits) for bits in (4, 3, 2, 1)),
    ("android-torchscript", 4),
    pytest.param("android-litert", 4, marks=pytest.mark.needs_litert),
    pytest.param("android-executorch", 4, marks=[pytest.mark.needs_executorch, pytest.mark.slow]),
    pytest.param("ios-coreai", 4, marks=pytest.mark.needs_coreai),
]
PACKAGES = {"android-litert": "ai_edge_litert", "android-executorch": "executorch", "ios-coreai": "coreai"}


def learned(student: Student) -> Student:
    """The student with steps other than its weights would have."""
    student.learn_scales()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for matrix in student.matrices():
            assert matrix.log_step is not None
            matrix.log_step.add_(0.4 * torch.randn(matrix.log_step.shape, generator=generator))
    return student


def distance(file: Path, target: Target, student: Student, batches: Sequence[dict[str, torch.Tensor]]) -> float:
    """How far the file's outputs are from the student's at most, the median over the batches."""
    session, found = load(file, target), []
    for inputs in batches:
        got = session.run({key: value.numpy() for key, value in inputs.items()})
        with torch.no_grad():
            found.append(np.abs(got - student(**inputs).logits.numpy()).max())
    return float(np.median(found))


@pytest.mark.parametrize(("name", "bits"), FORMATS)
def test_files_compute_with_the_learned_steps(
    name: str, bits: int, make_student: Make, make_inputs: Inputs, tmp_path: Path
) -> None:
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    student, target = learned(make_student(bits, 8 if bits == 4 else bits)), load_target(name)
    artifact = export(student, target, tmp_path)
    if target.activations != "example":
        student.round_activations_by(target.activations)
    batches = [make_inputs((length,)) for length in (4, 7, 12)]
    with_steps = distance(artifact.path, target, student, batches)
    predicted = model_size(student.config, target).total
    student.forget_scales()
    by_weights = distance(artifact.path, target, student, batches)
    assert with_steps < 0.1  # as far as such files are from any student of 4 bits
    assert with_steps < by_weights / 20
    if name in ("linux-onnx", "android-torchscript"):
        assert predicted == artifact.size_bytes


def test_other_widths_have_steps_by_the_weights(make_student: Make, make_inputs: Inputs, tmp_path: Path) -> None:
    student, target = learned(make_student(2, 4)), load_target("linux-onnx")
    student.save_pretrained(tmp_path / "student")
    export_student(tmp_path / "student", ("linux-onnx",), tmp_path / "out", 4, None, Console(quiet=True))
    student.forget_scales()
    student.set_bits(4, 4)
    assert distance(next((tmp_path / "out").rglob("*.onnx")), target, student, [make_inputs((7,))]) < 0.05


def test_steps_of_a_matrix_with_a_width_of_its_own_are_not_kept_at_another(
    make_student: Make, make_inputs: Inputs, tmp_path: Path
) -> None:
    """`--body-bits` is of every matrix: where it is the body's own, single widths go all the same."""
    student, target = make_student(4, 4), load_target("linux-onnx")
    student.config.widths = {"attention.0.qkv": 2, "feed_forward.0.up": 2}
    student.set_bits(4, 4)
    learned(student).save_pretrained(tmp_path / "student")
    export_student(tmp_path / "student", ("linux-onnx",), tmp_path / "out", 4, None, Console(quiet=True))
    student.config.widths = {}
    student.forget_scales()
    student.set_bits(4, 4)
    assert distance(next((tmp_path / "out").rglob("*.onnx")), target, student, [make_inputs((7,))]) < 0.05
