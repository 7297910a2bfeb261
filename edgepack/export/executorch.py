"""Export to ExecuTorch: `executorch_encoder.py` traced, lowered to XNNPACK, emitted as one `.pte` file.

What the runtime must have is read from the finished program: portable kernels by name and overload, and, for what
XNNPACK computes, the operators inside its parts, as `xnnpack:aten.bmm.default`. An operator that XNNPACK does not take
would silently go to a portable kernel, so both lists are compared with the target's.

Weights that layers share are one buffer; XNNPACK's named data holds equal bytes once.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from edgepack.errors import MissingDependency
from edgepack.export import Artifact
from edgepack.export.executorch_encoder import ExecutorchModule
from edgepack.export.support import check_operators, check_student
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.workspace import write_atomic

DELEGATE = "xnnpack:"
CHATTY = ("torchao", "torch", "executorch", "root")  # loggers that speak while a model is lowered


def export_executorch(student: Student, target: Target, folder: Path) -> Artifact:
    """Write `folder/<target.file>` with weights at the bit widths of the student's config."""
    check_student(student, target)
    with quiet():
        edge = lower(student)
        used = used_operators(edge)
        check_operators(used, target)
        program = edge.to_executorch().buffer
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, program)
    return Artifact(target, path, path.stat().st_size, tuple(sorted(used)))


def lower(student: Student) -> Any:
    """The student's program in ExecuTorch's edge form, with XNNPACK's parts cut out."""
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
        from executorch.kernels import quantized  # noqa: F401  registers the embedding operators' out variants
    except ImportError as e:
        raise MissingDependency('ExecuTorch is not installed; run: pip install "edgepack[executorch]"') from e
    module = ExecutorchModule(student).eval()
    inputs = module.example_inputs()
    length = torch.export.Dim("seq", min=1, max=student.config.max_position_embeddings)
    shapes = tuple({1: length} for _ in inputs)
    with torch.no_grad():
        exported = torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
        # the IR check knows no quantized embedding; without dim orders there are no copies that only change one
        config = EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=True)
        return to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()], compile_config=config)


def used_operators(edge: Any) -> dict[str, str]:
    """Each operator with the name of its first node: portable ones as `aten.arange.start_step`, XNNPACK's prefixed."""
    from executorch.exir.dialects.edge._ops import EdgeOpOverload

    module = edge.exported_program().graph_module
    parts = [("", module)]
    parts += [(name, part.original_module.graph_module) for name, part in module.named_children()]
    found: dict[str, str] = {}
    for name, part in parts:
        for node in part.graph.nodes:
            if isinstance(node.target, EdgeOpOverload):  # not a tuple's item, a length or a call of a part
                prefix, place = (DELEGATE, f"{name}.{node.name}") if name else ("", node.name)
                found.setdefault(f"{prefix}{node.target._op}", place)
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' notices: experimental, deprecated, another library's optional parts."""
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
