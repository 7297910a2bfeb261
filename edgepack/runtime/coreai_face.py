"""A Core AI asset's face, which only its runtime reads: inputs, outputs and operators, as a loaded model gives them."""

from __future__ import annotations

from pathlib import Path

from edgepack.runtime.coreai import load
from edgepack.runtime.face import Dimension, Face, TensorFace
from edgepack.target import Target

DYNAMIC: tuple[Dimension, ...] = ("batch", "seq")  # how a manifest names a dimension of each place that may change


def read(path: Path, target: Target) -> Face:
    """Load the asset at `path`."""
    face = load(path).face
    inputs, outputs = (
        tuple(TensorFace(name, dtype, named(shape)) for name, dtype, shape in face[which])
        for which in ("inputs", "outputs")
    )
    return Face(inputs, outputs, tuple(face["operators"]))


def named(shape: list[int]) -> tuple[Dimension, ...]:
    """Sizes, dynamic ones by their names."""
    return tuple(DYNAMIC[i] if size < 0 and i < len(DYNAMIC) else size for i, size in enumerate(shape))
