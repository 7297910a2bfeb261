"""An ONNX file's face, from its protobuf: the light installation has no onnx package.

Field numbers are those of onnx.proto (IR version 8). Initializers have to lie in the file itself, in `raw_data`, as
edgepack writes them: data elsewhere would be another file's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgepack.errors import InputError, bare
from edgepack.runtime.face import Dimension, Face, TensorFace
from edgepack.runtime.onnx_contents import (
    ATTRIBUTE,
    DATA_TYPE,
    DOMAIN,
    FUNCTIONS,
    GRAPH,
    INITIALIZER,
    INPUT,
    IR_VERSION,
    NODE,
    OP_TYPE,
    OPSET_IMPORT,
    OUTPUT,
    RAW_DATA,
    SPARSE_INITIALIZER,
    TENSOR_NAME,
    extra_faults,
)
from edgepack.runtime.protobuf import Fields, last_number, last_string, messages, parse_message
from edgepack.target import Target

NUMBER, TENSOR, SUBGRAPH, NUMBERS, TENSORS, SUBGRAPHS = 2, 5, 6, 7, 10, 11  # of AttributeProto
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of TensorProto
DTYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64", 16: "bfloat16"}
FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}
DEFAULT_DOMAINS = ("", "ai.onnx")
MOST_DEPTH = 8  # of graphs inside graphs; edgepack's have none


def read(path: Path, target: Target) -> Face:
    """Read the ONNX file at `path`."""
    model = parse_message(path.read_bytes())
    graphs = messages(model, GRAPH)
    if len(graphs) != 1:
        raise InputError(f"{bare(str(path), 200)}: is no ONNX model; build the bundle again")
    graph = graphs[0]
    nodes = list(all_nodes(graph))
    opsets = [last_number(entry, 2) or 0 for entry in messages(model, OPSET_IMPORT) if domain_of(entry, 1) == ""]
    faults = [] if len(opsets) == 1 else [f"it imports ONNX's own operators {len(opsets)} times"]
    faults += ["it has functions of its own"] if FUNCTIONS in model else []
    faults += ["it has sparse weights"] if SPARSE_INITIALIZER in graph else []
    faults += extra_faults(model, graph)
    faults += [fault for tensor in all_tensors(graph, nodes) if (fault := tensor_fault(tensor))]
    faults += ["an operator has an attribute that is no number"] if any(has_bad_number(node) for node in nodes) else []
    return Face(
        inputs=tuple(tensor_face(value) for value in messages(graph, INPUT)),
        outputs=tuple(tensor_face(value) for value in messages(graph, OUTPUT)),
        operators=tuple(sorted({operator(node) for node in nodes})),
        opset=max(opsets, default=None),
        ir_version=last_number(model, IR_VERSION),
        faults=tuple(faults),
    )


def all_nodes(graph: Fields, depth: int = 0) -> Iterator[Fields]:
    """The graph's nodes and those of graphs inside them."""
    if depth > MOST_DEPTH:
        raise InputError(f"the model nests graphs more than {MOST_DEPTH} deep; export it again")
    for node in messages(graph, NODE):
        yield node
        for attribute in messages(node, ATTRIBUTE):
            for inner in (*messages(attribute, SUBGRAPH), *messages(attribute, SUBGRAPHS)):
                yield from all_nodes(inner, depth + 1)


def all_tensors(graph: Fields, nodes: list[Fields]) -> Iterator[Fields]:
    """Initializers, and constants in attributes."""
    yield from messages(graph, INITIALIZER)
    for node in nodes:
        for attribute in messages(node, ATTRIBUTE):
            yield from messages(attribute, TENSOR)
            yield from messages(attribute, TENSORS)
            for inner in (*messages(attribute, SUBGRAPH), *messages(attribute, SUBGRAPHS)):
                yield from messages(inner, INITIALIZER)


def tensor_fault(tensor: Fields) -> str | None:
    """What is wrong with a constant, if anything."""
    name = bare(last_string(tensor, TENSOR_NAME)) or "a constant"
    if last_number(tensor, DATA_LOCATION) or EXTERNAL_DATA in tensor:
        raise InputError(f"the model's {name} lies in another file; export it again")
    kind = last_number(tensor, DATA_TYPE)
    if kind not in FLOATS:
        return None
    raw = b"".join(data for data in tensor.get(RAW_DATA, []) if isinstance(data, bytes))
    if not raw or len(raw) % np.dtype(FLOATS[kind]).itemsize:
        return f"{name} holds no values that can be read"
    bad = int((~np.isfinite(np.frombuffer(raw, FLOATS[kind]))).sum())
    return f"{name} holds {bad} values that are NaN or infinite" if bad else None


def has_bad_number(node: Fields) -> bool:
    """Whether an attribute is NaN or infinite."""
    for attribute in messages(node, ATTRIBUTE):
        values = [*attribute.get(NUMBER, []), *attribute.get(NUMBERS, [])]
        packed = [v if isinstance(v, bytes) else (v & 0xFFFFFFFF).to_bytes(4, "little") for v in values]
        data = b"".join(packed)
        if not np.isfinite(np.frombuffer(data[: len(data) // 4 * 4], "<f4")).all():
            return True
    return False


def tensor_face(value: Fields) -> TensorFace:
    """A ValueInfoProto: its type is a TypeProto, whose first field is a tensor's type."""
    name = last_string(value, 1)
    tensors = [tensor for kind in messages(value, 2) for tensor in messages(kind, 1)]
    if len(tensors) != 1:
        return TensorFace(name, None, None)
    number = last_number(tensors[0], 1) or 0
    shapes = messages(tensors[0], 2)
    shape = tuple(dimension(dim) for dim in messages(shapes[0], 1)) if len(shapes) == 1 else None
    return TensorFace(name, DTYPES.get(number, f"type {number}"), shape)


def dimension(dim: Fields) -> Dimension:
    """A size, or a name."""
    size = last_number(dim, 1)
    return size if size is not None else last_string(dim, 2) or None


def operator(node: Fields) -> str:
    """`Gather`, `com.microsoft.BiasGelu`."""
    domain, name = domain_of(node, DOMAIN), last_string(node, OP_TYPE)
    return f"{domain}.{name}" if domain else name


def domain_of(fields: Fields, number: int) -> str:
    """A domain; "" for ONNX's own."""
    domain = last_string(fields, number)
    return "" if domain in DEFAULT_DOMAINS else domain
