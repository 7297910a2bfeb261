"""Bytes of a TFLite file from the config alone, to the byte.

The exporter's own graph is written with zeros where the weights go, and the result measured: what the exporter changes,
this follows. The price is a file in memory, 0.1 to 0.2 s for each candidate that the search looks at.
"""

from __future__ import annotations

from edgepack.export.litert_encoder import LitertEncoder
from edgepack.export.tflite_file import write_tflite
from edgepack.plan.model_size import ModelSize
from edgepack.student.config import StudentConfig
from edgepack.target import Target


def model_bytes(config: StudentConfig, _: Target | None = None) -> ModelSize:
    """The size that `export_litert` would write for this config at its bit widths."""
    graph = LitertEncoder(config).graph
    tensors = tuple((tensor.name, tensor.size_bytes) for tensor in graph.tensors if tensor.data is not None)
    return ModelSize(len(write_tflite(graph, filled=False)), tensors)
