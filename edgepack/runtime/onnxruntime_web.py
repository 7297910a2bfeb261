"""ONNX Runtime Web, the WebAssembly build that web pages load, run in Node.

A Node process holds the session (`onnxruntime_web.mjs` describes the protocol) and answers one line of JSON for each
line that it gets; it ends when its stdin does. Times are taken on its side, so the pipe does not count. It is the code
that a page runs, on another JavaScript engine's version: correctness carries over, latency roughly.

The npm package is looked for in `node_modules` of `$EDGEPACK_NODE`, of the current folder and those above it, and of
`~/.cache/edgepack`. Nothing is installed here: what is missing is a `MissingDependency` with the line that adds it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np

from edgepack.errors import InputError, MissingDependency
from edgepack.runtime.fixed_shape import fixed_length, padded, unpadded

PACKAGE, TRIED_VERSION = "onnxruntime-web", "1.30.0"
SCRIPT = Path(__file__).with_suffix(".mjs")
CACHE = Path("~/.cache/edgepack")
FOLDER_VARIABLE = "EDGEPACK_NODE"
INSTALL_NODE = "apt-get install nodejs (18 or newer)"
INSTALL_PACKAGE = f"npm install --ignore-scripts --prefix {CACHE} {PACKAGE}@{TRIED_VERSION}"


class WebSession:
    """A loaded ONNX file in a Node process of its own."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self._process, self._path = process, path
        self._end = finalize(self, _stop, process)
        loaded = self._answer()
        self.process_id: int = process.pid
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
        request = {"shape": shape, "inputs": {name: array.ravel().tolist() for name, array in arrays.items()}}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError as e:
            raise InputError(f"{self._path}: Node ended before it was asked; run the command again") from e
        answer = self._answer()
        self.run_ms = answer["ms"]
        logits = np.asarray(answer["logits"], dtype=np.float32).reshape(answer["dims"])
        return unpadded(logits, inputs[self.input_names[0]].shape[1])

    def close(self) -> None:
        """End the Node process; also done when the session is garbage."""
        self._end()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("{"):
            self._end()
            raise InputError(f"{self._path}: Node ended without an answer ({line.strip() or 'no output'}); see stderr")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise InputError(f"{self._path} does not run in {PACKAGE}: {answer['error']}; export it again")
        return answer


def load(path: Path, threads: int = 1) -> WebSession:
    """Load the ONNX file at `path`; `InputError` where it is missing or refused, `MissingDependency` without Node."""
    if not path.is_file():
        raise InputError(f"{path} is not a file; export the model again")
    node, modules = find_node(), find_modules()
    process = subprocess.Popen(
        [node, str(SCRIPT), str(modules), str(path), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    return WebSession(process, path)


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


def _stop(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
