"""What an ONNX file holds beside its graph's work, from its protobuf: edgepack's exporter writes nothing else.

Weights that no node reads and nodes whose results go nowhere cost an app bytes. Metadata ship with the app and may hold
anything, options of the runtime among it. A domain that no operator is of is one more that an old runtime may refuse.
Field numbers and their names are those of onnx.proto.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edgepack.errors import bare
from edgepack.runtime.protobuf import Fields, last_number, last_string, messages, strings

IR_VERSION, PRODUCER, GRAPH, OPSET_IMPORT, METADATA, TRAINING, FUNCTIONS = 1, 2, 7, 8, 14, 20, 25  # of ModelProto
NODE, GRAPH_NAME, INITIALIZER, INPUT, OUTPUT, SPARSE_INITIALIZER = 1, 2, 5, 11, 12, 15  # of GraphProto
READ, WRITTEN, OP_TYPE, ATTRIBUTE, DOMAIN = 1, 2, 4, 5, 7  # of NodeProto
DATA_TYPE, TENSOR_NAME, RAW_DATA = 2, 8, 9  # of TensorProto
TITLES = {METADATA: "metadata", TRAINING: "parts for training"}
CHECKED = (FUNCTIONS, SPARSE_INITIALIZER)  # `onnx_face.py` names them
CONTRIB, CONTRIB_VERSION = "com.microsoft", 1
PRODUCER_NAME, NAME = "edgepack", "student"
OLDEST_IR = 8  # that opset 17 goes with: the exporter has written no other


def extra_faults(model: Fields, graph: Fields) -> Iterator[str]:
    """What of a model and its graph edgepack does not write."""
    nodes, weights = messages(graph, NODE), messages(graph, INITIALIZER)
    yield from unknown_fields("the model", model, (IR_VERSION, PRODUCER, GRAPH, OPSET_IMPORT), TITLES)
    yield from unknown_fields("its graph", graph, (NODE, GRAPH_NAME, INITIALIZER, INPUT, OUTPUT))
    for node in nodes:
        yield from unknown_fields("a node", node, (READ, WRITTEN, OP_TYPE, ATTRIBUTE, DOMAIN))
    if (last_string(model, PRODUCER), last_string(graph, GRAPH_NAME)) != (PRODUCER_NAME, NAME):
        yield f"it was made by {bare(last_string(model, PRODUCER)) or 'nobody that is named'}, not by edgepack"
    version = last_number(model, IR_VERSION)
    if version is not None and version < OLDEST_IR:
        yield f"it has IR version {version}; edgepack writes {OLDEST_IR} or newer"
    yield from domain_faults(model)
    yield from unused_faults(graph, nodes, [last_string(weight, TENSOR_NAME) for weight in weights])


def unknown_fields(
    what: str, fields: Fields, known: tuple[int, ...], titles: dict[int, str] | None = None
) -> list[str]:
    """Fields that edgepack leaves out; each kind once."""
    others = sorted(set(fields) - {*known, *CHECKED})
    return [
        f"{what} holds {(titles or {}).get(n, f'field {n} of onnx.proto')}, which edgepack does not write"
        for n in others
    ]


def domain_faults(model: Fields) -> Iterator[str]:
    """Imports of operators that are none of ONNX's own and of ONNX Runtime's; those of ONNX are counted elsewhere."""
    others = [(last_string(entry, 1), last_number(entry, 2)) for entry in messages(model, OPSET_IMPORT)]
    others = [entry for entry in others if entry[0] not in ("", "ai.onnx")]
    if others not in ([], [(CONTRIB, CONTRIB_VERSION)]):
        yield f"it imports operators of {', '.join(bare(f'{name} {n}') for name, n in others)}; allowed: {CONTRIB} 1"


def unused_faults(graph: Fields, nodes: list[Fields], weights: list[str]) -> Iterator[str]:
    """Weights that nothing reads, results that go nowhere, and names that two things have."""
    given = [last_string(value, 1) for value in messages(graph, INPUT)]
    made = [name for node in nodes for name in strings(node, WRITTEN)]
    read = {name for node in nodes for name in strings(node, READ)}
    read |= {last_string(value, 1) for value in messages(graph, OUTPUT)}
    unread = [name for name in weights if name not in read]
    if unread:
        yield f"{len(unread)} weights are read by nothing, such as {bare(unread[0])}"
    idle = [node for node in nodes if not read & set(strings(node, WRITTEN))]
    if idle:
        yield f"the results of {len(idle)} nodes go nowhere, such as {bare(', '.join(strings(idle[0], WRITTEN)))}"
    twice = [name for name, count in Counter([*given, *weights, *made]).items() if count > 1 and name]
    if twice:
        yield f"{len(twice)} names are of two things, such as {bare(twice[0])}"
