"""Export to ONNX: the graph of the config, filled with the student's weights, written whole or not at all.

`onnx_encoder.py` says what the graph is, `onnx_weights.py` what goes into it; here it is checked against the
target, filled and written. The file declares the oldest opset that its scheme needs (17; 18 with weights below 8 bits)
and IR version 8, holds no time, path or version, and so is the same bytes every time. What the
student computes is what the file computes, batch of one: activations are rounded with one scale for each tensor by the
runtime and for each example by the torch model, which differ in a padded batch.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import onnx

from edgepack.errors import InputError
from edgepack.export import Artifact
from edgepack.export.onnx_encoder import EncoderGraph
from edgepack.export.onnx_graph import operators, qualified
from edgepack.export.onnx_weights import Weights
from edgepack.export.support import check_operators
from edgepack.student.model import Student
from edgepack.target import Target


def export_onnx(student: Student, target: Target, folder: Path) -> Artifact:
    """Write `folder / target.file`, with weights at the bit widths of the student's config.

    Raises `InputError` for a width, opset or unpruned student that cannot be written for the target and `CheckFailed`
    for an operator that the target does not allow.
    """
    _check_widths(student, target)
    graph = EncoderGraph(student.config, target.static_shape)
    model = graph.declared()
    check_target(model, target)
    weights = Weights(student)
    for tensor, initializer in zip(model.graph.initializer, graph.initializers.values(), strict=True):
        tensor.raw_data = initializer.raw(weights)
    onnx.checker.check_model(model)
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, model.SerializeToString(deterministic=True))
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


def _check_widths(student: Student, target: Target) -> None:
    """The student's widths must be 32 (not rounded: for comparisons) or among the target's, and its gates gone."""
    config = student.config
    fields = [("body_bits", config.body_bits, target.body_bits)]
    fields += [("embedding_bits", config.embedding_bits, target.embedding_bits)]
    fields += [(f"widths[{name!r}]", bits, target.body_bits) for name, bits in (config.widths or {}).items()]
    for field, bits, allowed in fields:
        if bits != 32 and bits not in allowed:
            raise InputError(
                f"target {target.name}: {field} is {bits}; allowed: {', '.join(map(str, allowed))}; "
                "give the student one of these"
            )
    gated = [name for name, module in student.named_modules() if getattr(module, "gate", None) is not None]
    if gated:
        raise InputError(f"student: {gated[0]} still has a pruning gate; remove pruned units before exporting")


def _write(path: Path, data: bytes) -> None:
    """Write beside, fsync, rename."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(beside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
