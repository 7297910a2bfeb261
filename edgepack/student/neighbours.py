"""What a convolution over word vectors adds to each token: the part of its neighbours.

MobileBERT reads three words at a time where its vectors are made (Sun et al. 2020, arXiv:2004.02984, §3.1). Here a
token's own word goes through the embedding's projection as it does without a convolution, and each neighbour through a
matrix of its own, 0 before training. The sum is added behind the embedding's norm, where the first layer reads it. So a
student starts as the one without it, and the teacher's embeddings are compared with what it has before.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def sum_neighbours(products: Tensor, places: Sequence[int]) -> Tensor:
    """`(…, seq, places · H) → (…, seq, H)`: for each token the sum of its neighbours' products.

    `products`: of each word what it adds to a token that sees it at the first place, at the second, and so on; 0 at
    padding. What lies beyond the ends adds nothing.
    """
    reach, size = max(places), products.shape[-1] // len(places)
    padded = F.pad(products, (0, 0, reach, reach))
    total = padded[..., reach + places[0] : places[0] - reach, :size]
    for number, place in enumerate(places[1:], 1):
        rows = slice(reach + place, place - reach or None)
        total = total + padded[..., rows, number * size : (number + 1) * size]
    return total


def multiply_neighbours(words: Tensor, weight: Tensor, places: Sequence[int]) -> Tensor:
    """`words (batch, seq, E)`, 0 at padding, times `weight (places · H, E)`, summed as above: `(batch, seq, H)`.

    One product of all neighbours of a token, for training: it makes nothing as wide as the products of all places.
    """
    reach, (_, seq, size) = max(places), words.shape
    padded = F.pad(words, (0, 0, reach, reach))
    read = torch.cat([padded[:, reach + place : reach + place + seq] for place in places], dim=-1)
    rows = weight.view(len(places), -1, size).transpose(0, 1).flatten(1)  # (H, places · E)
    return F.linear(read, rows)
