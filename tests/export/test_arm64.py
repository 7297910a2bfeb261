"""LiteRT's and ExecuTorch's files on ARM64, emulated: the logits of the runtime here, and what is missing is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.errors import CheckFailed, MissingDependency
from edgepack.evidence.emulation import INSTALL_COMPILER, Machine, arm64, this_python
from edgepack.runtime import load
from edgepack.runtime.predict import predict_session
from edgepack.target import load_target
from edgepack.task.encoded import Encoded

LENGTHS = (1, 24, 7, 7, 3, 5, 16)
SHAPES: Mapping[str, dict[str, Any]] = {
    "text": {"type_vocab_size": 2},
    "tokens": {"task": "token-classification", "head_act": None},
}
Make = Callable[..., Any]


@pytest.fixture
def machine(require: Callable[[str, str], None]) -> Machine:
    """ARM64; skips where its emulator, its folder or a compiler for it is missing."""
    try:
        found = arm64()
        found.need("executorch")
    except MissingDependency as e:
        require("qemu", str(e))
    return found


def texts(student: Any) -> Encoded:
    """Random texts of `LENGTHS` tokens."""
    generator = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    ids = generator.integers(1, student.config.vocab_size, offsets[-1]).astype(np.int32)
    types = generator.integers(0, student.config.type_vocab_size or 1, offsets[-1]).astype(np.int8)
    per_token = student.config.task == "token-classification"
    return Encoded(ids, types, offsets, np.zeros(len(ids) if per_token else len(LENGTHS), np.int64))


def hold_to_this_machine(machine: Machine, student: Any, target_name: str, folder: Path) -> None:
    """Export, run here and there, and compare."""
    from edgepack.export import export

    target = load_target(target_name)
    path = export(student, target, folder).path
    encoded = texts(student)
    here = predict_session(load(path, target, threads=1), encoded)
    there, version = machine.predict(path, encoded, target.format)
    assert there.shape == here.shape
    assert version[0].isdigit()
    # a number beside a rounding boundary may tip over: of most texts nothing differs but the last digits
    assert np.median(np.abs(there - here)) <= 1e-4 * np.abs(here).max()
    assert np.abs(there - here).max() <= 0.05 * np.abs(here).max()


@pytest.mark.slow
@pytest.mark.needs_qemu
@pytest.mark.needs_litert
@pytest.mark.parametrize("bits", [(8, 8), (4, 4)], ids=["8", "4"])
@pytest.mark.parametrize("shape", SHAPES)
def test_litert_computes_the_same(
    shape: str, bits: tuple[int, int], machine: Machine, make_student: Make, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    hold_to_this_machine(machine, make_student(*bits, **SHAPES[shape]), "android-litert", tmp_path)


@pytest.mark.slow
@pytest.mark.needs_qemu
@pytest.mark.needs_executorch
@pytest.mark.parametrize(("shape", "bits"), [("text", (4, 4)), ("tokens", (8, 8))], ids=["text-4", "tokens-8"])
def test_executorch_computes_the_same(
    shape: str, bits: tuple[int, int], machine: Machine, make_student: Make, tmp_path: Path
) -> None:
    pytest.importorskip("executorch.runtime", reason="the extra executorch is not installed")
    hold_to_this_machine(machine, make_student(*bits, **SHAPES[shape]), "android-executorch", tmp_path)


@pytest.mark.slow
@pytest.mark.needs_qemu
def test_a_file_that_is_none_is_refused_there(machine: Machine, make_student: Make, tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(b"no program")
    with pytest.raises(CheckFailed, match="does not load"):
        machine.predict(path, texts(make_student(8, 8)), "executorch")


def test_without_a_compiler_executorch_is_refused_before_anything_runs(make_student: Make, tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match=INSTALL_COMPILER.replace("+", r"\+")):
        this_python().predict(tmp_path / "model.pte", texts(make_student(8, 8)), "executorch")
