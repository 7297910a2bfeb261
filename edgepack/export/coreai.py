"""Export to Core AI: an `.aimodel` asset of `coreai_encoder.py`'s graph, made with coreai-core's own operators.

Nothing is converted: `coreai-core` alone is needed, not coreai-torch or coreai-opt, which round in their own way.
The package checks each operator's types and writes the graph as MLIR bytecode with the weights inside. An asset is a
folder: the graph, its SHA-256, and a description whose date is fixed here, so the same student gives the same bytes.
The graph holds no names or places of this code.

The package is a beta, and its operators are still in a private module (`coreai._compiler`), as its documentation says.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import MissingDependency
from edgepack.export import Artifact, artifact_bytes
from edgepack.export.coreai_encoder import BITS, F32, SI32, CoreaiEncoder, Make
from edgepack.export.support import check_mixed_widths, check_operators, check_pruned
from edgepack.runtime.coreai import DESCRIPTION, INSTALL
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.task.encoded import MODEL_INPUTS
from edgepack.workspace import publish_folder

CREATED = "20260101T000000Z"  # a fixed date: the same student gives the same bytes
STORED = {"f32": np.float32, "f16": np.float16, "si8": np.int8, "ui8": np.uint8, "si32": np.int32}


def export_coreai(student: Student, target: Target, folder: Path) -> Artifact:
    """Write the asset `folder/<target.file>` with weights at the bit widths of the student's config."""
    check_mixed_widths(student.config, target)
    check_pruned(student)
    tools = CoreaiTools()
    module, used = build_module(tools, student.config, student)
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        asset = Path(scratch) / path.name
        tools.save(module, asset)
        operators = tools.operators_of(asset)  # some of them stand for several that a step asked for
        check_operators({name: used.get(name, name) for name in operators}, target)
        publish_folder(asset, path)
    return Artifact(target, path, artifact_bytes(path), operators)


class CoreaiTools:
    """The parts of coreai-core that write an asset; `MissingDependency` with the line that installs it."""

    def __init__(self) -> None:
        try:
            from coreai import authoring  # before the dialects, which import it in turn
        except ImportError as e:
            raise MissingDependency(INSTALL) from e
        from coreai._compiler import ir
        from coreai._compiler.dialects import coreai as operators

        self.ir, self.operators = ir, operators
        self.authoring = authoring

    def save(self, module: Any, path: Path) -> None:
        """Write a module as an asset."""
        self.authoring.AIProgram(module).save_asset(path)
        description = path / DESCRIPTION
        written = json.loads(description.read_text(encoding="utf-8")) | {"creationDate": CREATED}
        description.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def operators_of(self, path: Path) -> tuple[str, ...]:
        """The operators of a written asset."""
        return tuple(
            sorted(name for name, _ in self.authoring.AIModelAsset.load(path).summary().operation_distribution)
        )


def build_module(tools: CoreaiTools, config: StudentConfig, student: Student) -> tuple[Any, dict[str, str]]:
    """The graph `main` as a module, and each operator in it with its first name."""
    names = MODEL_INPUTS[: 3 if config.type_vocab_size > 1 else 2]
    nowhere = tools.authoring.DebugInfo.unknown()  # else the graph would name the lines that made it
    with tools.authoring.Context(), nowhere.activate():
        module = tools.authoring.Module.create()
    with module, nowhere.activate():
        emit = GraphEmitter(tools)
        given = [emit.tensor((None, None), SI32) for _ in names]
        graph = tools.operators.GraphOp("main", given, [], list(names), [])
        with graph.block:
            output = CoreaiEncoder(config, emit, dict(zip(names, graph.arguments, strict=True)), student).output()
            graph.outputs_spec = [(config.output_name, output)]
    return module, emit.used


class GraphEmitter:
    """Makes operators with coreai-core's functions, in the block that is current."""

    def __init__(self, tools: CoreaiTools) -> None:
        self._ir, self._operators = tools.ir, tools.operators
        self._stored: dict[str, Any] = {}
        self._plain: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
        self.used: dict[str, str] = {}

    def op(self, operator: str, name: str, *operands: Any, **attributes: Any) -> Any:
        """One operator."""
        self.used.setdefault(operator.rstrip("_"), name)
        found = [self._operand(operand) for operand in operands]
        if operator == "cast":
            return self._operators.cast(found[0], self._type(operands[1]))
        if operator == "concat":
            return self._operators.concat(found[0], found[1:])
        if operator == "reshape":
            return self._operators.ReshapeOp(*found, results=[self.tensor(attributes["shape"], F32)]).result
        return getattr(self._operators, operator)(*found, **attributes)

    def constant(self, name: str, shape: tuple[int, ...], type_: str, make: Make) -> Any:
        """Stored numbers, in rows, several to a byte below 8 bits."""
        if name not in self._stored:
            values = np.asarray(make())
            assert values.shape == shape, f"{name}: {values.shape}, {shape} declared"
            data = packed(values, BITS[type_]) if BITS[type_] < 8 else np.ascontiguousarray(values, STORED[type_])
            attribute = self._ir.DenseResourceElementsAttr.get_from_buffer(data, name, self.tensor(shape, type_))
            self._stored[name] = self._operators.ConstantOp(value=attribute).result
        return self._stored[name]

    def zeros(self, shape: tuple[int, ...], type_: str) -> Any:
        """Zeros as one number."""
        element, ir = self._type(type_), self._ir
        zero = ir.FloatAttr.get(element, 0.0) if type_.startswith("f") else ir.IntegerAttr.get(element, 0)
        splat = ir.DenseElementsAttr.get_splat(self.tensor(shape, type_), zero)
        return self._operators.ConstantOp(value=splat).result

    def tensor(self, shape: Sequence[int | None], type_: str) -> Any:
        """The type of a tensor; `None` is a size that the input decides."""
        dynamic = self._ir.ShapedType.get_dynamic_size()
        return self._ir.RankedTensorType.get([dynamic if size is None else size for size in shape], self._type(type_))

    def _operand(self, operand: Any) -> Any:
        """Arrays as constants, once for each content; other values as they are."""
        if not isinstance(operand, np.ndarray):
            return operand
        key = (operand.dtype.str, operand.shape, operand.tobytes())
        if key not in self._plain:
            self._plain[key] = self._operators.constant(operand)
        return self._plain[key]

    def _type(self, type_: str) -> Any:
        return self._ir.Type.parse(type_)


def packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes of 4 or 2 bits in bytes, the first in the lowest bits; negative ones as two's complement."""
    each = 8 // bits
    flat = (codes.astype(np.int16) & ((1 << bits) - 1)).astype(np.uint8).ravel()
    fields = np.pad(flat, (0, -len(flat) % each)).reshape(-1, each)
    return np.bitwise_or.reduce(fields << (np.arange(each, dtype=np.uint8) * bits), axis=1).astype(np.uint8)
