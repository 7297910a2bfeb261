"""Which tokens of a pair the other text has too: the exact match feature of Chen et al. 2017 (arXiv:1704.00051, §3.2).

A student of few layers compares two texts badly by itself. So each token whose id stands in the other text as well is
added a vector of its own (`StudentConfig.match_separator`), behind the embedding's norm, where the first layer reads
it. The vector is 0 before training, so a student starts as the one without it.

The texts are told apart by the ids alone: what comes before the first separator is the first text, all else the second.
Tokens that tokenizers add stand in one of the two, so they match nothing, and nothing matches in a single text. Padding
matches nothing either, whichever id fills it, so a text has the same matches alone and in a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

MATCH = "embeddings.match"  # path of the vector


def match_words(input_ids: Tensor, present: Tensor, separator: int) -> Tensor:
    """Whether the other text has the token's id too: int64 `(batch, seq)` twice → bool `(batch, seq)`.

    `present`: 0 at padding, else 1. Files compute the same steps: ids count from 1, and padding is 0. Each is doubled,
    and 1 is added in the first text. A token matches where the number that it would have in the other text is there.
    """
    ids = (input_ids + 1) * present
    first = (torch.cumsum((ids == separator + 1).to(torch.int64), dim=1) == 0).to(torch.int64)
    own, wanted = 2 * ids + first, 2 * ids + 1 - first
    return (own[:, :, None] == wanted[:, None, :]).any(dim=2)
