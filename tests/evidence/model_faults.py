"""Faults in what a model file holds beside the work of its graph: an app would ship it, and runtimes may read it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.evidence.planted import EVERYWHERE, model
from tests.evidence.planted_faults import bytes_added, face, faults

UNKNOWN_FIELD = bytes([0xFA, 0x7F, 5]) + b"hello"  # field 2047 of the model, which onnx.proto does not have


def metadata(loaded: onnx.ModelProto) -> None:
    loaded.metadata_props.add(key="session", value='{"enable_profiling": 1}')


def named_twice(graph: onnx.GraphProto) -> None:
    graph.initializer.append(graph.initializer[0])


MODEL_FAULTS = faults(
    "what else the model file holds", EVERYWHERE, "artifact",
    metadata=model(metadata), parts_for_training=model(lambda loaded: loaded.training_info.add()),
    unused_weights=face(lambda g: g.initializer.append(numpy_helper.from_array(np.zeros(9, np.float32), "spare"))),
    node_for_nothing=face(lambda g: g.node.append(helper.make_node("Add", ["logits", "logits"], ["idle"]))),
    weight_twice=face(named_twice), unknown_field=bytes_added(UNKNOWN_FIELD),
    foreign_operators=model(lambda loaded: loaded.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))),
    shapes_that_nobody_checks=face(
        lambda g: g.value_info.append(helper.make_tensor_value_info("logits", onnx.TensorProto.INT64, [3]))
    ),
    another_program=model(lambda loaded: setattr(loaded, "producer_name", "x")),
    older_ir=model(lambda loaded: setattr(loaded, "ir_version", 3)),
)  # fmt: skip
