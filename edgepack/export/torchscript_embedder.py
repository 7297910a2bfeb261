"""The program of a TorchScript artifact that gives a vector for each text.

It holds `MobileEncoder`, the program of every other artifact, with an empty classifier: that one gives the last layer's
tokens, or the first token. Here they become one vector: pooled, then behind the linear layer in the slot of the head's
dense layer, the activation, and the division by its length, each where the student has it.
"""

from typing import Optional

import torch
from torch import Tensor

from edgepack.export.torchscript_program import MobileModel, State


class MobileEmbedder(MobileModel):
    """`options`: `last` (the last token instead of the mean), `act` (-1: none) and `normalized`."""

    def __init__(self, state: State, options: dict[str, int]) -> None:
        super().__init__(state)
        self.options = options

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        """int64 `(batch, seq)` each → vectors `(batch, size)`."""
        x = self.encoder(input_ids, attention_mask, token_type_ids)
        if x.dim() == 3:
            weights = attention_mask.to(torch.float32)
            count = weights.sum(1, keepdim=True)
            if self.options["last"] == 1:
                weights = weights * (torch.cumsum(weights, 1) == count).to(torch.float32)
                count = weights.sum(1, keepdim=True)
            x = torch.matmul(weights.unsqueeze(1), x).squeeze(1) / count
        x = self.encoder.project(x, len(self.encoder.lists["slots"]) - 3)
        if self.options["act"] >= 0:
            x = self.encoder.activate(x, self.options["act"])
        if self.options["normalized"] == 1:
            x = x / torch.clamp((x * x).sum(1, keepdim=True).sqrt(), min=1e-12)
        return x
