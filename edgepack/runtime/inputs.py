"""The arrays that a session takes, chosen from those that it is given."""

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
