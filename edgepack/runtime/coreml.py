"""Run a Core ML package, which macOS alone can do.

Elsewhere `load` raises `NotRunHere`, and what it would have checked is reported as not run, never as passed. The part
for macOS is written after coremltools' documentation and has itself not been run by this project's tests.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import InputError, MissingDependency, NotRunHere
from edgepack.runtime.inputs import chosen


class CoremlSession:
    """A loaded package."""

    def __init__(self, model: Any) -> None:
        self._model = model
        description = model.get_spec().description
        self.input_names: tuple[str, ...] = tuple(value.name for value in description.input)
        self._output = description.output[0].name

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 `(batch, seq)` arrays by name (unknown names are ignored) → fp32 logits."""
        arrays = chosen(inputs, self.input_names, np.int32)
        count = len(arrays["input_ids"])
        rows = [self._model.predict({n: a[i : i + 1] for n, a in arrays.items()})[self._output] for i in range(count)]
        return np.concatenate(rows).astype(np.float32)


def load(path: Path, threads: int = 1) -> CoremlSession:
    """Load the package at `path`; the number of threads is the system's own affair."""
    if platform.system() != "Darwin":
        raise NotRunHere("Core ML runs on macOS alone; validate this bundle there, or waive what was not run by name")
    try:
        import coremltools
    except ImportError as e:
        raise MissingDependency('Core ML tools are not installed; run: pip install "edgepack[coreml]"') from e
    if not path.is_dir():
        raise InputError(f"{path} is no package; export the student first")
    return CoremlSession(coremltools.models.MLModel(str(path), compute_units=coremltools.ComputeUnit.CPU_ONLY))
