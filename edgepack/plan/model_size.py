"""What a planner knows of a model file that does not exist yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSize:
    """`total` bytes of the file, and the bytes of each tensor in it; the rest is structure."""

    total: int
    tensors: tuple[tuple[str, int], ...]
