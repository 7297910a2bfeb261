"""Run a TorchScript artifact in torch's mobile lite interpreter, as Android and iOS apps do.

Phones compute int8 products with qnnpack, desktop builds of torch with fbgemm by default, and weights are packed
for the engine that is set when a file is loaded: so the engine and the thread count are set around loading and
around every run, and put back afterwards. qnnpack is made for ARM; latencies measured on x86 are upper bounds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.jit.mobile import LiteScriptModule, _load_for_lite_interpreter

from edgepack.errors import InputError
from edgepack.runtime.inputs import as_logits, chosen

ENGINE = "qnnpack"


class LiteSession:
    """A loaded `.ptl` file."""

    def __init__(self, module: LiteScriptModule, threads: int) -> None:
        self._module, self._threads = module, threads
        self.input_names: tuple[str, ...] = tuple(module.run_method("input_names"))

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 `(batch, seq)` arrays by name (unknown names are ignored) → fp32 logits."""
        tensors = [torch.from_numpy(array) for array in chosen(inputs, self.input_names).values()]
        with mobile_engine(self._threads), torch.no_grad():
            try:
                output: np.ndarray = self._module(*tensors).numpy()
            except RuntimeError as e:
                shape = tuple(tensors[0].shape)
                raise InputError(f"the model cannot run on input of shape {shape}: {_first(e)}") from e
        return as_logits(output, len(tensors[0]))


def load(path: Path, threads: int = 1) -> LiteSession:
    """Load a `.ptl` file; raise `InputError` where it is missing, damaged or no edgepack artifact."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; export the student first")
    try:
        with mobile_engine(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces the lite interpreter's successor
            # torch's one warning that quantized tensors will go; from inside the interpreter it could not be held back
            torch._make_per_tensor_quantized_tensor(torch.zeros(1, dtype=torch.int8), 1.0, 0)
            return LiteSession(_load_for_lite_interpreter(str(path)), threads)
    except (RuntimeError, AttributeError) as e:
        raise InputError(f"{path} is not a TorchScript artifact of edgepack: {_first(e)}; export it again") from e


@contextmanager
def mobile_engine(threads: int) -> Iterator[None]:
    """Use qnnpack and this many threads; put the caller's engine and thread count back."""
    engine, count = torch.backends.quantized.engine, torch.get_num_threads()
    torch.backends.quantized.engine = ENGINE
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.backends.quantized.engine = engine
        torch.set_num_threads(count)


def _first(error: Exception) -> str:
    """The first line of an error, without torch's stack."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
