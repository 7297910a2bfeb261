"""What the pip extras `build` and `release` bring, and the lines that install them. Single formats know their own.

`pip install edgepack` is light: it checks, packages and reports what was built. Training and exporting need torch,
transformers and their kin, which `edgepack[build]` adds; signatures and bills of materials need `edgepack[release]`. A
command that meets one of their packages missing ends with one line.
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
    "scikit-learn": "the linear model that a student is compared with",
}
IMPORTED_AS = {"sklearn": "scikit-learn"}  # where a module has another name than its package
RELEASE_PACKAGES = {"cryptography": "signatures", "cyclonedx": "bills of materials"}
INSTALL_BUILD = 'pip install "edgepack[build]"'
INSTALL_RELEASE = 'pip install "edgepack[release]"'


def missing_package(error: ModuleNotFoundError, what: str) -> MissingDependency | None:
    """The line for a user who does `what` without a package of an extra; None for any other module: a defect."""
    module = (error.name or "").partition(".")[0]
    package = IMPORTED_AS.get(module, module)
    for packages, install in ((BUILD_PACKAGES, INSTALL_BUILD), (RELEASE_PACKAGES, INSTALL_RELEASE)):
        if package in packages:
            return MissingDependency(f"{what} needs {package}, which is not installed; run: {install}")
    return None


def import_package(module: str, what: str) -> Any:
    """A module of an extra; `MissingDependency` that says what needs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as e:
        raise missing_package(e, what) or e from e
