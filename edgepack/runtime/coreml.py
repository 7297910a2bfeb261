"""Run a Core ML package, which only macOS can do.

Elsewhere `load` raises `NotRunHere`, and the checks that need it are reported as not run, never as passed. The part for
macOS follows coremltools' documentation; this project's tests have not run it.
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
    """Load the package at `path`; the system chooses the number of threads."""
    if platform.system() != "Darwin":
        raise NotRunHere(
            "Core ML runs only on macOS; validate this bundle there, or waive the checks that were not run by name"
        )
    try:
        import coremltools
    except ImportError as e:
        raise MissingDependency('Core ML tools are not installed; run: pip install "edgepack[coreml]"') from e
    if not path.is_dir():
        raise InputError(f"{path} is no package; export the student first")
    return CoremlSession(coremltools.models.MLModel(str(path), compute_units=coremltools.ComputeUnit.CPU_ONLY))
