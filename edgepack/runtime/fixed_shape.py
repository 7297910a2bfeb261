"""Inputs for a file whose shape is fixed: padded to its length, and the logits of the padding left out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgepack.errors import InputError


def fixed_length(shape: Sequence[int | str | None]) -> int | None:
    """The sequence length of a declared input shape `(batch, seq)`; None where it is dynamic."""
    length = shape[1] if len(shape) == 2 else None
    return length if isinstance(length, int) else None


def padded(inputs: Mapping[str, np.ndarray], length: int | None) -> dict[str, np.ndarray]:
    """int64 `(1, seq)` arrays as `(1, length)`, zeros behind (the mask hides them); as they are without a length."""
    arrays = {name: np.asarray(array, dtype=np.int64) for name, array in inputs.items()}
    if length is None:
        return arrays
    for name, array in arrays.items():
        if array.shape[0] != 1 or array.shape[1] > length:
            raise InputError(f"model input {name!r} has shape {array.shape}; this file takes (1, up to {length})")
    return {name: np.pad(array, ((0, 0), (0, length - array.shape[1]))) for name, array in arrays.items()}


def unpadded(logits: np.ndarray, seq: int) -> np.ndarray:
    """Logits of the first `seq` tokens, where there are some for each."""
    return logits[:, :seq] if logits.ndim == 3 else logits
