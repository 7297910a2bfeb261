"""How a model of transformers is called: with what it takes of a batch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput


def takes_types(model: nn.Module) -> bool:
    """Whether the model tells segments apart."""
    named = "token_type_ids" in inspect.signature(model.forward).parameters
    return named and int(getattr(model.config, "type_vocab_size", 0) or 0) > 1


def call(model: nn.Module, inputs: Mapping[str, Tensor], states: bool) -> ModelOutput:
    """The model's own call; an encoder alone may take no attention mask."""
    named = inspect.signature(model.forward).parameters
    given = {name: tensor for name, tensor in inputs.items() if name in named or name == "input_ids"}
    options = {"return_dict": True} if isinstance(model, PreTrainedModel) else {}
    output: ModelOutput = model(**given, output_hidden_states=states, **options)
    return output
