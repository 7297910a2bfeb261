"""The oldest ONNX Runtime that the targets name runs every scheme, and gives the newest one's goldens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepack.evidence.emulation import Machine, this_python
from edgepack.export.onnx import export_onnx
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target
from edgepack.task.encoded import Encoded

TARGET = load_target("linux-onnx")
VOCABULARY = 60
SCHEMES = [(8, 8), (8, 4), (4, 4), (3, 3), (2, 2), (1, 1)]
SHAPES: dict[str, dict[str, Any]] = {
    "text": {},
    "tokens": {"task": "token-classification", "head_act": None, "hidden_act": "gelu_tanh"},
    "relative": {"relative_attention_buckets": 8},
}


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """An environment of its own with the runtime that the target names as the oldest."""
    folder = tmp_path_factory.mktemp("oldest")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    wanted = f"onnxruntime=={TARGET.runtime_min_version}.*"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wanted, "numpy<2"], check=True)
    return this_python(str(python))


def sentences() -> Encoded:
    generator, lengths = np.random.default_rng(0), [1, 2, 5, 9, 16, 24, 24, 13]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = generator.integers(0, VOCABULARY, offsets[-1]).astype(np.int32)
    return Encoded(ids, np.zeros(len(ids), np.int8), offsets, np.zeros(len(lengths), np.int64))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_every_scheme_runs_in_the_oldest_runtime(shape: str, oldest: Machine, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=VOCABULARY, embedding_size=24, hidden_size=40, num_hidden_layers=3, num_heads=[2, 3, 2],
        head_sizes=[8, 8, 16], intermediate_sizes=[48, 20, 64], max_position_embeddings=24, num_labels=5,
        **SHAPES[shape],
    )  # fmt: skip
    student = Student(config).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    for bits in SCHEMES:
        student.set_bits(*bits)
        student.round_vectors()
        path = export_onnx(student, TARGET, tmp_path / f"{bits[0]}-{bits[1]}").path
        then, version = oldest.predict(path, sentences())
        now, _ = this_python().predict(path, sentences())
        assert version.startswith(f"{TARGET.runtime_min_version}.")
        errors = np.abs(then - now).max(axis=1)
        assert np.median(errors) <= 1e-5, bits  # a sum of another order tips an activation over a step now and then
        assert (then.argmax(1) == now.argmax(1)).mean() >= 0.9, bits
