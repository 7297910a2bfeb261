"""Runtimes, one file each: load an artifact, run it, get logits. Judging the logits belongs to `evidence`.

Validation, goldens, benchmarks and the gate all go through here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.machine.extras import import_package
from edgepack.target import Target


class Session(Protocol):
    """A loaded artifact."""

    input_names: tuple[str, ...]

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 `(batch, seq)` arrays by name (unknown names are ignored) → fp32 logits."""
        ...


@runtime_checkable
class ProcessSession(Session, Protocol):
    """A session in another process, which measures its own times."""

    process_id: int
    baseline_bytes: int  # resident there before the model was loaded
    load_ms: float
    run_ms: float  # of the last run


@runtime_checkable
class BatchSession(Session, Protocol):
    """A session whose calls cost so much in themselves that texts of one length are run together."""

    texts_at_once: int


RUNTIMES: dict[str, str] = {
    "onnxruntime": "edgepack.runtime.onnxruntime:load",
    "onnxruntime-web": "edgepack.runtime.onnxruntime_web:load",
    "pytorch-lite": "edgepack.runtime.pytorch_lite:load",
    "executorch": "edgepack.runtime.executorch:load",
    "litert": "edgepack.runtime.litert:load",
    "coreml": "edgepack.runtime.coreml:load",
    "coreai": "edgepack.runtime.coreai:load",
}
LIBRARIES = {"executorch": "executorch.runtime", "litert": "ai_edge_litert.interpreter"}  # imported when first loaded


KEEPS = ("onnxruntime",)  # runtimes that open a model in less time from what they made of it before
DECIDES = ("coreml", "coreai")  # runtimes that choose the number of threads themselves


def load(path: Path, target: Target, threads: int = 1, cache: Path | None = None) -> Session:
    """Load the model file at `path` in the runtime that `target` is for; `cache`: a folder for what `KEEPS` is of.

    `InputError` for threads or a cache that the runtime makes no use of.
    """
    if threads != 1 and target.runtime in DECIDES:
        raise InputError(f"threads is {threads}; {target.runtime} chooses their number itself: leave it out")
    if cache is not None and target.runtime not in KEEPS:
        raise InputError(f"cache is {shown(str(cache))}; {target.runtime} keeps nothing there: leave it out")
    module, function = RUNTIMES[target.runtime].split(":")
    loader = getattr(import_package(module, f"running {target.name} artifacts"), function)
    if cache is not None:
        return cast(Callable[[Path, int, Path], Session], loader)(path, threads, cache)
    return cast(Callable[[Path, int], Session], loader)(path, threads)
