"""The process that holds a Core AI model: `python -m edgepack.runtime.coreai_process ASSET`.

It writes one line of JSON when the model is loaded: the asset's inputs and outputs (name, type, sizes; -1 is dynamic),
its operators, resident bytes before loading, milliseconds of loading. Then it answers each line, int32 arrays by name,
with logits, their shape and the milliseconds of the run. An error of the runtime is a line with `error`. What the
runtime prints goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
from coreai.authoring import AIModelAsset
from coreai.runtime import NDArray

FUNCTION = "main"


async def serve(path: Path, requests: IO[str], answers: IO[str]) -> None:
    """Load the asset, then answer until there are no more requests."""
    baseline, started = psutil.Process().memory_info().rss, time.perf_counter()
    asset = AIModelAsset.load(path)
    async with asset.executable() as model:
        function = model.load_function(FUNCTION)
        loaded = {"ms": since_ms(started), "baseline": baseline, **face(asset, function.desc)}
        print(json.dumps(loaded), file=answers, flush=True)
        for line in requests:
            print(json.dumps(await answer(function, json.loads(line)["inputs"])), file=answers, flush=True)


def face(asset: Any, description: Any) -> dict[str, Any]:
    """What the asset declares, and the operators that it holds."""
    outputs = [(name, description.output_descriptor(name)) for name in description.output_names]
    inputs = [(name, description.input_descriptor(name)) for name in description.input_names]
    return {
        "inputs": [(name, str(tensor.dtype), list(tensor.shape)) for name, tensor in inputs],
        "outputs": [(name, str(tensor.dtype), list(tensor.shape)) for name, tensor in outputs],
        "operators": sorted(name for name, _ in asset.summary().operation_distribution),
    }


async def answer(function: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Logits of one batch, or the runtime's error."""
    arrays = {name: NDArray(np.array(values, np.int32)) for name, values in inputs.items()}
    started = time.perf_counter()
    try:
        found = await function(arrays)
        logits = found[function.desc.output_names[0]].numpy()
    except Exception as e:  # whatever the beta raises, it is this batch that does not run
        return {"error": (str(e).splitlines() or [type(e).__name__])[0]}
    return {"ms": since_ms(started), "shape": list(logits.shape), "logits": logits.ravel().tolist()}


def since_ms(started: float) -> float:
    """Milliseconds since a reading of `time.perf_counter`."""
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    """Serve on stdin and stdout; stdout's own descriptor becomes stderr, since the runtime prints."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        asyncio.run(serve(Path(sys.argv[1]), sys.stdin, answers))
    except (RuntimeError, KeyError, ValueError, OSError) as e:
        print(json.dumps({"error": (str(e).splitlines() or [type(e).__name__])[0]}), file=answers, flush=True)


if __name__ == "__main__":
    main()
