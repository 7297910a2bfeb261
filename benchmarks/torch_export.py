"""A model as ONNX by torch's own exporter, as other tools write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn


def export_by_torch(model: nn.Module, path: Path, **options: Any) -> None:
    """Write fp32 ONNX with inputs `input_ids` and `attention_mask`, batch and sequence dynamic, and output `logits`."""

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
            return logits

    names, ids = ["input_ids", "attention_mask"], torch.ones(2, 8, dtype=torch.int64)
    torch.onnx.export(
        Logits().eval(),
        (ids, ids),
        str(path),
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "seq"} for name in names},
        dynamo=False,
        **options,
    )
