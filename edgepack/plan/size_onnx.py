"""Exact bytes of a config's ONNX file, without weights.

The exporter's own graph is built with its initializers declared but empty, and their lengths are added up
as protobuf would write them, so the prediction is right by construction: what the exporter changes, this follows. The
price is building a few hundred nodes, some milliseconds, instead of evaluating a formula.
"""

from __future__ import annotations

from edgepack.export.onnx_encoder import OnnxEncoder
from edgepack.export.onnx_graph import file_size
from edgepack.plan.model_size import ModelSize
from edgepack.student.config import StudentConfig
from edgepack.target import Target


def model_bytes(config: StudentConfig, target: Target) -> ModelSize:
    """The size that `export_onnx` would write for this config at its bit widths."""
    encoder = OnnxEncoder(config, target.static_shape)
    initializers = tuple(encoder.graph.initializers.values())
    return ModelSize(file_size(encoder.declared(), initializers), tuple((i.name, i.size_bytes) for i in initializers))
