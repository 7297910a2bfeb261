"""The written graph has nothing to spare: every node, value and tensor is used, named once and stored once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from edgepack.export.onnx import export_onnx
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target

TARGET = load_target("linux-onnx")
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "tokens": {"task": "token-classification", "head_act": None},
    "types": {"type_vocab_size": 2, "projection_bias": True},
    "shared": {"attention_sharing": [0, 0, 0], "ffn_sharing": [0, 0, 0]},
    "relative": {"relative_attention_buckets": 8},
    "factorized": {"ranks": {"query": [4, 4, 4], "up": [0, 5, 3]}},
    "self_attentive": {
        "embedding_projection": "self_attentive",
        "embedding_num_heads": 3,
        "embedding_intermediate_size": 30,
    },
    "no_norm": {"norm": "no_norm", "hidden_act": "relu"},
}


def exported(bits: tuple[int, int], folder: Path, **fields: Any) -> onnx.ModelProto:
    shape: dict[str, Any] = {
        "vocab_size": 40,
        "embedding_size": 24,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_heads": [2] * (max(fields.get("attention_sharing", [2])) + 1),
        "head_sizes": [8] * (max(fields.get("attention_sharing", [2])) + 1),
        "intermediate_sizes": [40] * (max(fields.get("ffn_sharing", [2])) + 1),
        "max_position_embeddings": 16,
    }
    torch.manual_seed(0)
    student = Student(StudentConfig(**(shape | fields))).eval()
    student.set_bits(*bits)
    return onnx.load(export_onnx(student, TARGET, folder).path)


@pytest.mark.parametrize("bits", [(32, 32), (8, 8), (4, 4), (3, 2), (1, 1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_dead_node_no_unused_tensor_and_each_once(shape: str, bits: tuple[int, int], tmp_path: Path) -> None:
    graph = exported(bits, tmp_path, **SHAPES[shape]).graph
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    stored = [tensor.name for tensor in graph.initializer]
    assert [name for name in stored if name not in used] == []
    assert [value.name for value in graph.input if value.name not in used] == []
    dead = [node.output[0] for node in graph.node if not used & set(node.output)]
    assert dead == []
    assert max(Counter(stored).values()) == 1
    names = Counter(name for node in graph.node for name in node.output)
    assert max(names.values()) == 1
    large = [tensor.raw_data for tensor in graph.initializer if len(tensor.raw_data) >= 256]
    assert len(large) == len(set(large))


@pytest.mark.parametrize("shape", ["plain", "tokens", "shared"])
def test_one_node_for_each_thing(shape: str, tmp_path: Path) -> None:
    """An int8 layer: attention, its products, residuals and norms, the feed-forward network; nothing computed twice."""
    count = Counter(node.op_type for node in exported((8, 8), tmp_path, **SHAPES[shape]).graph.node)
    layers = 3
    split = shape != "tokens"  # a last layer of one token: its query by itself, attention behind the products
    assert (count["QAttention"], count["MultiHeadAttention"], count["BiasGelu"]) == (layers - split, split, layers)
    assert count["InstanceNormalization"] == 2 * layers + 1
    # output, up, down; the embedding's projection; the head; the last layer's query, its keys with values
    assert count["DynamicQuantizeMatMul"] == 3 * layers + 1 + (2 + 2 if split else 1)
    assert count["Softmax"] == count["DequantizeLinear"] == count["Einsum"] == 0
