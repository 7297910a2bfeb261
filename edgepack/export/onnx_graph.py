"""An ONNX model in two steps: first its structure, from shapes alone, then the bytes of its weights.

A `Graph` collects nodes and *declared* initializers: name, type, shape and a function that gives the values once there
is a student to take them from. So one walk over a config serves two ends: the exporter fills the initializers and
writes the file, and the planner adds up the file's exact size without any weights
(`ModelProto` → `GraphProto` → `TensorProto.raw_data` are length-prefixed, and a length prefix is a varint;
protobuf.dev/programming-guides/encoding).

Values are named rather than numbered, so that a viewer shows a readable graph; nodes are not named, since their
outputs are. A graph knows nothing of transformers. The parts that write into it do, each in its own file:
`onnx_packing.py` and `onnx_tables.py` how constants are stored, `onnx_products.py` products and norms,
`onnx_tokens.py` which tokens a value holds, `onnx_attention.py` attention, `onnx_encoder.py` the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

# Microsoft's domain holds the fused and the int8 operators; every ONNX Runtime build carries them
CONTRIB = "com.microsoft"
CONTRIB_OPERATORS = frozenset(
    ("BiasGelu", "DynamicQuantizeMatMul", "FastGelu", "MatMulIntegerToFloat", "MultiHeadAttention", "QAttention")
)
ITEM_BYTES = {
    TensorProto.FLOAT: 4,
    TensorProto.FLOAT16: 2,
    TensorProto.INT32: 4,
    TensorProto.INT64: 8,
    TensorProto.INT8: 1,
    TensorProto.UINT8: 1,
}
IR_VERSION = 8  # the oldest that may carry opsets 15 to 18


@dataclass(frozen=True)
class Initializer:
    """A declared tensor; `values(weights)` gives its array."""

    name: str
    data_type: int
    shape: tuple[int, ...]
    values: Callable[[Any], np.ndarray]

    @property
    def size_bytes(self) -> int:
        """Bytes of the values in the file."""
        return prod(self.shape) * ITEM_BYTES[self.data_type]

    def raw(self, weights: Any) -> bytes:
        """The values as ONNX stores them: little-endian, row-major."""
        array = np.asarray(self.values(weights), order="C")
        if array.shape != self.shape:
            raise ValueError(f"initializer {self.name} has shape {array.shape}; {self.shape} was declared")
        return array.tobytes()


class Graph:
    """Collects the nodes and initializers of one model."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, Initializer] = {}

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        return self.split_node(op, inputs, (output,), **attributes)[0]

    def split_node(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Sequence[str]:
        """Append a node with several outputs and return their names."""
        while inputs and not inputs[-1]:  # optional inputs at the end are left out, not left empty
            inputs = inputs[:-1]
        node = onnx.NodeProto(op_type=op, input=inputs, output=outputs)
        if op in CONTRIB_OPERATORS:
            node.domain = CONTRIB
        for key, value in attributes.items():
            node.attribute.append(helper.make_attribute(key, value))
        self.nodes.append(node)
        return outputs

    @contextmanager
    def writing_to(self, nodes: list[onnx.NodeProto]) -> Iterator[None]:
        """Collect nodes in this list for a while, to be put somewhere else in the graph."""
        before, self.nodes = self.nodes, nodes
        try:
            yield
        finally:
            self.nodes = before

    def initializer(
        self, name: str, data_type: int, shape: tuple[int, ...], values: Callable[[Any], np.ndarray]
    ) -> str:
        """Declare a tensor, once for each name, and return the name."""
        if name not in self.initializers:
            self.initializers[name] = Initializer(name, data_type, shape, values)
        return name

    def integers(self, *values: int) -> str:
        """A small int64 vector: axes, shapes, split points."""
        name = "i" + "_".join(map(str, values))
        return self.initializer(name, TensorProto.INT64, (len(values),), lambda _: np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        """An int64 scalar: a Gather index that removes its axis, a Range limit."""
        return self.initializer(f"s{value}", TensorProto.INT64, (), lambda _: np.array(value, np.int64))

    def number(self, value: float) -> str:
        """An fp32 scalar."""
        return self.initializer(f"f{value:g}", TensorProto.FLOAT, (), lambda _: np.array(value, np.float32))

    def bytes(self, name: str, values: np.ndarray) -> str:
        """A small uint8 constant."""
        return self.initializer(name, TensorProto.UINT8, values.shape, lambda _: values)

    def lengths(self, name: str, values: Sequence[int]) -> str:
        """The lengths that a Split cuts to, under a name of its own."""
        return self.initializer(name, TensorProto.INT64, (len(values),), lambda _: np.array(values, np.int64))

    def model(
        self,
        inputs: Sequence[str],
        output: str,
        output_shape: Sequence[str | int],
        opset: int,
        input_shape: Sequence[str | int] = ("batch", "seq"),
    ) -> onnx.ModelProto:
        """The model with its initializers declared but empty; the same calls give the same model."""
        tensors = [TensorProto(name=i.name, data_type=i.data_type, dims=i.shape) for i in self.initializers.values()]
        int64 = [helper.make_tensor_value_info(name, TensorProto.INT64, input_shape) for name in inputs]
        logits = helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)
        graph = onnx.GraphProto(node=self.nodes, name="student", initializer=tensors, input=int64, output=[logits])
        return onnx.ModelProto(
            ir_version=IR_VERSION,
            producer_name="edgepack",
            graph=graph,
            opset_import=[helper.make_opsetid("", opset), helper.make_opsetid(CONTRIB, 1)],
        )


def file_size(model: onnx.ModelProto, initializers: Sequence[Initializer]) -> int:
    """Exact bytes of `model` once its initializers are filled."""
    graph = model.graph.ByteSize()
    filled = graph
    for tensor, initializer in zip(model.graph.initializer, initializers, strict=True):
        size = tensor.ByteSize()
        raw = initializer.size_bytes
        full = size + 1 + _varint_size(raw) + raw  # 1: the tag of raw_data
        filled += full + _varint_size(full) - size - _varint_size(size)
    return model.ByteSize() - graph - _varint_size(graph) + filled + _varint_size(filled)


def operators(model: onnx.ModelProto) -> tuple[str, ...]:
    """Every operator in the model, sorted, with its domain where it is not ONNX's own."""
    return tuple(sorted({qualified(node) for node in model.graph.node}))


def qualified(node: onnx.NodeProto) -> str:
    """`Gather`, `com.microsoft.BiasGelu`."""
    return f"{node.domain}.{node.op_type}" if node.domain else str(node.op_type)


def _varint_size(value: int) -> int:
    """Bytes of a non-negative number as a protobuf varint: 7 bits each."""
    return max(1, -(-value.bit_length() // 7))
