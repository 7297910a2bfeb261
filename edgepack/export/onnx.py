"""Export to ONNX: the graph of the config, filled with the student's weights, written whole or not at all.

`onnx_encoder.py` makes the graph, `weights.py` the numbers that go into it; here it is checked against the target,
filled and written. The file declares the oldest opset that its scheme needs (17; 18 with weights below 8 bits) and IR
version 8, and holds no time, path or version: the same student gives the same bytes every time. The file computes what
the student computes at batch size 1. In a padded batch they differ: the runtime rounds activations with one scale for
the whole tensor, the torch model with one for each example.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx

from edgepack.errors import InputError
from edgepack.export import Artifact
from edgepack.export.onnx_encoder import OnnxEncoder
from edgepack.export.onnx_graph import operators, qualified
from edgepack.export.support import check_mixed_widths, check_operators, check_pruned
from edgepack.export.weights import Weights
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.workspace import write_atomic


def export_onnx(student: Student, target: Target, folder: Path) -> Artifact:
    """Write `folder / target.file`, with weights at the bit widths of the student's config.

    Raises `InputError` for a width, opset or unpruned student that cannot be written for the target and `CheckFailed`
    for an operator that the target does not allow.
    """
    check_mixed_widths(student.config, target)
    check_pruned(student)
    encoder = OnnxEncoder(student.config, target.static_shape)
    model = encoder.declared()
    check_target(model, target)
    weights = Weights(student)
    for tensor, initializer in zip(model.graph.initializer, encoder.graph.initializers.values(), strict=True):
        tensor.raw_data = initializer.raw(weights)
    onnx.checker.check_model(model)
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, model.SerializeToString(deterministic=True))
    return Artifact(target, path, path.stat().st_size, operators(model))


def check_target(model: onnx.ModelProto, target: Target) -> None:
    """Raise where the model asks for more than the target's runtime has."""
    opset = model.opset_import[0].version
    for what, value, most in (("opset", opset, target.opset), ("IR version", model.ir_version, target.ir_version)):
        if most is not None and value > most:
            raise InputError(
                f"target {target.name}: the model needs {what} {value}, the target allows up to {most}"
                f"{newest(model, most) if what == 'opset' else ''}; use 8-bit weights, which need opset 17"
            )
    first: dict[str, str] = {}
    for node in model.graph.node:
        first.setdefault(qualified(node), node.output[0])
    check_operators(first, target)


def newest(model: onnx.ModelProto, opset: int) -> str:
    """The first node whose operator is not in this opset yet, in words; "" where there is none."""
    for node in model.graph.node:
        if not node.domain:
            since = min(schema.since_version for schema in _schemas() if schema.name == node.op_type)
            if since > opset:
                return f": the node that computes {node.output[0]!r} is a {node.op_type}, new in opset {since}"
    return ""


@cache
def _schemas() -> tuple[onnx.defs.OpSchema, ...]:
    """Every version of ONNX's own operators."""
    return tuple(schema for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain)
