"""Distances between positions, in T5's buckets: each bucket has a bias of its own in every head."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgepack.student.config import StudentConfig


def bucket_by_distance(config: StudentConfig) -> Tensor:
    """Bucket of every distance query − key from −(P − 1) to P − 1, int64 `(2 · P − 1,)`, P the longest sequence.

    Files hold this table: a logarithm that another processor rounds otherwise could move a distance to its neighbour.
    """
    pairs = relative_buckets(
        config.max_position_embeddings, config.relative_attention_buckets, config.relative_attention_max_distance
    )
    return torch.cat([pairs[0, 1:].flip(0), pairs[:, 0]])


def relative_buckets(seq: int, buckets: int, max_distance: int, device: torch.device | None = None) -> Tensor:
    """T5's bidirectional bucket of `key − query` for every pair of positions: int64 `(seq, seq)`.

    Raffel et al. 2020, arXiv:1910.10683, §2.1: half the buckets for each sign; of these half exact, half
    logarithmic up to `max_distance`. The sign follows MPNet, where keys to the left take the upper half.
    """
    positions = torch.arange(seq, device=device)
    distance = positions[:, None] - positions[None, :]  # query − key
    half = buckets // 2
    bucket = (distance < 0).long() * half
    distance = distance.abs()
    exact = half // 2
    ratio = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    large = torch.clamp(exact + (ratio * (half - exact)).long(), max=half - 1)
    return bucket + torch.where(distance < exact, distance, large)
