"""Files of one fixed shape: padded inputs, logits of real tokens, errors that say the shape."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.errors import InputError
from edgepack.runtime.fixed_shape import fixed_length, padded, unpadded


@pytest.mark.parametrize(
    ("shape", "length"), [(["batch", "seq"], None), ([1, 16], 16), ([], None), ([None, None], None)]
)
def test_the_length_is_the_declared_one(shape: list[int | str | None], length: int | None) -> None:
    assert fixed_length(shape) == length


def test_inputs_are_padded_behind_and_logits_cut_again() -> None:
    inputs = {"input_ids": np.array([[7, 8]]), "attention_mask": np.array([[1, 1]])}
    arrays = padded(inputs, list(inputs), 4)
    assert arrays["input_ids"].tolist() == [[7, 8, 0, 0]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 0, 0]]
    assert padded(inputs, list(inputs), None)["input_ids"].tolist() == [[7, 8]]
    assert unpadded(np.arange(12).reshape(1, 4, 3), 2).tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert unpadded(np.arange(3).reshape(1, 3), 2).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("shape", [(1, 5), (2, 4)])
def test_what_does_not_fit_is_an_error(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"'input_ids' has shape .*takes \(1, up to 4\)"):
        padded({"input_ids": np.ones(shape)}, ["input_ids"], 4)
