"""The ExecuTorch program: what it asks of the runtime, and that the runtime computes what the student does.

Lowering takes half a minute for the smallest student, so there are few, each of several axes.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepack.errors import CheckFailed, MissingDependency
from edgepack.export.executorch import export_executorch
from edgepack.export.executorch_encoder import packed_codes, zero_points
from edgepack.package.reduced_runtime import write_operator_list
from edgepack.plan.size_executorch import SizeWalk, model_bytes
from edgepack.quantization import INT4, INT8, BitWidth, quantize_rows
from edgepack.runtime.executorch import load
from edgepack.target import load_target

TARGET = load_target("android-executorch")
ALBERT = {
    "attention_sharing": [0, 0],
    "ffn_sharing": [0, 0],
    "num_heads": [2],
    "head_sizes": [16],
    "intermediate_sizes": [40],
}
SANDWICH = {"num_hidden_layers": 4, "attention_sharing": [0, 1, 1, 2], "ffn_sharing": [0, 1, 1, 2]} | {
    "num_heads": [2, 1, 3],
    "head_sizes": [16, 16, 8],
    "intermediate_sizes": [40, 24, 32],
}
MEAN_VECTOR = {"task": "feature-extraction", "head_act": None, "pooling": "mean", "normalized": True}
LAST_VECTOR = {"task": "feature-extraction", "head_act": "tanh", "pooling": "last", "vector_size": 12}
VOCABULARY = 12_000  # a file large enough for half a percent to mean something
Make = Callable[..., Any]


@pytest.fixture
def runtime() -> None:
    """Skips where ExecuTorch is not installed."""
    pytest.importorskip("executorch.runtime", reason="the extra executorch is not installed")


@pytest.mark.slow
@pytest.mark.needs_executorch
@pytest.mark.parametrize(
    ("bits", "changes"),
    [
        ((8, 8), ALBERT | {"type_vocab_size": 2}),
        ((4, 4), SANDWICH | {"embedding_size": 31, "relative_attention_buckets": 8}),
        ((8, 8), MEAN_VECTOR),
        ((4, 8), LAST_VECTOR),
        ((8, 8), {"embedding_kernel": 5}),
        ((8, 8), {"match_separator": 7}),
    ],
    ids=["albert-8-8", "sandwich-4-4", "mean-vector-8-8", "last-vector-4-8", "convolution-8-8", "match-8-8"],
)
def test_runtime_gives_the_students_logits(
    bits: tuple[int, int], changes: dict[str, Any], runtime: None, make_student: Make, make_inputs: Make, tmp_path: Path
) -> None:
    student = make_student(*bits, **changes, vocab_size=VOCABULARY)
    artifact = export_executorch(student, TARGET, tmp_path)
    assert set(artifact.operators) <= set(TARGET.operators)
    listed = write_operator_list(artifact.path, tmp_path / "list.yaml")
    assert str(tmp_path) not in (tmp_path / "list.yaml").read_text()
    called = {name.split(".")[1] for name in artifact.operators if not name.startswith("xnnpack:")}
    assert {name.split("::")[1].split(".")[0] for name in listed} - {"sym_size"} == called
    size = model_bytes(student.config)
    assert size.total == pytest.approx(artifact.size_bytes, rel=0.005)
    session, errors, rounding = load(artifact.path), [], []
    student.round_activations_by("token")
    for lengths in ((1,), (24,), (7, 3), (5,)):
        inputs = make_inputs(lengths, student.config.type_vocab_size)
        got = session.run({name: tensor.numpy() for name, tensor in inputs.items()})
        with torch.no_grad():
            expected = student(**inputs).logits.numpy()
            student.set_bits(32, 32)
            rounding.append(np.abs(student(**inputs).logits.numpy() - expected).max())
            student.set_bits(*bits)
        errors.append(np.abs(got - expected).max())
    assert np.median(errors) <= max(1e-5, (0.2 if bits[0] == 4 else 0.05) * np.median(rounding))
    assert max(errors) <= max(rounding)


@pytest.mark.slow
@pytest.mark.needs_executorch
def test_same_bytes_every_time_and_no_operator_that_the_target_lacks(
    runtime: None, make_student: Make, tmp_path: Path
) -> None:
    one_layer = {"num_hidden_layers": 1, "num_heads": [2], "head_sizes": [16], "intermediate_sizes": [40]}
    student = make_student(8, 8, **one_layer)
    files = [export_executorch(student, TARGET, tmp_path / name).path.read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    assert str(Path(__file__).parents[2]).encode() not in files[0]
    poorer = dataclasses.replace(TARGET, operators=tuple(o for o in TARGET.operators if "softmax" not in o))
    with pytest.raises(CheckFailed, match=r"is a xnnpack:aten\._softmax\.default"):
        export_executorch(student, poorer, tmp_path / "poorer")
    assert not (tmp_path / "poorer").exists()


@pytest.mark.parametrize("changes", [ALBERT, SANDWICH], ids=["albert", "sandwich"])
def test_shared_weights_are_counted_once(changes: dict[str, Any], make_student: Make) -> None:
    student = make_student(8, 8, **changes)
    walk = SizeWalk(student.config)
    layers = {name: size for name, size in walk.tensors.items() if name.startswith(("attention.", "feed_forward."))}
    found = sum(size for name, size in layers.items() if name.endswith("codes"))
    parameters = [*student.attention.parameters(), *student.feed_forward.parameters()]
    assert found == sum(p.numel() for p in parameters if p.dim() == 2)


@pytest.mark.parametrize("width", [INT8, INT4], ids=str)
def test_stored_rows_are_the_quantized_rows(width: BitWidth) -> None:
    rows = quantize_rows(torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), width)
    codes, zero = packed_codes(rows), zero_points(rows).float()
    if width == INT4:  # the even column is the high half; 8 is subtracted
        codes = torch.stack([codes >> 4, codes & 15], dim=-1).flatten(1).int() - 8
    unpacked = (codes.float() - zero[:, None]) * rows.scale.float()[:, None]
    torch.testing.assert_close(unpacked, rows.dequantize(), rtol=0, atol=1e-5 if width == INT8 else 3e-3)


def test_without_the_package_one_line_says_what_to_install(
    make_student: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "executorch.exir", None)
    monkeypatch.setitem(sys.modules, "executorch.extension.pybindings", None)
    for call in (lambda: export_executorch(make_student(8, 8), TARGET, tmp_path), lambda: load(tmp_path)):
        with pytest.raises(MissingDependency, match=r'pip install "edgepack\[executorch\]"'):
            call()
