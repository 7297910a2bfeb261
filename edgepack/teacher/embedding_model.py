"""A teacher that embeds texts, as its own modules run: the encoder, pooling over real tokens, Dense, length 1.

It is what a student is compared with, so it computes nothing that a student computes: transformers runs the encoder,
and pooling is written as sentence-transformers has it, sums over a mask, with its least divisor. Where layers are not
carved, `OwnModel` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from edgepack.errors import InputError, one_line
from edgepack.teacher.embedding import Embedding, dense_shape
from edgepack.teacher.model_call import call, takes_types

LEAST = 1e-9  # sentence-transformers' divisor where a text had no token
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "gelu": F.gelu, "relu": F.relu}


class EmbeddingModel(nn.Module):
    """`logits` of a text are its vector; `prefix`: the family's, which stands before the encoder's names."""

    def __init__(self, encoder: PreTrainedModel, embedding: Embedding, prefix: str, what: str) -> None:
        super().__init__()
        self.encoder, self.embedding, self.config, self.prefix = encoder, embedding, encoder.config, prefix
        self.dense = None if embedding.dense is None else load_dense(embedding.dense, what)
        size = int(self.config.hidden_size)
        if self.dense is not None and self.dense.in_features != size:
            raise InputError(f"{what}: its Dense module takes {self.dense.in_features} numbers; the encoder has {size}")

    @property
    def vector_size(self) -> int:
        """How many numbers a vector has."""
        return int(self.config.hidden_size) if self.dense is None else self.dense.out_features

    def get_input_embeddings(self) -> nn.Embedding:
        """The encoder's word table."""
        table: nn.Embedding = self.encoder.get_input_embeddings()
        return table

    def student_weights(self) -> Mapping[str, Tensor]:
        """All weights by the names that a student of this family is made from."""
        found = {f"{self.prefix}.{name}": tensor for name, tensor in self.encoder.state_dict().items()}
        if self.dense is not None:
            found["classifier.weight"] = self.dense.weight.detach()
            bias = self.dense.bias
            found["classifier.bias"] = torch.zeros(self.dense.out_features) if bias is None else bias.detach()
        return found

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """int64 `(batch, seq)`, padding on the right → vectors `(batch, size)`, and the encoder's states if wanted."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None and takes_types(self.encoder):
            given["token_type_ids"] = token_type_ids
        output = call(self.encoder, given, output_hidden_states)
        vectors = pooled(output.last_hidden_state, attention_mask, self.embedding.pooling)
        if self.dense is not None:
            vectors = self.dense(vectors)
            if self.embedding.activation is not None:
                vectors = ACTIVATIONS[self.embedding.activation](vectors)
        logits = F.normalize(vectors, dim=-1) if self.embedding.normalized else vectors
        return ModelOutput(logits=logits, hidden_states=output.get("hidden_states"))


def pooled(states: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """One vector a text, `(batch, seq, size) → (batch, size)`: the first token, the last real one, or their mean."""
    if pooling == "first":
        return states[:, 0]
    if pooling == "last":
        last = attention_mask.sum(1) - 1
        return states[torch.arange(len(states), device=states.device), last]
    mask = attention_mask[:, :, None].to(states.dtype)
    return (states * mask).sum(1) / mask.sum(1).clamp(min=LEAST)


def load_dense(folder: Path, what: str) -> nn.Linear:
    """A Dense module's linear layer, in fp32."""
    inputs, outputs, biased = dense_shape(folder, what)
    layer = nn.Linear(inputs, outputs, bias=biased)
    try:
        if (folder / "model.safetensors").is_file():
            tensors = load_file(folder / "model.safetensors")
        else:
            tensors = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        if not all(value.is_floating_point() for value in tensors.values()):
            raise ValueError("they are quantized; give the checkpoint before that")
        layer.load_state_dict({name.removeprefix("linear."): value.float() for name, value in tensors.items()})
    except Exception as e:  # a broken file trips both libraries in too many ways to list
        raise InputError(f"{what}: the weights of its Dense module do not load: {one_line(e)}") from e
    return layer.requires_grad_(False).eval()
