"""Run a TFLite file over many inputs in another Python: another CPU, an emulator.

    python litert_file.py MODEL INPUTS.npz OUTPUTS.npz

As `onnx_file.py`, whose files it reads and writes, it is run by a Python that has nothing of edgepack: numpy and
ai-edge-litert, XNNPACK on.
"""

from __future__ import annotations

import importlib.metadata
import sys

if __name__ == "__main__":
    del sys.path[0]  # this folder, whose litert.py is another one

import numpy as np


def main(model: str, source: str, destination: str) -> None:
    """Run every example, batch 1, one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=1)
    places = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    output = interpreter.get_output_details()[0]["index"]
    with np.load(source) as arrays:
        offsets, flat = arrays["offsets"], {name: arrays[name].astype(np.int64) for name in places}
    rows, planned = [], 0
    for i in range(len(offsets) - 1):
        example, length = slice(offsets[i], offsets[i + 1]), int(offsets[i + 1] - offsets[i])
        if length != planned:
            for place in places.values():
                interpreter.resize_tensor_input(place, [1, length])
            interpreter.allocate_tensors()
            planned = length
        for name, place in places.items():
            interpreter.set_tensor(place, flat[name][None, example])
        interpreter.invoke()
        logits = interpreter.get_tensor(output)
        rows.append(logits[0] if logits.ndim == 3 else logits)
    np.savez(destination, logits=np.concatenate(rows), version=np.array(importlib.metadata.version("ai-edge-litert")))


if __name__ == "__main__":
    main(*sys.argv[1:4])
