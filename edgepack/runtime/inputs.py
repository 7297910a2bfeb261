"""The arrays that a session takes, chosen from those that it is given, and what it must give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike

from edgepack.errors import InputError


def chosen(
    inputs: Mapping[str, np.ndarray], names: Sequence[str], dtype: DTypeLike = np.int64
) -> dict[str, np.ndarray]:
    """Contiguous arrays by name, in the order of `names`; unknown names are left, a missing one is an `InputError`."""
    missing = [name for name in names if name not in inputs]
    if missing:
        raise InputError(f"the model needs the input {missing[0]!r}; given: {', '.join(inputs) or 'none'}")
    return {name: np.ascontiguousarray(inputs[name], dtype=dtype) for name in names}


def as_logits(output: np.ndarray, batch: int) -> np.ndarray:
    """fp32 logits, `(batch, C)` or `(batch, seq, C)`; `InputError` where the model gives something else."""
    logits = np.asarray(output)
    if logits.ndim not in (2, 3) or len(logits) != batch or not logits.size or logits.dtype.kind != "f":
        raise InputError(f"the model gives {logits.dtype} of shape {logits.shape} for {batch} texts; export it again")
    return logits.astype(np.float32, copy=False)
