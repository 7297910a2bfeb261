"""What a model file says of itself: inputs, outputs, operators, versions, and weights that are no numbers.

The file is read, not run, by its format's own reader, which needs nothing but the light installation where the
format allows it. So a manifest cannot claim what the file is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from edgepack.machine.extras import import_package
from edgepack.target import Target

Dimension = int | str | None  # a size, the name of a dynamic one, or one that has no name


@dataclass(frozen=True)
class TensorFace:
    """An input or output as the file declares it; None where it declares no type or shape."""

    name: str
    dtype: str | None
    shape: tuple[Dimension, ...] | None


@dataclass(frozen=True)
class Face:
    """What was read; `faults` are what no artifact may have, such as a NaN among the weights."""

    inputs: tuple[TensorFace, ...]
    outputs: tuple[TensorFace, ...] | None  # None: the format does not say
    operators: tuple[str, ...] | None = None  # None: the format does not say
    opset: int | None = None
    ir_version: int | None = None
    faults: tuple[str, ...] = ()


READERS: dict[str, str] = {
    "onnx": "edgepack.runtime.onnx_face:read",
    "torchscript": "edgepack.runtime.torchscript_face:read",
    "litert": "edgepack.runtime.litert_face:read",
    "executorch": "edgepack.runtime.session_face:read",
    "coreml": "edgepack.runtime.session_face:read",
    "coreai": "edgepack.runtime.coreai_face:read",
}


def read_face(path: Path, target: Target) -> Face:
    """Read the model file at `path`; `InputError` where it is damaged."""
    module, function = READERS[target.format].split(":")
    reader = getattr(import_package(module, f"reading {target.name} artifacts"), function)
    return cast(Callable[[Path, Target], Face], reader)(path, target)
