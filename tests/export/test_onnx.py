"""The ONNX artifact computes what the student computes, for every axis of the config, in the runtime it is for."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from edgepack.errors import CheckFailed, InputError
from edgepack.export.onnx import export_onnx
from edgepack.export.onnx_graph import operators
from edgepack.plan.size import model_size
from edgepack.quantization import bit_width
from edgepack.runtime.onnxruntime import load
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target

TARGET = load_target("android-onnx")
VOCABULARY, POSITIONS = 50, 24
FLOAT_TOLERANCE = 1e-5
# Both sides round the same activations with the same scales, so they differ by float noise, 1e-6 at most, unless a
# value within that noise of a rounding tie falls to the other side: one step of one unit, range / 255, which then
# spreads to some 1e-2 in a logit. 1 in 50 sentences of these students has one (in all widths alike; the first product
# that differs shows a single code), so the median of SENTENCES is noise alone. Rounding itself moves the logits by
# more than 2e-3 (asserted).
ROUNDED_TOLERANCE = 1e-5
ROUNDING_ITSELF = 2e-3
SENTENCES = (1, 2, 4, 5, 9, 13, 16, 20, 24)  # lengths

SHAPES: dict[str, dict[str, Any]] = {
    "uneven": {"type_vocab_size": 2},
    "albert": {
        "attention_sharing": [0, 0, 0],
        "ffn_sharing": [0, 1, 0],
        "num_heads": [2],
        "head_sizes": [8],
        "intermediate_sizes": [48, 20],
        "norm_before_projection": True,
        "projection_bias": True,
        "type_vocab_size": 2,
        "hidden_act": "gelu_tanh",
        "head_act": "gelu",
    },
    "subformer_token_head": {
        "embedding_projection": "self_attentive",
        "embedding_num_heads": 3,
        "embedding_intermediate_size": 30,
        "task": "token-classification",
        "head_act": None,
    },
    "mobilebert_low_rank": {
        "embedding_projection": "identity",
        "embedding_size": 40,
        "hidden_act": "relu",
        "norm": "no_norm",
        "ranks": {"query": [4, 0, 0], "up": [0, 5, 3], "output": [0, 0, 11]},
        "head_act": "relu",
    },
    "mpnet_odd_widths": {
        "embedding_size": 33,
        "projection_bias": True,
        "attention_sharing": [0, 1, 0],
        "num_heads": [2, 3],
        "head_sizes": [8, 8],
        "relative_attention_buckets": 8,
        "relative_attention_max_distance": 12,
        "block_size": 16,
    },
    "mean_vector": {"task": "feature-extraction", "pooling": "mean", "head_act": None, "normalized": True},
    "last_vector": {"task": "feature-extraction", "pooling": "last", "head_act": "tanh", "vector_size": 12},
    "first_vector": {"task": "feature-extraction", "head_act": None, "vector_size": 12, "normalized": True},
}
WIDTHS = [(8, 8), (8, 4), (4, 8), (4, 4), (3, 2), (2, 3), (1, 1), (8, 1)]


def make_student(bits: tuple[int, int] = (32, 32), seed: int = 0, **fields: Any) -> Student:
    """A small student, every parameter (gains and biases too) away from its initial value."""
    shape = {
        "vocab_size": VOCABULARY,
        "embedding_size": 24,
        "hidden_size": 40,
        "num_hidden_layers": 3,
        "num_heads": [2, 3, 2],
        "head_sizes": [8, 8, 16],
        "intermediate_sizes": [48, 20, 64],
        "max_position_embeddings": POSITIONS,
        "num_labels": 5,
    }
    torch.manual_seed(seed)
    student = Student(StudentConfig(**(shape | fields))).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    student.set_bits(*bits)
    student.round_vectors()
    return student


def make_inputs(lengths: list[int], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (len(lengths), max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    ids, types = rng.integers(0, VOCABULARY, shape), rng.integers(0, 2, shape)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def torch_logits(student: Student, inputs: dict[str, np.ndarray]) -> np.ndarray:
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    with torch.no_grad():
        return student(**tensors).logits.numpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_float_artifact_equals_the_student_padded_single_token_and_longest(shape: str, tmp_path: Path) -> None:
    student = make_student(**SHAPES[shape])
    session = load(export_onnx(student, TARGET, tmp_path).path)
    inputs = make_inputs([POSITIONS, 5, 1])
    expected, got = torch_logits(student, inputs), session.run(inputs)
    assert got.shape == expected.shape
    real = inputs["attention_mask"] == 1 if got.ndim == 3 else np.ones(3, bool)
    assert np.abs(got - expected)[real].max() <= FLOAT_TOLERANCE
    assert np.abs(expected[real]).max() > 0.1  # not a comparison of zeros


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_rounded_artifact_equals_the_rounded_student(shape: str, bits: tuple[int, int], tmp_path: Path) -> None:
    student = make_student(bits, **SHAPES[shape])
    session = load(export_onnx(student, TARGET, tmp_path).path)
    sentences = [make_inputs([length], seed=length) for length in SENTENCES]
    got = [session.run(inputs) for inputs in sentences]
    errors = [np.abs(a - torch_logits(student, i)).max() for a, i in zip(got, sentences, strict=True)]
    student.set_bits(32, 32)
    unrounded = [np.abs(a - torch_logits(student, i)).max() for a, i in zip(got, sentences, strict=True)]
    assert np.median(errors) <= ROUNDED_TOLERANCE
    assert max(errors) <= max(unrounded)
    assert max(unrounded) > ROUNDING_ITSELF


@pytest.mark.parametrize("bits", [(32, 32), (8, 8), (3, 2)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_static_shape_pads_without_changing_a_rounding(shape: str, bits: tuple[int, int], tmp_path: Path) -> None:
    student, static = make_student(bits, **SHAPES[shape]), dataclasses.replace(TARGET, static_shape=True)
    artifact = export_onnx(student, static, tmp_path)
    assert artifact.size_bytes == model_size(student.config, static).total
    declared = onnx.load(artifact.path).graph
    for value in [*declared.input, *declared.output]:
        assert [dim.dim_value for dim in value.type.tensor_type.shape.dim][:1] == [1]
    assert [dim.dim_value for dim in declared.input[0].type.tensor_type.shape.dim] == [1, POSITIONS]
    session = load(artifact.path)
    sentences = [make_inputs([length], seed=length) for length in SENTENCES]
    errors = [np.abs(session.run(i) - torch_logits(student, i)).max() for i in sentences]
    assert np.median(errors) <= ROUNDED_TOLERANCE


@pytest.mark.parametrize("shape", ["uneven", "mpnet_odd_widths"])
def test_what_stands_in_padding_does_not_matter(shape: str, tmp_path: Path) -> None:
    session = load(export_onnx(make_student(**SHAPES[shape]), TARGET, tmp_path).path)
    inputs = make_inputs([12, 5])
    other = inputs | {"input_ids": inputs["input_ids"].copy()}
    other["input_ids"][1, 5:] = (other["input_ids"][1, 5:] + 1) % VOCABULARY
    np.testing.assert_array_equal(session.run(inputs)[1], session.run(other)[1])
    other["attention_mask"] = np.ones_like(other["attention_mask"])
    assert np.abs(session.run(inputs)[1] - session.run(other)[1]).max() > 1e-4


def test_a_pair_in_a_static_shape_does_not_match_its_padding(tmp_path: Path) -> None:
    student = make_student(match_separator=7)
    ids = np.array([[0, 5, 7, 5, 7]])  # 0 fills the rest of the shape
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    session = load(export_onnx(student, dataclasses.replace(TARGET, static_shape=True), tmp_path).path)
    np.testing.assert_allclose(session.run(inputs), torch_logits(student, inputs), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bits", [(32, 32), (8, 8), (4, 4), (3, 2), (1, 1)])
def test_shared_layers_are_stored_once_and_folded_once(bits: tuple[int, int], tmp_path: Path) -> None:
    shared: dict[str, Any] = {"num_heads": [2], "head_sizes": [8], "intermediate_sizes": [48], "num_labels": 3}
    shared |= {"task": "token-classification", "head_act": None}  # a last layer of one token cuts its operands
    one = export_onnx(make_student(bits, num_hidden_layers=1, **shared), TARGET, tmp_path / "one")
    maps: dict[str, Any] = {"attention_sharing": [0] * 6, "ffn_sharing": [0] * 6}
    six = export_onnx(make_student(bits, num_hidden_layers=6, **maps, **shared), TARGET, tmp_path / "six")
    assert _weight_bytes(onnx.load(six.path)) == _weight_bytes(onnx.load(one.path))
    big = [tensor.raw_data for tensor in onnx.load(six.path).graph.initializer if len(tensor.raw_data) > 200]
    assert len(big) == len(set(big))
    assert _weight_bytes(_as_loaded(six.path)) == _weight_bytes(_as_loaded(one.path))


@pytest.mark.parametrize("bits", [(4, 8), (4, 4), (3, 3), (2, 2), (1, 1)])
def test_the_session_unpacks_weights_at_load_and_not_at_every_run(bits: tuple[int, int], tmp_path: Path) -> None:
    # widths that are no multiple of the block, shorter than a block, and odd
    artifact = export_onnx(make_student(bits, ranks={"query": [7, 0, 0]}), TARGET, tmp_path)
    stored, loaded = onnx.load(artifact.path), _as_loaded(artifact.path)
    chain = {"BitShift", "BitwiseAnd", "Transpose"} | ({"Floor", "Exp"} if 1 in bits else set())
    assert chain <= {node.op_type for node in stored.graph.node}
    left = Counter(node.op_type for node in loaded.graph.node)
    assert not chain & set(left)
    assert left["Reshape"] == len(bit_width(bits[1]).planes or [1]) * (bits[1] < 8)  # the rows of a text's tokens
    products = [node for node in loaded.graph.node if node.op_type in ("DynamicQuantizeMatMul", "QAttention")]
    types = {tensor.name: tensor.data_type for tensor in loaded.graph.initializer}
    assert {types[node.input[1]] for node in products} == {onnx.TensorProto.INT8}


def test_query_key_value_are_part_of_attention_where_nothing_is_factorized(tmp_path: Path) -> None:
    whole = onnx.load(export_onnx(make_student((8, 8)), TARGET, tmp_path / "a").path)
    split = onnx.load(export_onnx(make_student((8, 8), ranks={"key": [3, 0, 0]}), TARGET, tmp_path / "b").path)
    count = [Counter(node.op_type for node in m.graph.node) for m in (whole, split)]
    # the last layer has a product for its query and one for keys and values; layer 0: query, key down, key up, value
    assert [c["DynamicQuantizeMatMul"] for c in count] == [1 + 3 * 3 + 2 + 2, 1 + 3 * 3 + 2 + 2 + 4]
    assert [(c["QAttention"], c["MultiHeadAttention"]) for c in count] == [(2, 1), (1, 2)]


@pytest.mark.parametrize(("bits", "opset"), [((32, 32), 17), ((8, 8), 17), ((8, 4), 18), ((4, 8), 18), ((4, 4), 18)])
def test_the_oldest_opset_that_the_scheme_needs(bits: tuple[int, int], opset: int, tmp_path: Path) -> None:
    artifact = export_onnx(make_student(bits, **SHAPES["mpnet_odd_widths"]), TARGET, tmp_path)
    model = onnx.load(artifact.path)
    assert (model.opset_import[0].version, model.ir_version, model.producer_name) == (opset, 8, "edgepack")
    assert artifact.operators == operators(model)
    assert set(artifact.operators) <= set(TARGET.operators)
    assert artifact.size_bytes == artifact.path.stat().st_size
    assert artifact.path == tmp_path / TARGET.file


@pytest.mark.parametrize("shape", SHAPES)
def test_declared_output_shape_is_the_computed_one(shape: str, tmp_path: Path) -> None:
    session = ort.InferenceSession(str(export_onnx(make_student(**SHAPES[shape]), TARGET, tmp_path).path))
    task, size = SHAPES[shape].get("task"), SHAPES[shape].get("vector_size", 40)
    declared = {"token-classification": ["batch", "seq", 5], "feature-extraction": ["batch", size]}
    assert session.get_outputs()[0].shape == declared.get(str(task), ["batch", 5])
    inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * ("type_vocab_size" in SHAPES[shape])
    assert [value.name for value in session.get_inputs()] == inputs


def test_same_student_same_bytes_other_student_other_bytes_and_nothing_left_beside(tmp_path: Path) -> None:
    first, second, other = (
        export_onnx(make_student((4, 4), seed), TARGET, tmp_path / name).path.read_bytes()
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == second
    assert first != other
    assert [path.name for path in (tmp_path / "a" / "onnx").iterdir()] == ["model_quantized.onnx"]


def test_an_operator_that_the_target_lacks_is_named_with_its_node(tmp_path: Path) -> None:
    fewer = tuple(op for op in TARGET.operators if op != "com.microsoft.BiasGelu")
    target = dataclasses.replace(TARGET, operators=fewer)
    with pytest.raises(CheckFailed, match=r"'l0\.up\.act' is a com\.microsoft\.BiasGelu"):
        export_onnx(make_student((8, 8)), target, tmp_path)
    assert not any(tmp_path.rglob("*"))
    export_onnx(make_student((8, 8), hidden_act="relu"), target, tmp_path)


def test_what_the_target_cannot_run_is_refused(tmp_path: Path) -> None:
    old = dataclasses.replace(TARGET, opset=17)
    export_onnx(make_student((8, 8)), old, tmp_path / "old")
    with pytest.raises(InputError, match=r"needs opset 18, .* up to 17: .*'\S+' is a BitwiseAnd, new in opset 18"):
        export_onnx(make_student((4, 8)), old, tmp_path)
    with pytest.raises(InputError, match="body_bits is 4; allowed: 8"):
        export_onnx(make_student((4, 8)), dataclasses.replace(TARGET, body_bits=(8,)), tmp_path)
    masked = make_student((8, 8))
    masked.attention[1].mask = torch.ones(3)
    with pytest.raises(InputError, match=r"attention\.1 still has a pruning mask"):
        export_onnx(masked, TARGET, tmp_path)


def test_session_errors_are_one_clear_line(tmp_path: Path) -> None:
    path = export_onnx(make_student((8, 8), type_vocab_size=2), TARGET, tmp_path).path
    inputs = make_inputs([4])
    session = load(path)
    assert session.run(inputs | {"unknown": inputs["input_ids"]}).dtype == np.float32
    del inputs["token_type_ids"]
    with pytest.raises(InputError, match="'token_type_ids' was not given"):
        session.run(inputs)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="does not load in ONNX Runtime") as error:
        load(path)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="is not a file"):
        load(tmp_path / "none.onnx")


@pytest.mark.parametrize("bits", [4, 3, 2, 1])
@pytest.mark.parametrize("block_size", [1, 5, 16])
def test_blocks_of_any_size(bits: int, block_size: int, tmp_path: Path) -> None:
    student = make_student((bits, 4), block_size=block_size)
    session = load(export_onnx(student, TARGET, tmp_path).path)
    sentences = [make_inputs([length], seed=length) for length in SENTENCES]
    errors = [np.abs(session.run(i) - torch_logits(student, i)).max() for i in sentences]
    assert np.median(errors) <= ROUNDED_TOLERANCE


@pytest.mark.parametrize(("bits", "most"), [(4, 9), (3, 14), (2, 11), (1, 19)])
def test_what_a_model_costs_to_open(bits: int, most: int, tmp_path: Path) -> None:
    """ONNX Runtime holds the results of all constant nodes at once: their sum, in bytes for each weight of the body."""
    size = {"hidden_size": 256, "intermediate_sizes": [256] * 2, "num_hidden_layers": 2, "num_heads": [4, 4]}
    student = make_student((bits, bits), **size, head_sizes=[32, 32], vocab_size=20_000, embedding_size=64)
    model = onnx.shape_inference.infer_shapes(onnx.load(export_onnx(student, TARGET, tmp_path).path))
    kinds = {value.name: value.type.tensor_type for value in model.graph.value_info}
    constant = {initializer.name for initializer in model.graph.initializer}
    held = 0
    for node in model.graph.node:
        if all(name in constant for name in node.input if name):
            constant.update(node.output)
            for name in node.output:
                dims = [dim.dim_value for dim in kinds[name].shape.dim]
                held += math.prod(dims) * onnx.helper.tensor_dtype_to_np_dtype(kinds[name].elem_type).itemsize
    body = sum(p.numel() for name, p in student.named_parameters() if p.dim() == 2 and "embeddings." not in name)
    tables = 20_000 * 4 * 6  # scales and minima of words
    assert held <= most * body + tables + 100_000
    assert held >= 5 * body  # the products themselves are among them


@pytest.mark.parametrize("bits", [32, 8, 4, 3, 2, 1])
@pytest.mark.parametrize("ranks", [{}, {"query": [0, 4, 0]}])
def test_widths_of_single_matrices(bits: int, ranks: dict[str, list[int]], tmp_path: Path) -> None:
    widths = {"attention.1.qkv": bits, "feed_forward.0": 8, "head.dense": 2, "embeddings.projection": bits}
    student = make_student((4, 2), ranks=ranks, widths=widths)
    session = load(export_onnx(student, TARGET, tmp_path).path)
    sentences = [make_inputs([length], seed=length) for length in SENTENCES]
    errors = [np.abs(session.run(i) - torch_logits(student, i)).max() for i in sentences]
    assert np.median(errors) <= ROUNDED_TOLERANCE
    student.config.widths = None
    student.set_bits(4, 2)
    others = [np.abs(session.run(i) - torch_logits(student, i)).max() for i in sentences]
    assert np.median(others) > ROUNDING_ITSELF


def test_a_width_of_one_matrix_that_the_target_lacks_is_refused(tmp_path: Path) -> None:
    student = make_student((8, 8), widths={"attention.0": 2, "head.dense": 4})
    with pytest.raises(InputError, match=r"widths\['attention.0'\] is 2; allowed: 8, 4"):
        export_onnx(student, dataclasses.replace(TARGET, body_bits=(8, 4)), tmp_path)


def _as_loaded(path: Path) -> onnx.ModelProto:
    """The model as the session holds it after its optimizations."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".loaded.onnx"))
    options.log_severity_level = 3
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def _weight_bytes(model: onnx.ModelProto) -> int:
    """Bytes of the model's matrices; norms and biases, which every layer has for itself, are vectors."""
    shapes = [(tensor.dims, tensor.data_type) for tensor in model.graph.initializer if len(tensor.dims) > 1]
    return sum(int(np.prod(dims)) * onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize for dims, kind in shapes)
