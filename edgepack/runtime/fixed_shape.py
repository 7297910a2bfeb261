"""Inputs for a file whose shape is fixed: padded to its length, and the logits of the padding left out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgepack.errors import InputError


def fixed_length(shape: Sequence[int | str | None]) -> int | None:
    """The sequence length of a declared input shape `(batch, seq)`; None where it is dynamic."""
    length = shape[1] if len(shape) == 2 else None
    return length if isinstance(length, int) else None


def padded(inputs: Mapping[str, np.ndarray], names: Sequence[str], length: int | None) -> dict[str, np.ndarray]:
    """The named int64 `(1, seq)` arrays, zeros behind up to `(1, length)` (the mask hides them), where there is one."""
    missing = [name for name in names if name not in inputs]
    if missing:
        raise InputError(f"model input {missing[0]!r} was not given; needed: {', '.join(names)}")
    arrays = {name: np.asarray(inputs[name], dtype=np.int64) for name in names}
    if length is None:
        return arrays
    for name, array in arrays.items():
        if array.shape[0] != 1 or array.shape[1] > length:
            raise InputError(f"model input {name!r} has shape {array.shape}; this file takes (1, up to {length})")
    return {name: np.pad(array, ((0, 0), (0, length - array.shape[1]))) for name, array in arrays.items()}


def unpadded(logits: np.ndarray, seq: int) -> np.ndarray:
    """Logits of the first `seq` tokens, where there are some for each."""
    return logits[:, :seq] if logits.ndim == 3 else logits
