"""The face of a file whose format only its runtime reads: the inputs that a loaded session has, and nothing more.

ExecuTorch's programs know the number of their inputs, Core ML packages their names; either says nothing of
operators that could be compared. What their outputs are is seen where goldens are run.
"""

from __future__ import annotations

from pathlib import Path

from edgepack.runtime import load
from edgepack.runtime.face import Face, TensorFace
from edgepack.target import Target


def read(path: Path, target: Target) -> Face:
    """Load the file; `NotRunHere` where this system has no such runtime."""
    return Face(tuple(TensorFace(name, None, None) for name in load(path, target).input_names), None)
