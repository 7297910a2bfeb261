"""Where the bytes of a recorded plan go. It reads the record alone, so a report needs no model and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def byte_rows(plan: Mapping[str, Any], target: str) -> list[list[str]]:
    """A recorded plan's shipped bytes, largest first: each tensor, the rest of the file, the tokenizer; the sum."""
    tensors, total = plan["tensors"][target], plan["candidates"][0]["bytes"][target]
    tokenizer = plan["tokenizer_bytes"]
    parts = {**tensors, "(structure)": total - sum(tensors.values()) - tokenizer, "(tokenizer)": tokenizer}
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return [[name, f"{size:,}", f"{size / total:.1%}"] for name, size in [*ordered, ("(shipped)", total)]]
