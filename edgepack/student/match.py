"""Which tokens of a pair the other text has too: the exact match feature of Chen et al. 2017 (arXiv:1704.00051, §3.2).

A student of few layers compares two texts badly by itself. So each token whose id stands in the other text as well is
added a vector of its own (`StudentConfig.match_separator`), behind the embedding's norm, where the first layer reads
it. The vector is 0 before training, so a student starts as the one without it.

The texts are told apart by the ids alone: what comes before the first separator is the first text, all else the second.
Tokens that tokenizers add stand in one of the two, so they match nothing, and nothing matches in a single text.
"""

from __future__ import annotations

import torch
from torch import Tensor


def match_words(input_ids: Tensor, separator: int) -> Tensor:
    """Whether the other text has the token's id too: `input_ids` int64 `(batch, seq)` → bool `(batch, seq)`.

    Files compute the same steps: an id is doubled, and 1 is added in the first text. A token matches where the number
    that it would have in the other text is there.
    """
    first = (torch.cumsum((input_ids == separator).to(torch.int64), dim=1) == 0).to(torch.int64)
    own, wanted = 2 * input_ids + first, 2 * input_ids + 1 - first
    return (own[:, :, None] == wanted[:, None, :]).any(dim=2)
