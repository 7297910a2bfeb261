"""What a planner knows of a model file that does not exist yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgepack.export import ModelSize

__all__ = ["ModelSize", "byte_rows"]


def byte_rows(plan: Mapping[str, Any], target: str) -> list[list[str]]:
    """Where a recorded plan's shipped bytes go, largest first: each tensor, the rest of the file, the tokenizer."""
    tensors, total = plan["tensors"][target], plan["candidates"][0]["bytes"][target]
    tokenizer = plan["tokenizer_bytes"]
    parts = {**tensors, "(structure)": total - sum(tensors.values()) - tokenizer, "(tokenizer)": tokenizer}
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return [[name, f"{size:,}", f"{size / total:.1%}"] for name, size in [*ordered, ("(shipped)", total)]]
