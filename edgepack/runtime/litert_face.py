"""A TFLite file's face, from its flatbuffer, which needs no package: tables of offsets, read at their slots.

Slots and enum values are those of TensorFlow Lite's `schema.fbs`, version 3; `export/tflite_file.py` writes the same. A
table begins with the distance to its list of slots; a slot holds how far behind the table's start a field stands, or 0.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from edgepack.errors import InputError, bare
from edgepack.runtime.face import Dimension, Face, TensorFace
from edgepack.target import Target
from edgepack.task.similarity import VECTOR_NAME

IDENTIFIER = b"TFL3"
OPERATOR_CODES, SUBGRAPHS, BUFFERS = 1, 2, 4  # of Model
TENSORS, INPUTS, OUTPUTS, OPERATORS = 0, 1, 2, 3  # of SubGraph
SHAPE, TYPE, BUFFER, NAME, QUANTIZATION, SIGNATURE = 0, 1, 2, 3, 4, 7  # of Tensor
OLD_CODE, CUSTOM, CODE = 0, 1, 3  # of OperatorCode
SCALE = 2  # of QuantizationParameters
DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 9: "int8", 17: "int4"}
FLOATS = {0: "<f4", 1: "<f2"}
NAMES = {
    0: "ADD", 2: "CONCATENATION", 6: "DEQUANTIZE", 8: "FLOOR", 9: "FULLY_CONNECTED", 18: "MUL", 19: "RELU",
    22: "RESHAPE", 25: "SOFTMAX", 28: "TANH", 34: "PAD", 36: "GATHER", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB",
    42: "DIV", 45: "STRIDED_SLICE", 49: "SPLIT", 53: "CAST", 71: "EQUAL", 74: "SUM", 76: "RSQRT", 95: "FLOOR_MOD",
    99: "SQUARED_DIFFERENCE",
    126: "BATCH_MATMUL", 128: "CUMSUM", 150: "GELU",
}  # fmt: skip
DYNAMIC = ("batch", "seq")  # how a manifest names a dimension of each place that may change


def read(path: Path, target: Target) -> Face:
    """Read the `.tflite` file at `path`."""
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise InputError(f"{bare(str(path), 200)}: is no TFLite file; build the bundle again")
    try:
        model = Table(data, struct.unpack_from("<I", data, 0)[0])
        graphs = model.tables(SUBGRAPHS)
        if len(graphs) != 1:
            raise InputError(f"{bare(str(path), 200)}: has {len(graphs)} graphs, not one; build the bundle again")
        graph, codes = graphs[0], model.tables(OPERATOR_CODES)
        tensors = graph.tables(TENSORS)
        used = {operator.number(0) for operator in graph.tables(OPERATORS)}
        return Face(
            inputs=tuple(tensor_face(tensors[i]) for i in graph.integers(INPUTS)),
            outputs=tuple(output_face(tensors[i]) for i in graph.integers(OUTPUTS)),
            operators=tuple(sorted(operator_name(codes[number]) for number in used)),
            faults=tuple(weight_faults(tensors, model.tables(BUFFERS))),
        )
    except (struct.error, IndexError, ValueError, OverflowError) as e:
        raise InputError(f"{bare(str(path), 200)}: is a damaged TFLite file ({e}); build the bundle again") from e


class Table:
    """A table of a flatbuffer at `start`; an absent field is 0 or empty."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.start = data, start
        self.slots = start - struct.unpack_from("<i", data, start)[0]
        self.slot_bytes = struct.unpack_from("<H", data, self.slots)[0]

    def at(self, slot: int) -> int | None:
        """Where a field stands."""
        place = 4 + 2 * slot
        if place >= self.slot_bytes:
            return None
        distance = struct.unpack_from("<H", self.data, self.slots + place)[0]
        return self.start + distance if distance else None

    def number(self, slot: int, kind: str = "<I") -> int:
        """An integer field."""
        place = self.at(slot)
        return 0 if place is None else int(struct.unpack_from(kind, self.data, place)[0])

    def vector(self, slot: int, item: int) -> tuple[int, int]:
        """Start and length of a vector of items of this many bytes."""
        place = self.at(slot)
        if place is None:
            return 0, 0
        start = place + struct.unpack_from("<I", self.data, place)[0]
        length = struct.unpack_from("<I", self.data, start)[0]
        if start + 4 + length * item > len(self.data):
            raise ValueError(f"a vector of {length} items ends behind the file")
        return start + 4, length

    def array(self, slot: int, dtype: str) -> np.ndarray:
        """A vector of numbers."""
        start, length = self.vector(slot, np.dtype(dtype).itemsize)
        return np.frombuffer(self.data, dtype, length, start)

    def integers(self, slot: int) -> list[int]:
        """A vector of int32."""
        return [int(value) for value in self.array(slot, "<i4")]

    def text(self, slot: int) -> str:
        """A string."""
        return self.array(slot, "u1").tobytes().decode("utf-8", "replace")

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables."""
        start, length = self.vector(slot, 4)
        places = range(start, start + 4 * length, 4)
        return [Table(self.data, place + struct.unpack_from("<I", self.data, place)[0]) for place in places]


def tensor_face(tensor: Table) -> TensorFace:
    """A tensor's name, type and shape; what may change has its place's name."""
    shape = tensor.integers(SIGNATURE) or tensor.integers(SHAPE)
    named: list[Dimension] = [DYNAMIC[i] if size < 0 and i < len(DYNAMIC) else size for i, size in enumerate(shape)]
    kind = tensor.number(TYPE, "<b")
    return TensorFace(tensor.text(NAME), DTYPES.get(kind, f"type {kind}"), tuple(named))


def output_face(tensor: Table) -> TensorFace:
    """The same of an output, which apps take by its place: its length is the input's; a vector's name tells it."""
    face = tensor_face(tensor)
    shape = face.shape if face.shape is None or len(face.shape) != 3 else (face.shape[0], DYNAMIC[1], face.shape[2])
    return TensorFace(face.name if face.name == VECTOR_NAME else "logits", face.dtype, shape)


def operator_name(code: Table) -> str:
    """`FULLY_CONNECTED`; a number where edgepack writes no such operator."""
    number = max(code.number(OLD_CODE, "<b"), code.number(CODE, "<i"))
    return f"custom {bare(code.text(CUSTOM))}" if code.at(CUSTOM) else NAMES.get(number, f"operator {number}")


def weight_faults(tensors: list[Table], buffers: list[Table]) -> list[str]:
    """Constants and scales that are NaN or infinite."""
    faults = []
    for tensor in tensors:
        values = [scales.array(SCALE, "<f4") for scales in tensor_quantization(tensor)]
        kind, buffer = tensor.number(TYPE, "<b"), buffers[tensor.number(BUFFER)]
        if kind in FLOATS:
            raw = buffer.array(0, "u1")
            values.append(raw[: len(raw) // 4 * 4 if kind == 0 else len(raw) // 2 * 2].view(FLOATS[kind]))
        bad = sum(int((~np.isfinite(part)).sum()) for part in values)
        faults += [f"{bare(tensor.text(NAME))} holds {bad} values that are NaN or infinite"] if bad else []
    return faults


def tensor_quantization(tensor: Table) -> list[Table]:
    """The table of scales, where a tensor has one."""
    place = tensor.at(QUANTIZATION)
    return [] if place is None else [Table(tensor.data, place + struct.unpack_from("<I", tensor.data, place)[0])]
