"""ONNX Runtime Web, the WebAssembly build that web pages load, run in Node.

A Node process holds the session (`onnxruntime_web.mjs` describes the protocol) and answers one line of JSON for each
line that it gets; it ends when its stdin does. Times are taken on its side, so the pipe does not count. It is the code
that a page runs, on another JavaScript engine's version: correctness carries over, latency roughly.

The npm package is looked for in `node_modules` of `$EDGEPACK_NODE`, of the current folder and those above it, and of
`~/.cache/edgepack`. Nothing is installed here: what is missing is a `MissingDependency` with the line that adds it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgepack.errors import InputError, MissingDependency
from edgepack.runtime.fixed_shape import fixed_length, padded, unpadded
from edgepack.runtime.line_process import LineProcess

PACKAGE, TRIED_VERSION = "onnxruntime-web", "1.30.0"
SCRIPT = Path(__file__).with_suffix(".mjs")
CACHE = Path("~/.cache/edgepack")
FOLDER_VARIABLE = "EDGEPACK_NODE"
INSTALL_NODE = "apt-get install nodejs (18 or newer)"
INSTALL_PACKAGE = f"npm install --ignore-scripts --prefix {CACHE} {PACKAGE}@{TRIED_VERSION}"


class WebSession:
    """A loaded ONNX file in a Node process of its own."""

    def __init__(self, process: LineProcess) -> None:
        self._process = process
        loaded = process.answer()
        self.process_id: int = process.process_id
        self.baseline_bytes: int = loaded["baseline"]
        self.load_ms: float = loaded["ms"]
        self.run_ms = 0.0  # of the last run
        self.version: str = loaded["version"]
        self.input_names: tuple[str, ...] = tuple(loaded["inputs"])
        self._length = fixed_length(loaded["shape"])

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 `(batch, seq)` arrays by name (unknown names are ignored) → fp32 logits."""
        arrays = padded(inputs, self.input_names, self._length)
        shape = list(arrays[self.input_names[0]].shape)
        values = {name: array.ravel().tolist() for name, array in arrays.items()}
        answer = self._process.ask({"shape": shape, "inputs": values})
        self.run_ms = answer["ms"]
        logits = np.asarray(answer["logits"], dtype=np.float32).reshape(answer["dims"])
        return unpadded(logits, inputs[self.input_names[0]].shape[1])

    def close(self) -> None:
        """End the Node process; also done when the session is garbage."""
        self._process.close()


def load(path: Path, threads: int = 1) -> WebSession:
    """Load the ONNX file at `path`; `InputError` where it is missing or refused, `MissingDependency` without Node."""
    if not path.is_file():
        raise InputError(f"{path} is not a file; export the model again")
    node, modules = find_node(), find_modules()
    command = [node, str(SCRIPT), str(modules), str(path), str(threads)]
    return WebSession(LineProcess(command, path, "Node", PACKAGE))


def find_node() -> str:
    """Node's program."""
    node = shutil.which("node")
    if node is None:
        raise MissingDependency(f"{PACKAGE} needs Node.js, which is not on the path; run: {INSTALL_NODE}")
    return node


def find_modules() -> Path:
    """The `node_modules` folder that holds onnxruntime-web."""
    places = [Path(os.environ[FOLDER_VARIABLE])] if os.environ.get(FOLDER_VARIABLE) else []
    places += [Path.cwd(), *Path.cwd().parents, CACHE.expanduser()]
    for place in places:
        modules = place / "node_modules"
        if (modules / PACKAGE / "package.json").is_file():
            return modules
    raise MissingDependency(f"the npm package {PACKAGE} is not installed; run: {INSTALL_PACKAGE}")
