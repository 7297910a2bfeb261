"""Exporters, one file per format, looked up by `target.format`. Loading and running files belongs to `runtime`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from edgepack.student.model import Student
from edgepack.target import Target

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """One exported model file, its size, and the operators that it asks of the runtime."""

    target: Target
    path: Path
    size_bytes: int
    operators: tuple[str, ...]


def artifact_bytes(path: Path) -> int:
    """Bytes of a model file, or of all files of a model that is a folder."""
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


@dataclass(frozen=True)
class ModelSize:
    """A file that does not exist yet: `total` bytes, and those of each tensor; the rest is structure."""

    total: int
    tensors: tuple[tuple[str, int], ...]


Exporter = Callable[[Student, Target, Path], Artifact]

EXPORTERS: dict[str, str] = {
    "onnx": "edgepack.export.onnx:export_onnx",
    "torchscript": "edgepack.export.torchscript:export_torchscript",
    "executorch": "edgepack.export.executorch:export_executorch",
    "litert": "edgepack.export.litert:export_litert",
    "coreml": "edgepack.export.coreml:export_coreml",
    "coreai": "edgepack.export.coreai:export_coreai",
}


def export(student: Student, target: Target, folder: Path) -> Artifact:
    """Write `student`, at its config's bit widths, for `target` under `folder`."""
    module, function = EXPORTERS[target.format].split(":")
    artifact = cast(Exporter, getattr(import_module(module), function))(student, target, folder)
    log.debug("%s: %s has %d bytes", target.name, artifact.path, artifact.size_bytes)
    return artifact
