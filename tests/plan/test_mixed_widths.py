"""Mixed widths: within the bytes of one width, no worse than it in sensitivity, and refused where files have one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.compress.sensitivity import weight_matrices
from edgepack.errors import InputError
from edgepack.export import export
from edgepack.plan.mixed_widths import check_mixed_widths, choose_widths
from edgepack.plan.size import model_size
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student
from edgepack.target import load_target

ONNX, TORCHSCRIPT = load_target("android-onnx"), load_target("android-torchscript")
PLAN = StudentConfig(
    vocab_size=60,
    embedding_size=32,
    hidden_size=192,
    num_hidden_layers=3,
    num_heads=[4] * 3,
    head_sizes=[16] * 3,
    intermediate_sizes=[384] * 3,
    max_position_embeddings=16,
    id2label={0: "a", 1: "b"},
    body_bits=3,
    embedding_bits=4,
)


def sensitivity(seed: int) -> dict[str, dict[int, float]]:
    """Made up: each matrix loses more the fewer bits it has, some much more than others."""
    generator = np.random.default_rng(seed)
    return {
        name: {bits: float(scale * 4.0**-bits) for bits in ONNX.body_bits}
        for name, scale in zip(weight_matrices(Student(PLAN)), generator.lognormal(0, 2, 99), strict=False)
    }


@pytest.mark.parametrize("seed", range(4))
def test_the_choice_fits_the_plans_bytes_and_loses_less(seed: int, tmp_path: Path) -> None:
    measured, total = sensitivity(seed), model_size(PLAN, ONNX).total
    widths = choose_widths(measured, PLAN, [ONNX])
    assert widths
    assert PLAN.body_bits not in widths.values()
    config = changed_config(PLAN, widths=widths)
    predicted = model_size(config, ONNX).total
    assert predicted <= total
    torch.manual_seed(0)
    assert export(Student(config).eval(), ONNX, tmp_path).size_bytes == predicted
    chosen = sum(by_width[widths.get(name, PLAN.body_bits)] for name, by_width in measured.items())
    assert chosen < sum(by_width[PLAN.body_bits] for by_width in measured.values())


def test_equally_sensitive_at_all_widths_needs_no_more_than_the_plan() -> None:
    flat = {name: dict.fromkeys(by_width, 0.0) for name, by_width in sensitivity(0).items()}
    config = changed_config(PLAN, widths=choose_widths(flat, PLAN, [ONNX]))
    assert model_size(config, ONNX).total <= model_size(PLAN, ONNX).total


def test_formats_with_one_width_are_refused() -> None:
    check_mixed_widths([ONNX])
    with pytest.raises(InputError, match="android-torchscript stores every matrix at one width"):
        choose_widths(sensitivity(0), PLAN, [ONNX, TORCHSCRIPT])
