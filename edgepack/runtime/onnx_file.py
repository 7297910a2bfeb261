"""Run an ONNX file over many inputs in another Python: an older ONNX Runtime, another CPU, an emulator.

    python onnx_file.py MODEL INPUTS.npz OUTPUTS.npz

It is run as a file, by a Python that has numpy and onnxruntime and nothing of edgepack, so it imports nothing else.
INPUTS holds `offsets (n + 1,)` and flat arrays by input name, example i at `offsets[i]:offsets[i + 1]` (the layout of
`edgepack.task.tokenize`); OUTPUTS gets `logits`, in the same layout, and the runtime's `version`.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    del sys.path[0]  # this folder, whose onnxruntime.py is another one

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

QUIET = 3  # log errors only


def main(model: str, source: str, destination: str) -> None:
    """Run every example, batch 1, one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = QUIET
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    with np.load(source) as arrays:
        offsets, flat = arrays["offsets"], {name: arrays[name].astype(np.int64) for name in names}
    rows = []
    for i in range(len(offsets) - 1):
        example = slice(offsets[i], offsets[i + 1])
        output = session.run(None, {name: values[None, example] for name, values in flat.items()})[0]
        rows.append(output[0] if output.ndim == 3 else output)
    np.savez(destination, logits=np.concatenate(rows), version=np.array(ort.__version__))


if __name__ == "__main__":
    main(*sys.argv[1:4])
