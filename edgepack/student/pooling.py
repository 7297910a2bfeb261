"""One vector a text out of its tokens'."""

from __future__ import annotations

from torch import Tensor


def pool(x: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """One vector a text, `(batch, seq, size) → (batch, size)`: of the first token, of the last real one, or the mean.

    The mean is that of sentence-transformers: over all real tokens, special ones too (Reimers and Gurevych 2019,
    arXiv:1908.10084, §3).
    """
    if pooling == "first":
        return x[:, 0]
    mask = attention_mask.to(x.dtype)
    if pooling == "last":
        mask = mask * (mask.cumsum(1) == mask.sum(1, keepdim=True))
    return (mask[:, None] @ x)[:, 0] / mask.sum(1, keepdim=True)
