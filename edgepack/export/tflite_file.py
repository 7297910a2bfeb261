"""A TFLite file, written as what it is: a flatbuffer of tensors, operators and buffers.

The schema is TensorFlow Lite's `schema.fbs`, version 3, identifier `TFL3`; the numbers below are its enum values and
its field slots. A constant's bytes are made when the file is written, so the same graph gives the file of a student,
or, with zeros in every buffer, its exact length. Nothing in the file depends on anything but the graph:
equal graphs give equal bytes.

Not covered: more than one subgraph, sparse tensors, custom operators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

import flatbuffers
import numpy as np

IDENTIFIER, VERSION = b"TFL3", 3
BUFFER_ALIGNMENT = 16  # of constants, as the schema requires
OLD_CODES = 127  # operators above do not fit the schema's first, one-byte field

FLOAT32, FLOAT16, INT32, UINT8, INT64, BOOL, INT8, INT4 = 0, 1, 2, 3, 4, 6, 9, 17
BITS = {FLOAT32: 32, FLOAT16: 16, INT32: 32, UINT8: 8, INT64: 64, INT8: 8, INT4: 4}
BLOCKWISE = 2  # QuantizationDetails

# builtin operator → its number, the version that these files need, the number of its options table (0: none)
OPERATORS: dict[str, tuple[int, int, int]] = {
    "ADD": (0, 1, 11),
    "BATCH_MATMUL": (126, 1, 101),
    "CAST": (53, 1, 0),
    "CONCATENATION": (2, 1, 10),
    "CUMSUM": (128, 1, 102),
    "DEQUANTIZE": (6, 2, 0),
    "DIV": (42, 1, 29),
    "EQUAL": (71, 2, 0),
    "FLOOR": (8, 1, 0),
    "FLOOR_MOD": (95, 1, 0),
    "FULLY_CONNECTED": (9, 9, 8),
    "GATHER": (36, 1, 23),
    "GELU": (150, 1, 116),
    "MEAN": (40, 1, 27),
    "MUL": (18, 1, 21),
    "PAD": (34, 1, 0),
    "RELU": (19, 1, 0),
    "RESHAPE": (22, 1, 0),
    "RSQRT": (76, 1, 0),
    "SOFTMAX": (25, 1, 9),
    "SPLIT": (49, 1, 35),
    "SQUARED_DIFFERENCE": (99, 1, 0),
    "STRIDED_SLICE": (45, 1, 32),
    "SUB": (41, 1, 28),
    "SUM": (74, 1, 27),
    "TANH": (28, 1, 0),
    "TRANSPOSE": (39, 1, 0),
}

Shape = tuple[int, ...]
Bytes = Callable[[], np.ndarray]  # a constant's content, when it is needed


@dataclass(frozen=True)
class Tensor:
    """One tensor. `scales`: of a quantized weight's channels; `block` its scale tensor and block size instead."""

    name: str
    shape: Shape
    type: int
    data: Bytes | None = None
    scales: Bytes | None = None
    block: tuple[int, int] | None = None
    dynamic: Shape | None = None  # the shape with -1 where a caller may resize

    @property
    def size_bytes(self) -> int:
        """Bytes of the content."""
        return -(-prod(self.shape) * BITS[self.type] // 8)


@dataclass(frozen=True)
class Option:
    """One field of an operator's options table: its slot, its kind (`i` int32, `b` bool or byte, `f` float), value."""

    slot: int
    kind: str
    value: float


@dataclass(frozen=True)
class Node:
    """One operator with the numbers of its tensors."""

    operator: str
    inputs: tuple[int, ...]  # -1: left out
    outputs: tuple[int, ...]
    options: tuple[Option, ...] = ()


@dataclass
class TfliteGraph:
    """Tensors and operators in order; numbers in `inputs` and `outputs` are places in `tensors`."""

    tensors: list[Tensor] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def add(self, tensor: Tensor) -> int:
        """A new tensor's number."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operators(self) -> tuple[str, ...]:
        """Operators in use, sorted."""
        return tuple(sorted({node.operator for node in self.nodes}))


def write_tflite(graph: TfliteGraph, filled: bool = True) -> bytes:
    """The file; with zeros in the place of all constants where it is not `filled`."""
    constants = [tensor for tensor in graph.tensors if tensor.data is not None]
    builder = flatbuffers.Builder(sum(tensor.size_bytes + 64 for tensor in constants) + 4096)
    builder.ForceDefaults(False)
    numbers = {id(tensor): i + 1 for i, tensor in enumerate(constants)}  # buffer 0 is the empty one
    buffers = [_table(builder, 1, [])] + [_buffer(builder, tensor, filled) for tensor in constants]
    codes = list(graph.operators())
    channels = sorted({tensor.shape[0] for tensor in constants if tensor.scales is not None})
    zeros = {count: int(builder.CreateNumpyVector(np.zeros(count, np.int64))) for count in channels}
    tensors = [_tensor(builder, tensor, numbers.get(id(tensor), 0), zeros, filled) for tensor in graph.tensors]
    nodes = [_node(builder, node, codes) for node in graph.nodes]
    name = builder.CreateString("main")
    parts = [_offsets(builder, tensors), _integers(builder, graph.inputs), _integers(builder, graph.outputs)]
    parts += [_offsets(builder, nodes), name]
    subgraph = _table(builder, 5, [(i, "o", part) for i, part in enumerate(parts)])
    operator_codes = _offsets(builder, [_operator_code(builder, name) for name in codes])
    subgraphs, all_buffers = _offsets(builder, [subgraph]), _offsets(builder, buffers)
    fields = [(0, "i", VERSION), (1, "o", operator_codes), (2, "o", subgraphs), (4, "o", all_buffers)]
    builder.Finish(_table(builder, 5, fields), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, slots: int, fields: Sequence[tuple[int, str, float]]) -> int:
    """A table with these fields: slot, kind, value; a field that has its default value takes no room."""
    builder.StartObject(slots)
    for slot, kind, value in fields:
        if kind == "o":
            builder.PrependUOffsetTRelativeSlot(slot, int(value), 0)
        elif kind == "i":
            builder.PrependInt32Slot(slot, int(value), 0)
        elif kind == "b":
            builder.PrependInt8Slot(slot, int(value), 0)
        else:
            builder.PrependFloat32Slot(slot, value, 0.0)
    return int(builder.EndObject())


def _buffer(builder: flatbuffers.Builder, tensor: Tensor, filled: bool) -> int:
    assert tensor.data is not None
    content = np.ascontiguousarray(tensor.data()).tobytes() if filled else bytes(tensor.size_bytes)
    assert len(content) == tensor.size_bytes, f"{tensor.name}: {len(content)} bytes, {tensor.size_bytes} declared"
    builder.StartVector(1, len(content), BUFFER_ALIGNMENT)
    builder.head = builder.head - len(content)
    builder.Bytes[builder.head : builder.head + len(content)] = content
    return _table(builder, 1, [(0, "o", builder.EndVector())])


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, buffer: int, zeros: dict[int, int], filled: bool) -> int:
    """A tensor's table; the zero points of all weights with so many channels are one vector, referred to by each."""
    name = builder.CreateString(tensor.name)
    fields = [(0, "o", _integers(builder, tensor.shape)), (1, "b", tensor.type), (2, "i", buffer), (3, "o", name)]
    if tensor.scales is not None:
        scales = tensor.scales().astype(np.float32) if filled else np.zeros(tensor.shape[0], np.float32)
        quantization = [(2, "o", builder.CreateNumpyVector(scales)), (3, "o", zeros[tensor.shape[0]])]
        fields.append((4, "o", _table(builder, 7, quantization)))
    if tensor.block is not None:
        details = _table(builder, 3, [(0, "i", tensor.block[0]), (1, "i", -1), (2, "i", tensor.block[1])])
        fields.append((4, "o", _table(builder, 7, [(4, "b", BLOCKWISE), (5, "o", details)])))
    if tensor.dynamic is not None:
        fields.append((7, "o", _integers(builder, tensor.dynamic)))
    return _table(builder, 10, [*fields, (8, "b", 1)])


def _node(builder: flatbuffers.Builder, node: Node, codes: Sequence[str]) -> int:
    inputs, outputs = _integers(builder, node.inputs), _integers(builder, node.outputs)
    fields = [(0, "i", codes.index(node.operator)), (1, "o", inputs), (2, "o", outputs)]
    kind = OPERATORS[node.operator][2]
    if kind:
        options = _table(builder, 16, [(option.slot, option.kind, option.value) for option in node.options])
        fields += [(3, "b", kind), (4, "o", options)]
    return _table(builder, 9, fields)


def _operator_code(builder: flatbuffers.Builder, name: str) -> int:
    code, version, _ = OPERATORS[name]
    return _table(builder, 4, [(0, "b", min(code, OLD_CODES)), (2, "i", version), (3, "i", code)])


def _integers(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))


def _offsets(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
