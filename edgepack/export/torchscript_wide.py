"""The program of a TorchScript artifact with a wide table beside the encoder.

It holds `MobileEncoder`, the program of every other artifact, and adds to its scores the mean of the rows that a text's
tokens have in the table: that of its id modulo the rows.
"""

from typing import Optional

import torch
from torch import Tensor

from edgepack.export.torchscript_program import MobileModel, State


class MobileWide(MobileModel):
    """`table`: packed rows or plain numbers; `options`: its `rows` and `columns`."""

    def __init__(self, state: State, table: Tensor, options: dict[str, int]) -> None:
        super().__init__(state)
        self.table = table
        self.options = options

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        """int64 `(batch, seq)` each → logits `(batch, labels)`."""
        logits = self.encoder(input_ids, attention_mask, token_type_ids)
        buckets = torch.remainder(input_ids, self.options["rows"]).reshape(-1)
        columns = self.options["columns"]
        rows = self.encoder.rows(self.table, buckets, 8, columns).view(input_ids.size(0), input_ids.size(1), columns)
        weights = attention_mask.to(torch.float32)
        mean = torch.matmul(weights.unsqueeze(1), rows).squeeze(1) / weights.sum(1, keepdim=True)
        return logits + mean
