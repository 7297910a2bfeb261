"""The Core ML package: written and read again here; run it can be on macOS alone, so nothing says that it computes."""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepack.errors import CheckFailed, MissingDependency, NotRunHere
from edgepack.export.coreml import export_coreml
from edgepack.export.coreml_encoder import CoremlEncoder
from edgepack.plan.size_coreml import model_bytes
from edgepack.quantization import bit_width, quantize_centred_rows, round_weight
from edgepack.runtime.coreml import load
from edgepack.student.match import match_words
from edgepack.target import load_target
from tests.export.conftest import in_turn

TARGET = load_target("ios-coreml")
WIDTHS = [(8, 8), (4, 4), (4, 2)]
Make = Callable[..., Any]


@pytest.fixture
def tools() -> Any:
    """coremltools; skips where it is not installed."""
    return pytest.importorskip("coremltools", reason="the extra coreml is not installed")


def read_program(tools: Any, path: Path) -> Any:
    """The package's main function in coremltools' form: reading infers and checks every type again."""
    from coremltools.converters.mil.frontend.milproto.load import load as load_program

    specification = tools.utils.load_spec(str(path))
    weights = path / "Data" / "com.apple.CoreML" / "weights"
    program = load_program(specification, specification.specificationVersion, str(weights))
    return program.functions["main"]


@pytest.mark.needs_coreml
@pytest.mark.parametrize("bits", [8, 4])
def test_package_holds_the_students_weights(bits: int, tools: Any, make_student: Make, tmp_path: Path) -> None:
    student = make_student(bits, bits)
    function = read_program(tools, export_coreml(student, TARGET, tmp_path).path)
    found = {op.outputs[0].name: op for op in function.operations}
    dense = found["head_dense_weight"]
    expected = student.head.dense.weight.detach()
    rounded = round_weight(expected, bit_width(bits), 32).numpy()
    data, scale = dense.data.val.astype(np.float32), dense.scale.val.astype(np.float32)
    columns = data.shape[1] // scale.shape[1]
    np.testing.assert_allclose(data * scale.repeat(columns, axis=1), rounded, rtol=2e-3, atol=1e-5)


class AtOnce:
    """Emits operators over known numbers, whose values coremltools computes itself while it builds them."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def op(self, operator: str, name: str, **inputs: Any) -> Any:
        return getattr(self._builder, operator)(name=name.replace(".", "_"), **inputs)

    def constant(self, name: str, shape: tuple[int, ...], dtype: str, make: Callable[[], np.ndarray]) -> Any:
        return self._builder.const(val=make().astype(np.float16).reshape(shape))


@pytest.mark.needs_coreml
def test_steps_that_find_words_of_both_texts_give_the_students(tools: Any, make_student: Make) -> None:
    from coremltools.converters.mil import Builder

    student = make_student(8, 8, match_separator=7)
    ids, mask, values = np.array([[0, 5, 6, 5, 7, 6, 9, 7, 0, 0]], np.int32), np.int32([[1] * 9 + [0]]), []

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1,))], opset_version=tools.target.iOS18)
    def program(unused: Any) -> Any:
        inputs = {"input_ids": Builder.const(val=ids), "attention_mask": Builder.const(val=mask)}
        encoder = CoremlEncoder(student.config, AtOnce(Builder), inputs, student)
        values.append(encoder.matches("e.match", "embeddings.match", 7).val)
        return unused

    vector = student.embeddings.match.detach().numpy()
    expected = match_words(torch.from_numpy(ids).long(), torch.from_numpy(mask).long(), 7)[0].numpy()[:, None] * vector
    assert program is not None
    assert expected.any()
    np.testing.assert_allclose(values[0], expected, rtol=2e-3)


@pytest.mark.needs_coreml
@pytest.mark.parametrize("bits", [3, 2])
def test_tables_of_few_bits_are_palettes(bits: int, tools: Any, make_student: Make, tmp_path: Path) -> None:
    student = make_student(8, bits)
    function = read_program(tools, export_coreml(student, TARGET, tmp_path).path)
    found = {op.outputs[0].name: op for op in function.operations}
    table, scaled = found["embeddings_word_table"], found["embeddings_word_rows"]
    assert table.op_type == "constexpr_lut_to_dense"
    assert table.lut.val.shape == (1, 1, 2**bits, 1)
    scales = scaled.y.op.x.val.astype(np.float32)  # gathered like the rows
    rows = table.lut.val.astype(np.float32).ravel()[table.indices.val.astype(int)] * scales
    expected = quantize_centred_rows(student.embeddings.word.weight.detach(), bit_width(bits)).dequantize().numpy()
    np.testing.assert_allclose(rows, expected, rtol=1e-3)
    assert len(np.unique(table.indices.val.astype(int))) == 2**bits


@pytest.mark.needs_coreml
def test_numbers_are_fp16_and_inputs_may_be_of_any_length(tools: Any, make_student: Make, tmp_path: Path) -> None:
    path = export_coreml(make_student(8, 8), TARGET, tmp_path).path
    function = read_program(tools, path)
    products = [op for op in function.operations if op.op_type in ("linear", "matmul", "layer_norm", "softmax")]
    assert products
    assert {op.outputs[0].dtype.__name__ for op in products} == {"fp16"}
    description = tools.utils.load_spec(str(path)).description
    sizes = description.input[0].type.multiArrayType.shapeRange.sizeRanges
    assert [(size.lowerBound, size.upperBound) for size in sizes] == [(1, 1), (1, 24)]


@pytest.mark.needs_coreml
def test_every_axis_is_written_within_the_predicted_bytes(
    axis: dict[str, Any], tools: Any, make_student: Make, tmp_path: Path
) -> None:
    student = make_student(*in_turn(axis, WIDTHS), **axis, vocab_size=12_000)
    artifact = export_coreml(student, TARGET, tmp_path)
    assert model_bytes(student.config).total == pytest.approx(artifact.size_bytes, rel=0.005)


@pytest.mark.needs_coreml
def test_same_bytes_every_time(tools: Any, make_student: Make, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        path = export_coreml(make_student(8, 4), TARGET, tmp_path / name).path
        files.append({f.relative_to(path): f.read_bytes() for f in path.rglob("*") if f.is_file()})
    assert files[0] == files[1]
    assert len(files[0]) == 3


@pytest.mark.needs_coreml
@pytest.mark.parametrize("sharing", [[0] * 5, [0, 1, 1, 1, 2]], ids=["albert", "sandwich"])
def test_shared_weights_are_stored_once(sharing: list[int], tools: Any, make_student: Make, tmp_path: Path) -> None:
    sets = len(set(sharing))
    shape = {"num_hidden_layers": 5, "attention_sharing": sharing, "ffn_sharing": sharing, "num_heads": [2] * sets}
    student = make_student(8, 8, **shape, head_sizes=[16] * sets, intermediate_sizes=[40] * sets)
    path = export_coreml(student, TARGET, tmp_path).path
    weights = (path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").stat().st_size
    planned = dict(model_bytes(student.config).tensors)
    padded = 64 + sum(64 + -(-size // 64) * 64 for size in planned.values())
    assert weights == pytest.approx(padded, abs=256)  # of which a set is 12 kB
    parameters = [*student.attention.parameters(), *student.feed_forward.parameters()]
    layers = {name: size for name, size in planned.items() if name.startswith(("attention.", "feed_forward."))}
    codes = sum(size for name, size in layers.items() if name.endswith("codes"))
    assert codes == sum(p.numel() for p in parameters if p.dim() == 2)


@pytest.mark.needs_coreml
def test_an_operator_that_the_target_does_not_list_is_named(tools: Any, make_student: Make, tmp_path: Path) -> None:
    poorer = dataclasses.replace(TARGET, operators=tuple(o for o in TARGET.operators if o != "gelu"))
    with pytest.raises(CheckFailed, match=r"'l0\.up\.act' is a gelu"):
        export_coreml(make_student(8, 8), poorer, tmp_path)
    assert not list(tmp_path.iterdir())
    # coremltools clears what it remembers of a program only when it has converted it
    assert export_coreml(make_student(8, 8), TARGET, tmp_path).path.exists()


@pytest.mark.skipif(platform.system() == "Darwin", reason="macOS runs Core ML")
def test_elsewhere_than_on_macos_nothing_is_run(tmp_path: Path) -> None:
    with pytest.raises(NotRunHere, match="only on macOS"):
        load(tmp_path)


def test_without_the_package_one_line_says_what_to_install(
    make_student: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingDependency, match=r'pip install "edgepack\[coreml\]"'):
        export_coreml(make_student(8, 8), TARGET, tmp_path)
    assert torch.is_grad_enabled()
