"""What the pip extra `build` brings, and the line that installs it. Extras of single formats know their own lines.

`pip install edgepack` is light: it checks, packages and reports what was built. Training and exporting need torch,
transformers and their kin, which `edgepack[build]` adds. A command that meets one of them missing ends with one line.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from edgepack.errors import MissingDependency

BUILD_PACKAGES = {
    "torch": "training and the TorchScript artifacts",
    "transformers": "teachers and students",
    "onnx": "writing ONNX artifacts",
    "accelerate": "training",
    "datasets": "hub data",
    "pyarrow": "Parquet data",
    "optimum": "describing teachers",
    "safetensors": "weights",
}
INSTALL_BUILD = 'pip install "edgepack[build]"'


def missing_package(error: ModuleNotFoundError, what: str) -> MissingDependency | None:
    """The line for a user who does `what` without a package of the extra; None for any other module: a defect."""
    package = (error.name or "").partition(".")[0]
    if package not in BUILD_PACKAGES:
        return None
    return MissingDependency(f"{what} needs {package}, which is not installed; run: {INSTALL_BUILD}")


def import_package(module: str, what: str) -> Any:
    """A module of the extra `build`; `MissingDependency` that says what needs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as e:
        raise missing_package(e, what) or e from e
