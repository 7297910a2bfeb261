"""Run a `.pte` file in ExecuTorch's own runtime, as Android and iOS apps do.

XNNPACK computes on a pool of threads of the process; loading sets its size for all that follows.
Texts of a batch run one after the other, padding and all; the mask makes the rest equal.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgepack.errors import InputError, MissingDependency
from edgepack.runtime.inputs import chosen
from edgepack.runtime.native_output import captured_stderr
from edgepack.task.encoded import MODEL_INPUTS


class ExecutorchSession:
    """A loaded `.pte` file."""

    def __init__(self, program: Any) -> None:
        self._program = program  # holds the file that the method reads its weights from
        self._method = program.load_method("forward")
        # a program knows their number, not their names
        self.input_names: tuple[str, ...] = MODEL_INPUTS[: self._method.metadata.num_inputs()]

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 `(batch, seq)` arrays by name (unknown names are ignored) → fp32 logits."""
        tensors = [torch.from_numpy(array) for array in chosen(inputs, self.input_names).values()]
        return np.concatenate([self._run_one([t[i : i + 1] for t in tensors]) for i in range(len(tensors[0]))])

    def _run_one(self, tensors: list[torch.Tensor]) -> np.ndarray:
        try:
            # the runtime reuses its output's memory: copied before the next run
            return np.array(self._method.execute(tensors)[0].numpy(), dtype=np.float32)
        except RuntimeError as e:
            shape = tuple(tensors[0].shape)
            raise InputError(f"the model cannot run on input of shape {shape}: {str(e).splitlines()[0]}") from e


def load(path: Path, threads: int = 1) -> ExecutorchSession:
    """Load a `.pte` file; raise `InputError` where it is missing, damaged or refused."""
    with warnings.catch_warnings(), captured_stderr() as written:
        warnings.simplefilter("ignore")  # the runtime calls its Python interface experimental
        try:
            from executorch.extension.pybindings import _C
            from executorch.kernels import quantized  # noqa: F401  registers the embedding kernels
            from executorch.runtime import Runtime
        except ImportError as e:
            raise MissingDependency('ExecuTorch is not installed; run: pip install "edgepack[executorch]"') from e
        if not path.is_file():
            raise InputError(f"{path} does not exist; export the student first")
        _C._unsafe_reset_threadpool(threads)
        try:
            session = ExecutorchSession(Runtime.get().load_program(path))
        except (RuntimeError, ValueError, AttributeError) as e:
            failure = e
        else:
            return session
    reason = written.last_line or str(failure).splitlines()[0]
    raise InputError(f"{path} does not load in ExecuTorch: {reason}; export it again") from failure
