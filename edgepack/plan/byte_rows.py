"""Where the bytes of a recorded plan go. It reads the record alone, so a report needs no model and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def byte_parts(tensors: Mapping[str, int], tokenizer_bytes: int, total: int) -> dict[str, int]:
    """Shipped bytes by what they are: each tensor, the rest of the file, the tokenizer."""
    structure = total - sum(tensors.values()) - tokenizer_bytes
    return {**tensors, "(structure)": structure, "(tokenizer)": tokenizer_bytes}


def byte_rows(plan: Mapping[str, Any], target: str) -> list[list[str]]:
    """A recorded plan's shipped bytes, largest first: each tensor, the rest of the file, the tokenizer; the sum."""
    tensors, total = plan["tensors"][target], plan["candidates"][0]["bytes"][target]
    parts = byte_parts(tensors, plan["tokenizer_bytes"], total)
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return [[name, f"{size:,}", f"{size / total:.1%}"] for name, size in [*ordered, ("(shipped)", total)]]
