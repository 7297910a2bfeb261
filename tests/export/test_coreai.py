"""The Core AI asset: what is in it, and that its runtime computes what the student does."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.errors import CheckFailed, InputError, MissingDependency
from edgepack.export.coreai import export_coreai, packed
from edgepack.export.coreai_encoder import CODES, ROW_CODES
from edgepack.plan.size_coreai import model_bytes
from edgepack.runtime import ProcessSession
from edgepack.runtime.coreai import DESCRIPTION, DIGEST, GRAPH, load
from edgepack.runtime.face import read_face
from edgepack.student.model import Student
from edgepack.target import load_target
from tests.export.conftest import in_turn, torch_logits

TARGET = load_target("ios-coreai")
WIDTHS = [(32, 32), (8, 8), (4, 4), (2, 1), (1, 2)]
Make = Callable[..., Any]


@pytest.fixture
def package() -> None:
    """Skips where coreai-core is not installed."""
    pytest.importorskip("coreai", reason="the extra coreai is not installed")


@pytest.mark.needs_coreai
@pytest.mark.usefixtures("package")
def test_runtime_gives_the_students_logits(
    axis: dict[str, Any], make_student: Make, make_inputs: Make, tmp_path: Path
) -> None:
    """Each axis at one of the widths in turn; the next test has every width."""
    student = make_student(*in_turn(axis, WIDTHS), **axis)
    check_logits(student, make_inputs, tmp_path)


@pytest.mark.needs_coreai
@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("bits", WIDTHS)
def test_runtime_expands_every_width(
    bits: tuple[int, int], make_student: Make, make_inputs: Make, tmp_path: Path
) -> None:
    """Blocks that fill a matrix's inputs and blocks that do not, one and several to a channel."""
    check_logits(make_student(*bits, block_size=24), make_inputs, tmp_path)


def check_logits(student: Student, make_inputs: Make, folder: Path) -> None:
    artifact = export_coreai(student, TARGET, folder)
    assert model_bytes(student.config).total == pytest.approx(artifact.size_bytes, abs=1000)
    session = load(artifact.path)
    for lengths in ((1,), (24,), (7, 3, 1)):
        inputs = make_inputs(lengths, student.config.type_vocab_size)
        expected, got = torch_logits(student, inputs, "nothing"), session.run({n: t.numpy() for n, t in inputs.items()})
        valid = inputs["attention_mask"].numpy().astype(bool) if got.ndim == 3 else ...
        np.testing.assert_allclose(got[valid], expected[valid], rtol=1e-4, atol=1e-4)
    session.close()


@pytest.mark.needs_coreai
@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (2, 1), (1, 2)])
def test_written_bytes_are_the_predicted_ones(bits: tuple[int, int], make_student: Make, tmp_path: Path) -> None:
    shape = {"num_hidden_layers": 3, "num_heads": [2] * 3, "head_sizes": [16] * 3, "intermediate_sizes": [96] * 3}
    student = make_student(*bits, **shape, vocab_size=12_000, block_size=16)
    size = model_bytes(student.config)
    written = export_coreai(student, TARGET, tmp_path).size_bytes
    assert size.total == pytest.approx(written, rel=0.005)
    assert 0 < written - sum(count for _, count in size.tensors) < 50_000  # what is stored is stored once, whole


@pytest.mark.needs_coreai
@pytest.mark.usefixtures("package")
def test_same_bytes_every_time_and_nothing_of_this_machine(make_student: Make, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        path = export_coreai(make_student(4, 4), TARGET, tmp_path / name).path
        files.append({f.name: f.read_bytes() for f in path.iterdir()})
    assert files[0] == files[1]
    assert set(files[0]) == {GRAPH, DIGEST, DESCRIPTION}
    assert files[0][DIGEST] == hashlib.sha256(files[0][GRAPH]).digest()
    for trace in (b"coreai.py", b"test_coreai", str(tmp_path).encode(), os.fsencode(Path.home())):
        assert trace not in files[0][GRAPH]


@pytest.mark.needs_coreai
@pytest.mark.usefixtures("package")
def test_the_file_declares_what_it_takes_and_holds(make_student: Make, tmp_path: Path) -> None:
    artifact = export_coreai(make_student(8, 8, type_vocab_size=2), TARGET, tmp_path)
    face = read_face(artifact.path, TARGET)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in face.inputs] == [
        (name, "int32", ("batch", "seq")) for name in names
    ]
    assert face.outputs is not None
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in face.outputs] == [
        ("logits", "float32", ("batch", 3))
    ]
    assert face.operators == artifact.operators
    assert set(artifact.operators) <= set(TARGET.operators)


@pytest.mark.needs_coreai
@pytest.mark.usefixtures("package")
def test_what_is_damaged_or_dies_is_one_line(make_student: Make, make_inputs: Make, tmp_path: Path) -> None:
    path = export_coreai(make_student(8, 8), TARGET, tmp_path).path
    session = load(path)
    assert isinstance(session, ProcessSession)
    os.kill(session.process_id, signal.SIGKILL)
    with pytest.raises(InputError, match=r"its process ended (without an answer|before it was asked)"):
        session.run({n: t.numpy() for n, t in make_inputs((3,)).items()})
    graph = (path / GRAPH).read_bytes()
    (path / GRAPH).write_bytes(graph[: len(graph) // 2])
    with pytest.raises(InputError, match=r"is damaged: main\.mlirb is not what main\.hash is of"):
        load(path)
    (path / DIGEST).write_bytes(hashlib.sha256(graph[: len(graph) // 2]).digest())  # a hostile file has the right one
    with pytest.raises(InputError, match=r"model\.aimodel.*(ended without an answer|does not run in Core AI)") as error:
        load(path)
    assert "\n" not in str(error.value)
    (path / DESCRIPTION).unlink()
    with pytest.raises(InputError, match=r"has no file metadata\.json"):
        load(path)


@pytest.mark.needs_coreai
@pytest.mark.usefixtures("package")
def test_an_operator_that_the_target_does_not_list_is_named(make_student: Make, tmp_path: Path) -> None:
    poorer = dataclasses.replace(TARGET, operators=tuple(o for o in TARGET.operators if o != "gelu"))
    with pytest.raises(CheckFailed, match=r"'l0\.up\.act' is a gelu"):
        export_coreai(make_student(8, 8), poorer, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("bits", "field"), [((3, 8), "body_bits"), ((8, 3), "embedding_bits")])
def test_three_bits_have_no_type(bits: tuple[int, int], field: str, make_student: Make, tmp_path: Path) -> None:
    assert set(TARGET.body_bits) == {width.bits for width in CODES}
    assert set(TARGET.embedding_bits) == {width.bits for width in ROW_CODES}
    with pytest.raises(InputError, match=f"{field} is 3; allowed: 8, 4, 2, 1"):
        export_coreai(make_student(*bits), TARGET, tmp_path)


@pytest.mark.parametrize(
    ("bits", "codes", "data"), [(4, [[-8, 7, -1]], [0x78, 0x0F]), (2, [[3, 0, 1, 2, 1]], [0b10010011, 1])]
)
def test_codes_are_packed_the_first_in_the_lowest_bits(bits: int, codes: list[list[int]], data: list[int]) -> None:
    assert packed(np.array(codes, np.int8), bits).tolist() == data


def test_without_the_package_one_line_says_what_to_install(
    make_student: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "coreai", None)
    with pytest.raises(MissingDependency, match=r'pip install "edgepack\[coreai\]"'):
        export_coreai(make_student(8, 8), TARGET, tmp_path)
