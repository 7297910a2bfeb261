"""Inside the graph: every layer's values, a last layer of one token, norms, and operands that layers share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from edgepack.export.onnx import export_onnx
from edgepack.export.onnx_encoder import OnnxEncoder
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target

TARGET = load_target("android-onnx")
VOCABULARY, LAYERS, HIDDEN, LABELS = 40, 3, 24, 5
LENGTHS = (11, 4, 1)
SHARED: dict[str, Any] = {
    "attention_sharing": [0] * LAYERS,
    "ffn_sharing": [0] * LAYERS,
    "num_heads": [2],
    "head_sizes": [8],
    "intermediate_sizes": [20],
}
AXES: dict[str, dict[str, Any]] = {
    "plain": {},
    "shared": SHARED,
    "uneven": {"num_heads": [1, 2, 3], "head_sizes": [6, 8, 5], "intermediate_sizes": [9, 20, 33]},
    "relative": {"relative_attention_buckets": 8, "relative_attention_max_distance": 12},
    "shared_relative": {**SHARED, "relative_attention_buckets": 8},
    "ranks": {"ranks": {"query": [0, 0, 3], "up": [0, 4, 5], "down": [0, 0, 6], "output": [2, 0, 4]}},
    "no_norm": {"norm": "no_norm"},
    "one_layer": {"num_hidden_layers": 1, "num_heads": [2], "head_sizes": [8], "intermediate_sizes": [20]},
    "small_head": {"head_size": 7},
    "token_head": {"task": "token-classification", "head_act": None},
    "convolution": {"embedding_kernel": 5},
    "convolution_of_three": {"embedding_kernel": 3},
    "match": {"match_separator": 3},
    "wide": {"wide_rows": 5},
    "wide_many": {"wide_rows": 300},
}


def make_student(body_bits: int = 32, embedding_bits: int = 32, **fields: Any) -> Student:
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "embedding_size": 10,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_heads": [2] * LAYERS,
        "head_sizes": [8] * LAYERS,
        "intermediate_sizes": [20] * LAYERS,
        "max_position_embeddings": 16,
        "num_labels": LABELS,
    }
    torch.manual_seed(0)
    student = Student(StudentConfig(**(shape | fields))).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    student.set_bits(body_bits, embedding_bits)
    student.round_vectors()
    return student


def make_inputs(lengths: tuple[int, ...] = LENGTHS) -> dict[str, np.ndarray]:
    """A right-padded batch."""
    shape = (len(lengths), max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    return {"input_ids": np.random.default_rng(1).integers(0, VOCABULARY, shape), "attention_mask": mask}


def values_inside(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every value that the graph computes from the inputs, by name."""
    model = onnx.load(path)
    computed = set(inputs)
    for node in model.graph.node:
        if computed & set(node.input):
            computed |= set(node.output)
    names = [name for node in model.graph.node for name in node.output if name in computed and name != "logits"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip((o.name for o in session.get_outputs()), session.run(None, dict(inputs)), strict=True))


def hidden_states(student: Student, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with torch.no_grad():
        return [state.numpy() for state in student(**tensors, output_hidden_states=True).hidden_states]


@pytest.mark.parametrize("axis", AXES)
def test_every_layer_of_a_padded_batch_and_of_the_last_one_the_first_token(axis: str, tmp_path: Path) -> None:
    student, inputs = make_student(**AXES[axis]), make_inputs()
    got = values_inside(export_onnx(student, TARGET, tmp_path).path, inputs)
    states, layers = hidden_states(student, inputs), student.config.num_hidden_layers
    real = inputs["attention_mask"] == 1
    for layer in range(layers):
        expected, value = states[layer + 1], got[f"l{layer}.f.norm"]
        if layer == layers - 1 and axis != "token_head":
            assert value.shape == (len(LENGTHS), 1, HIDDEN)
            np.testing.assert_allclose(value[:, 0], expected[:, 0], rtol=0, atol=2e-5)
        else:
            assert value.shape == (*real.shape, HIDDEN)
            np.testing.assert_allclose(value[real], expected[real], rtol=0, atol=2e-5)


@pytest.mark.parametrize("bits", [32, 8, 2])
@pytest.mark.parametrize("axis", AXES)
def test_products_of_the_last_layer_see_one_token_but_for_keys_and_values(axis: str, bits: int, tmp_path: Path) -> None:
    """Rows that each matrix product computes, out of the shapes of a run: the others are the whole batch."""
    student, inputs = make_student(bits, bits, **AXES[axis]), make_inputs()
    path = export_onnx(student, TARGET, tmp_path).path
    got = values_inside(path, inputs)
    products = [n for n in onnx.load(path).graph.node if n.op_type in ("MatMul", "DynamicQuantizeMatMul")]
    last = student.config.num_hidden_layers - 1
    seen = {n.output[0].removesuffix(".product"): got[n.output[0]].shape[:-1] for n in products}
    batch, whole = len(LENGTHS), (len(LENGTHS), max(LENGTHS))
    for name, rows in seen.items():
        if name == "wide.mean.mean":
            assert rows == (batch, 1), name
        elif axis == "token_head":
            assert rows == whole, name
        elif name == "logits" or name.startswith("h."):
            assert rows == (batch,), name
        elif name.startswith(f"l{last}.") and not name.startswith((f"l{last}.key", f"l{last}.value")):
            assert rows == (batch, 1), name
        else:
            assert rows == whole, name
    assert {name for name in seen if name.startswith(f"l{last}.")} >= {f"l{last}.{part}" for part in ("output", "down")}
    contexts = [got[f"l{layer}.context"].shape[1] for layer in range(last + 1)]
    assert contexts == [whole[1]] * last + [whole[1] if axis == "token_head" else 1]


@pytest.mark.parametrize("lengths", [(7, 7), (9, 2), (1,)])
def test_instance_normalization_of_tokens_is_layer_normalization(lengths: tuple[int, ...], tmp_path: Path) -> None:
    student, inputs = make_student(norm_eps=1e-3), make_inputs(lengths)
    got = values_inside(export_onnx(student, TARGET, tmp_path).path, inputs)
    norms = {"e": student.embeddings.norm}
    for layer in range(LAYERS):
        norms |= {f"l{layer}.a": student.attention_norms[layer], f"l{layer}.f": student.ffn_norms[layer]}
    for tag, norm in norms.items():
        x = got[f"{tag}.sum"].astype(np.float64)
        gain, bias = (parameter.detach().double().numpy() for parameter in norm.parameters())
        centred = x - x.mean(-1, keepdims=True)
        expected = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-3) * gain + bias
        np.testing.assert_allclose(got[f"{tag}.norm"], expected, rtol=0, atol=2e-6)
    assert not any(node.op_type == "LayerNormalization" for node in OnnxEncoder(student.config).graph.nodes)


@pytest.mark.parametrize("bits", [32, 8, 4, 3, 2, 1])
def test_an_operand_that_the_last_layer_shares_is_stored_once(bits: int, tmp_path: Path) -> None:
    """The last layer cuts query from key and value when the session loads: nothing is added to the file."""
    one = {"num_hidden_layers": 1, "num_heads": [2], "head_sizes": [8], "intermediate_sizes": [20]}
    files = [
        onnx.load(export_onnx(make_student(bits, 8, **fields), TARGET, tmp_path / name).path)
        for name, fields in (("one", one), ("three", SHARED))
    ]
    stored = [{t.name: len(t.raw_data) for t in model.graph.initializer if len(t.raw_data) > 100} for model in files]
    vectors = (
        {"vectors", "v.sizes"} if bits < 32 else {t for t in stored[1] if t.endswith((".gain", ".bias", ".scale"))}
    )
    matrices = [{name: size for name, size in sizes.items() if name not in vectors} for sizes in stored]
    assert matrices[0] == matrices[1]
    assert sum(matrices[1].values()) >= 24 * (3 * 16 + 16 + 20 + 20) * (1.6 if bits == 1 else bits) / 8
    if bits < 32:  # two more layers own two norms each, in fp16
        assert stored[1]["vectors"] - stored[0]["vectors"] == 2 * 2 * 2 * HIDDEN * 2
    contents = [t.raw_data for t in files[1].graph.initializer if len(t.raw_data) > 100]
    assert len(contents) == len(set(contents))


@pytest.mark.parametrize(
    ("bits", "opset"), [((8, 3), 18), ((3, 8), 18), ((2, 2), 18), ((1, 1), 18), ((8, 8), 17), ((32, 32), 17)]
)
def test_only_widths_below_eight_bits_need_the_newer_opset(bits: tuple[int, int], opset: int) -> None:
    encoder = OnnxEncoder(make_student(*bits).config)
    assert encoder.opset == opset
    assert any(node.op_type == "BitwiseAnd" for node in encoder.graph.nodes) == (opset == 18)
    assert OnnxEncoder(make_student(8, 8, widths={"head.dense": 2}).config).opset == 18


@pytest.mark.parametrize("embedding_bits", [1, 2, 3])
def test_the_projection_multiplies_the_words_own_codes(embedding_bits: int, tmp_path: Path) -> None:
    """Whole numbers times int8: no rounding of activations between the table and the hidden width."""
    student, inputs = make_student(8, embedding_bits, projection_bias=True), make_inputs()
    path = export_onnx(student, TARGET, tmp_path).path
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in onnx.load(path).graph.node) == 1
    seen: list[torch.Tensor] = []
    assert student.embeddings.projection is not None
    student.embeddings.projection.register_forward_hook(lambda _, __, output: seen.append(output))
    hidden_states(student, inputs)
    np.testing.assert_allclose(values_inside(path, inputs)["e.project"], seen[0], rtol=0, atol=1e-6)
