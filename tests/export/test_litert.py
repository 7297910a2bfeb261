"""The TFLite file: what is in it, and that LiteRT computes what the student does."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.errors import CheckFailed, InputError, MissingDependency
from edgepack.export.litert import export_litert
from edgepack.export.litert_encoder import LitertEncoder, packed_int4
from edgepack.plan.size_litert import model_bytes
from edgepack.runtime.litert import load
from edgepack.target import load_target
from tests.export.conftest import torch_logits

TARGET = load_target("android-litert")
WIDTHS = [(8, 8), (4, 4), (32, 32)]
Make = Callable[..., Any]


@pytest.mark.needs_litert
@pytest.mark.parametrize(("body_bits", "embedding_bits"), WIDTHS)
def test_runtime_gives_the_students_logits(
    axis: dict[str, Any], body_bits: int, embedding_bits: int, make_student: Make, make_inputs: Make, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    student = make_student(body_bits, embedding_bits, **axis)
    session = load(export_litert(student, TARGET, tmp_path).path)
    errors, rounding = [], []
    for lengths in ((1,), (24,), (7, 3), (5,)):
        inputs = make_inputs(lengths, student.config.type_vocab_size)
        expected, got = torch_logits(student, inputs, "token"), session.run({n: t.numpy() for n, t in inputs.items()})
        valid = inputs["attention_mask"].numpy().astype(bool) if got.ndim == 3 else ...
        errors.append(np.abs(got[valid] - expected[valid]).max())
        student.set_bits(32, 32)
        rounding.append(np.abs(torch_logits(student, inputs, "token")[valid] - expected[valid]).max())
        student.set_bits(body_bits, embedding_bits)
    # a number beside a rounding boundary may tip over, and XNNPACK holds the blocks' scales of 4 bits as bf16
    share = 0.2 if body_bits == 4 else 0.05
    assert np.median(errors) <= max(1e-5, share * np.median(rounding))
    assert max(errors) <= max(1e-5, max(rounding))


@pytest.mark.parametrize(("body_bits", "embedding_bits"), WIDTHS)
def test_predicted_bytes_are_the_files(
    axis: dict[str, Any], body_bits: int, embedding_bits: int, make_student: Make, tmp_path: Path
) -> None:
    student = make_student(body_bits, embedding_bits, **axis)
    size = model_bytes(student.config)
    assert size.total == export_litert(student, TARGET, tmp_path).path.stat().st_size
    assert sum(count for _, count in size.tensors) < size.total


def test_same_bytes_in_another_process(make_student: Make, tmp_path: Path) -> None:
    student = make_student(4, 4)
    here = export_litert(student, TARGET, tmp_path / "here").path.read_bytes()
    student.save_pretrained(tmp_path / "student")
    script = (
        "import sys; from pathlib import Path; from edgepack.build.single_stage import export_student; "
        "from edgepack.console import Console; "
        "export_student(Path(sys.argv[1]), ('android-litert',), Path(sys.argv[2]), None, None, Console(quiet=True))"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "student"), str(tmp_path / "there")], check=True)
    assert (tmp_path / "there" / "android-litert" / TARGET.file).read_bytes() == here


@pytest.mark.parametrize("shape", ["albert", "sandwich"])
def test_shared_weights_are_stored_once(shape: str, make_student: Make) -> None:
    changes = {
        "albert": {"num_hidden_layers": 6, "attention_sharing": [0] * 6, "ffn_sharing": [0] * 6},
        "sandwich": {"num_hidden_layers": 5, "attention_sharing": [0, 1, 1, 1, 2], "ffn_sharing": [0, 1, 1, 1, 2]},
    }[shape]
    sets = len(set(changes["attention_sharing"]))
    changes |= {"num_heads": [2] * sets, "head_sizes": [16] * sets, "intermediate_sizes": [40] * sets}
    student = make_student(8, 8, **changes)
    graph = LitertEncoder(student.config, student).graph
    found = sum(
        tensor.size_bytes
        for tensor in graph.tensors
        if tensor.name.startswith(("attention.", "feed_forward.")) and tensor.scales
    )
    parameters = [*student.attention.parameters(), *student.feed_forward.parameters()]
    assert found == sum(prod(p.shape) for p in parameters if p.dim() == 2)
    names = [name for name, _ in model_bytes(student.config).tensors]
    assert len(names) == len(set(names))


def test_int4_codes_are_packed_low_half_first() -> None:
    assert packed_int4(np.array([[-8, 7, -1]], np.int8)).tolist() == [0x78, 0x0F]


def test_operators_are_recorded_and_checked(make_student: Make, tmp_path: Path) -> None:
    artifact = export_litert(make_student(8, 8), TARGET, tmp_path)
    assert "FULLY_CONNECTED" in artifact.operators
    assert set(artifact.operators) <= set(TARGET.operators)
    poorer = dataclasses.replace(TARGET, operators=tuple(o for o in TARGET.operators if o != "GELU"))
    with pytest.raises(CheckFailed, match=r"'l0\.up\.act' is a GELU"):
        export_litert(make_student(8, 8), poorer, tmp_path / "poorer")
    assert not (tmp_path / "poorer").exists()


def test_a_width_that_the_target_does_not_list_is_an_error(make_student: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="body_bits is 2; allowed: 8, 4"):
        export_litert(make_student(2, 8), TARGET, tmp_path)


def test_without_the_package_one_line_says_what_to_install(
    make_student: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export_litert(make_student(8, 8), TARGET, tmp_path).path
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingDependency, match=r'pip install "edgepack\[litert\]"'):
        load(path)


@pytest.mark.needs_litert
def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    (tmp_path / "model.tflite").write_bytes(b"no model")
    with pytest.raises(InputError, match="does not load in LiteRT"):
        load(tmp_path / "model.tflite")
