"""What a planner knows of a model file that does not exist yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelSize:
    """`total` bytes of the file, and the bytes of each tensor in it; the rest is structure."""

    total: int
    tensors: tuple[tuple[str, int], ...]


def byte_rows(plan: Mapping[str, Any], target: str) -> list[list[str]]:
    """Where a recorded plan's shipped bytes go, largest first: each tensor, the rest of the file, the tokenizer."""
    tensors, total = plan["tensors"][target], plan["candidates"][0]["bytes"][target]
    tokenizer = plan["tokenizer_bytes"]
    parts = {**tensors, "(structure)": total - sum(tensors.values()) - tokenizer, "(tokenizer)": tokenizer}
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return [[name, f"{size:,}", f"{size / total:.1%}"] for name, size in [*ordered, ("(shipped)", total)]]
