"""Logits of a whole data set from a torch model, in the flat layout of `Encoded.labels`.

What a runtime says of a data set is `runtime/predict.py`, which needs no torch.

Examples of similar length run together, so little of a batch is padding. `exact=True` batches only equal
lengths: nothing is padded, which is what a phone computes one example at a time (activations are rounded per
example, and padding would take part in their range).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edgepack.console import Advance
from edgepack.machine.memory import return_free_memory
from edgepack.task.encoded import Encoded, equal_lengths
from edgepack.task.long_texts import split


def predict(
    model: nn.Module,
    encoded: Encoded,
    *,
    batch_tokens: int = 2048,
    device: str = "cpu",
    bf16: bool = False,
    exact: bool = False,
    advance: Advance | None = None,
) -> np.ndarray:
    """Flat fp32 logits `(n, C)` or `(T, C)` of any module whose output has `.logits`; long texts in their windows.

    The model is moved to `device`, run in evaluation mode, and left in the mode that it came in.
    """
    texts = split(encoded)
    encoded, ends = texts.pieces, texts.ends
    pad_id = getattr(getattr(model, "config", None), "pad_token_id", None) or 0
    names = input_names(model)
    training = model.training
    model.to(device).eval()
    logits: np.ndarray | None = None
    with torch.inference_mode(), torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
        for indices in _batches(encoded.lengths, batch_tokens, exact):
            batch = {n: t.to(device) for n, t in torch_batch(encoded, indices, pad_id).items() if n in names}
            output: Tensor = model(**batch).logits
            per_token = output.dim() == 3
            if per_token:
                output = output[batch["attention_mask"].bool()]
            if logits is None:
                logits = np.empty((encoded.offsets[-1] if per_token else len(encoded), output.shape[-1]), np.float32)
            logits[encoded.rows(indices) if per_token else indices] = output.float().cpu().numpy()
            if advance is not None:
                advance(int(ends[indices].sum()))
    model.train(training)
    return_free_memory()  # of batches of many sizes
    if logits is None:
        raise ValueError("no examples to predict")
    return texts.joined(logits)


def input_names(model: nn.Module) -> tuple[str, ...]:
    """The inputs to call `model` with; `token_type_ids` only where it tells segments apart."""
    names = ("input_ids", "attention_mask")
    segments = getattr(getattr(model, "config", None), "type_vocab_size", 0)
    accepted = "token_type_ids" in inspect.signature(model.forward).parameters
    return (*names, "token_type_ids") if accepted and segments > 1 else names


def torch_batch(encoded: Encoded, indices: Sequence[int] | np.ndarray, pad_id: int = 0) -> dict[str, Tensor]:
    """`Encoded.batch` as tensors, which share its memory."""
    return {name: torch.from_numpy(array) for name, array in encoded.batch(indices, pad_id).items()}


class TorchSession:
    """A torch student as a session: what goldens hold where the artifact itself cannot run."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.input_names = input_names(model)

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 `(batch, seq)` arrays by name (unknown names are ignored) → fp32 logits."""
        with torch.inference_mode():
            batch = {name: torch.from_numpy(np.asarray(inputs[name], dtype=np.int64)) for name in self.input_names}
            logits: np.ndarray = self._model(**batch).logits.float().numpy()
        return logits


def _batches(lengths: np.ndarray, batch_tokens: int, exact: bool) -> Iterator[np.ndarray]:
    """Indices by length, longest first (a batch too large for memory fails at once, not at the end)."""
    for group in reversed(equal_lengths(lengths)) if exact else [np.argsort(-lengths, kind="stable")]:
        start = 0
        while start < len(group):
            count = max(1, batch_tokens // int(lengths[group[start]]))
            yield group[start : start + count]
            start += count
