"""ONNX Runtime on the CPU, as an app runs it.

Telemetry is switched off before the library is imported (official builds from 1.29 on send it otherwise). All graph
optimizations are on: they fold the constant chain that expands 4-bit weights, once, when the file is loaded. What that
took goes back to the system.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edgepack.errors import InputError, bare, first_line
from edgepack.machine.memory import return_free_memory
from edgepack.runtime.fixed_shape import fixed_length, padded, unpadded
from edgepack.runtime.inputs import as_logits
from edgepack.runtime.unpacked import WEIGHTS, open_unpacked

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

log = logging.getLogger(__name__)

ORT_LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")
WEIGHTS_APART = {  # of a saved model, in a file that is mapped when the model is opened
    "session.optimized_model_external_initializers_file_name": WEIGHTS,
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
}
QUIET = 4  # log what ends the process: an error comes as an exception, with the same words


class OnnxSession:
    """A loaded ONNX file."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self.input_names: tuple[str, ...] = tuple(value.name for value in session.get_inputs())
        if not self.input_names or not session.get_outputs():
            raise InputError("the model has no input or no output; export it again")
        self._length = fixed_length(session.get_inputs()[0].shape)

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 `(batch, seq)` arrays by name (unknown names are ignored) → fp32 logits."""
        arrays = padded(inputs, self.input_names, self._length)
        batch, seq = inputs[self.input_names[0]].shape
        try:
            logits = self._session.run(None, arrays)[0]
        except Exception as e:  # onnxruntime's own errors share no base class but Exception
            raise InputError(f"the model cannot run on input of shape {(batch, seq)}: {first_line(e)}") from e
        return unpadded(as_logits(logits, batch), seq)


def load(path: Path, threads: int = 1, cache: Path | None = None) -> OnnxSession:
    """Load the ONNX file at `path`; raise `InputError` where it is missing, damaged or refused.

    `cache`: a folder where the unpacked model is kept (`unpacked.py`). Where that cannot be, it is loaded without.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file; export the model again")
    session = None if cache is None else _from_cache(path, threads, cache)
    if session is None:
        try:
            session = _open(path, threads, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
        except Exception as e:  # onnxruntime's own errors share no base class but Exception
            where, version = bare(str(path), 200), ort.__version__
            raise InputError(
                f"{where} does not load in ONNX Runtime {version}: {first_line(e)}; export it again"
            ) from e
    return OnnxSession(session)


def save_ort_format(path: Path, folder: Path) -> dict[str, Path]:
    """The ONNX file at `path` in ONNX Runtime's own format, optimized as much as each of `ORT_LEVELS`, by level.

    `InputError` where the file does not load. What only some x86 processors take is left out.
    """
    levels, written = ort.GraphOptimizationLevel, {}
    for name in ORT_LEVELS:
        written[name] = folder / f"{name}.ort"
        try:
            level = getattr(levels, name)
            _open(path, 1, level, written[name], {"session.save_model_format": "ORT"}, without=("NchwcTransformer",))
        except Exception as e:  # onnxruntime's own errors share no base class but Exception
            where = bare(str(path), 200)
            raise InputError(f"{where} is not to be had in ONNX Runtime's format: {first_line(e)}") from e
    return written


def version() -> str:
    """ONNX Runtime's."""
    return str(ort.__version__)


def _from_cache(path: Path, threads: int, folder: Path) -> ort.InferenceSession | None:
    """The model by way of `folder`; None where nothing can be kept there, and where the model itself is at fault."""
    levels = ort.GraphOptimizationLevel
    try:
        return open_unpacked(
            path,
            folder,
            ort.__version__,
            lambda kept: _open(kept, threads, levels.ORT_DISABLE_ALL),
            lambda place: _open(path, threads, levels.ORT_ENABLE_EXTENDED, place, WEIGHTS_APART),
        )
    except Exception as e:  # onnxruntime's own errors share no base class but Exception
        log.debug("nothing is kept of %s in %s: %s", path, folder, e)
        return None


def _open(
    path: Path,
    threads: int,
    level: ort.GraphOptimizationLevel,
    save_as: Path | None = None,
    entries: Mapping[str, str] = MappingProxyType({}),
    without: Sequence[str] = (),
) -> ort.InferenceSession:
    """A session; `save_as`: where the optimized model goes, `entries`: of its configuration, `without`: optimizers."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = level
    options.log_severity_level = QUIET
    if save_as is not None:
        options.optimized_model_filepath = str(save_as)
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    providers = ["CPUExecutionProvider"]
    session = ort.InferenceSession(str(path), options, providers=providers, disabled_optimizers=list(without))
    if level != ort.GraphOptimizationLevel.ORT_DISABLE_ALL:
        return_free_memory()  # what unpacking took stays with the process else: twice the model
    return session
