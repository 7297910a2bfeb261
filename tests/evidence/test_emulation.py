"""Other CPUs: int8 sums do not saturate without VNNI, ARM64 gives the same answers, and what is missing is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from edgepack.cli import main
from edgepack.errors import MissingDependency
from edgepack.evidence import emulation
from edgepack.evidence.compare_cpus import NOT_RUN, RUNTIMES, ArchitectureResult
from edgepack.evidence.emulation import Machine, arm64, find_qemu, this_python, x86_without_vnni
from edgepack.quantization import OPERAND_MAX
from edgepack.target import list_targets, load_target
from edgepack.task.encoded import Encoded

WIDTH, LARGEST = 64, 255


def worst_case(folder: Path, weight: int) -> Path:
    """A product in which every activation becomes 255 and every weight is the same: what saturates first."""
    operand = np.full((WIDTH, 16), weight, np.int8)
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("DynamicQuantizeMatMul", ["x", "w", "scale"], ["logits"], domain="com.microsoft"),
    ]
    graph = helper.make_graph(
        nodes,
        "worst",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", WIDTH])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 16])],
        [numpy_helper.from_array(operand, "w"), numpy_helper.from_array(np.ones(16, np.float32), "scale")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path = folder / f"{weight}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def one_example() -> Encoded:
    ids = np.full(WIDTH, LARGEST, np.int32)
    return Encoded(ids, np.zeros(WIDTH, np.int8), np.array([0, WIDTH]), np.zeros(1, np.int64))


@pytest.fixture
def machine(request: pytest.FixtureRequest, require: Callable[[str, str], None]) -> Machine:
    """The machine that the parameter names; skips where its emulator is missing."""
    try:
        found: Machine = request.param()
    except MissingDependency as e:
        require("qemu", str(e))
    return found


@pytest.mark.needs_qemu
@pytest.mark.slow
@pytest.mark.parametrize("machine", [x86_without_vnni], indirect=True)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_are_exact_without_vnni_and_would_not_be_with_eight_bits(
    sign: int, machine: Machine, tmp_path: Path
) -> None:
    safe, _ = machine.predict(worst_case(tmp_path, sign * OPERAND_MAX), one_example())
    np.testing.assert_allclose(safe, sign * WIDTH * LARGEST * OPERAND_MAX, rtol=1e-6)
    full, _ = machine.predict(worst_case(tmp_path, sign * 127), one_example())
    assert np.abs(full).max() < 0.6 * WIDTH * LARGEST * 127  # which shows that these kernels are the ones that saturate


@pytest.mark.needs_qemu
@pytest.mark.slow
@pytest.mark.parametrize("machine", [arm64], indirect=True)
def test_arm64_computes_the_same(machine: Machine, tmp_path: Path) -> None:
    path = worst_case(tmp_path, OPERAND_MAX)
    there, version = machine.predict(path, one_example())
    here, _ = this_python().predict(path, one_example())
    np.testing.assert_allclose(there, here, rtol=1e-6)
    assert version.startswith("1.")


def test_a_python_without_an_emulator_gives_the_sums(tmp_path: Path) -> None:
    logits, _ = this_python().predict(worst_case(tmp_path, OPERAND_MAX), one_example())
    np.testing.assert_allclose(logits, WIDTH * LARGEST * OPERAND_MAX, rtol=1e-6)


def test_what_is_missing_comes_with_the_line_that_adds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "find_qemu", lambda names: str(tmp_path / names[0]))
    monkeypatch.setattr(emulation, "ROOT", tmp_path)
    (tmp_path / emulation.READY).write_text("numpy==2.4.1\nonnxruntime==1.24.1")  # as an older edgepack prepared it
    with pytest.raises(MissingDependency, match=r"run: python -m edgepack\.evidence\.emulation"):
        arm64()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="apt-get install qemu-user-static"):
        find_qemu(("qemu-aarch64-static",))


@pytest.mark.parametrize("given", [("-m", "teacher"), ("-d", "train.tsv"), ("--student-tokenizer", "tokenizer")])
def test_inputs_that_a_comparison_does_not_open_are_refused(tmp_path: Path, given: tuple[str, str]) -> None:
    told = CliRunner().invoke(main, ["validate", str(tmp_path), "--arch", "arm64", *given])
    assert told.exit_code == 2
    assert f"{given[0]} does not go with --arch, which reads bundles and the evaluation data alone" in told.stderr


def test_the_folder_has_the_runtimes_that_extras_are_tested_with() -> None:
    pins = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    assert {wheel for wheel in emulation.WHEELS if not wheel.startswith(("numpy", "onnxruntime"))} <= set(pins)


def test_every_format_is_run_or_said_not_to_be() -> None:
    formats = {load_target(name).format for name in list_targets()}
    assert formats == RUNTIMES.keys() | NOT_RUN.keys()
    assert not RUNTIMES.keys() & NOT_RUN.keys()
    result = ArchitectureResult("arm64", (), {"ios-coreml": NOT_RUN["coreml"]})
    assert result.table().endswith("ios-coreml: not run; Core ML is part of Apple's systems")
    assert result.to_record()["not_run"] == {"ios-coreml": NOT_RUN["coreml"]}
