"""The teacher as ONNX Runtime's own int8 model: what an app would ship without edgepack, to time a student against.

`torch.onnx.export`, then `quantize_dynamic` per channel, as `optimum-cli` makes it too.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import nn

EXPORTED_LENGTH = 8  # tokens


def export_by_torch(model: nn.Module, path: Path, opset: int | None = None) -> None:
    """Write fp32 ONNX with inputs `input_ids` and `attention_mask`, batch and sequence dynamic, and output `logits`."""

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
            return logits

    names, ids = ["input_ids", "attention_mask"], torch.ones(2, EXPORTED_LENGTH, dtype=torch.int64)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # it prints the graph where it fails
        warnings.simplefilter("ignore")  # that this exporter is the older one, and that shapes become constants
        torch.onnx.export(
            Logits().eval(),
            (ids, ids),
            str(path),
            input_names=names,
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "seq"} for name in names},
            dynamo=False,
            opset_version=opset,
        )


def export_int8(model: nn.Module, full: Path, path: Path, token_counts: Sequence[int]) -> None:
    """Write the teacher's fp32 ONNX to `full` and the int8 one to `path`, and run that on each of these lengths.

    Raises what torch's exporter raises, and what ONNX Runtime does where the model runs at the exported length alone:
    the exporter makes constants of sizes that some architectures compute in Python.
    """
    from onnxruntime import InferenceSession
    from onnxruntime.quantization import QuantType, quantize_dynamic

    export_by_torch(model, full)
    root, before = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)  # it advises a pre-processing step, on the root logger
    try:
        quantize_dynamic(full, path, per_channel=True, weight_type=QuantType.QInt8)
    finally:
        root.setLevel(before)
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in token_counts:
        ids = np.ones((1, count), dtype=np.int64)
        session.run(None, {"input_ids": ids, "attention_mask": ids})
