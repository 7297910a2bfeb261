"""Run a Core AI asset in coreai-core's own runtime, which Linux has too, as apps do on iOS 27.

A Python process of its own holds the model (`coreai_process.py`): the runtime is a beta and ends its process where a
file is not what it expects, and nothing that a file contains may do that to a gate. On Linux it makes a program of its
own from the file first, and expands the weights again for every batch: its times say nothing of a phone. It has no
setting for the number of threads.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import InputError, MissingDependency
from edgepack.runtime.inputs import as_logits, chosen
from edgepack.runtime.line_process import LineProcess
from edgepack.workspace import sha256_file

GRAPH, DIGEST, DESCRIPTION = "main.mlirb", "main.hash", "metadata.json"
INSTALL = 'Core AI is not installed; run: pip install "edgepack[coreai]"'


class CoreaiSession:
    """A loaded asset in a process of its own."""

    texts_at_once = 32  # a text alone takes 0.14 s, 32 of them 0.7 s: the weights are expanded at each call

    def __init__(self, process: LineProcess) -> None:
        self._process = process
        self.face: dict[str, Any] = process.answer()  # inputs, outputs and operators
        self.process_id: int = process.process_id
        self.baseline_bytes: int = self.face["baseline"]
        self.load_ms: float = self.face["ms"]
        self.run_ms = 0.0  # of the last run
        self.input_names: tuple[str, ...] = tuple(name for name, _, _ in self.face["inputs"])

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 `(batch, seq)` arrays by name (unknown names are ignored) → fp32 logits."""
        arrays = chosen(inputs, self.input_names, np.int32)
        answer = self._process.ask({"inputs": {name: array.tolist() for name, array in arrays.items()}})
        self.run_ms = answer["ms"]
        logits = np.asarray(answer["logits"], dtype=np.float32).reshape(answer["shape"])
        return as_logits(logits, len(arrays[self.input_names[0]]))

    def close(self) -> None:
        """End the process; also done when the session is garbage."""
        self._process.close()


def load(path: Path, threads: int = 1) -> CoreaiSession:
    """Load the asset at `path`; `InputError` where it is missing, damaged or refused."""
    if find_spec("coreai") is None:  # the package is imported where it runs
        raise MissingDependency(INSTALL)
    missing = [name for name in (GRAPH, DIGEST, DESCRIPTION) if not (path / name).is_file()]
    if missing:
        raise InputError(f"{path} has no file {missing[0]}; export the student first")
    if sha256_file(path / GRAPH) != (path / DIGEST).read_bytes().hex():
        raise InputError(f"{path} is damaged: {GRAPH} is not what {DIGEST} is of; export it again")
    command = [sys.executable, "-m", "edgepack.runtime.coreai_process", str(path)]
    return CoreaiSession(LineProcess(command, path, "its process", "Core AI", held=True))
