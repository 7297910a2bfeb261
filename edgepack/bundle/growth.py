"""What an app really grows by: model, tokenizer and the runtime that opens the model.

Shipped bytes count the first two, since the budget is on what edgepack makes. The runtime is often four times as much.
Its size comes from `runtime_sizes.toml`, which was measured in the vendors' packages; where these could not be had, the
line says that it is not known, and what the nearest package has.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgepack.parameters import format_size
from edgepack.target import Target

TABLE = Path(__file__).with_name("runtime_sizes.toml")


class RuntimeSize(BaseModel):
    """The measured size of a runtime's library; `same`: an app ships these very files, else a package for `system`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    runtimes: tuple[str, ...]
    library: str
    version: str
    system: str
    same: bool
    registry: Literal["pypi", "npm", "system"]  # `system`: part of it, so that an app ships nothing
    package: str = ""
    platform: str = ""
    files: tuple[str, ...] = ()
    bytes: int = Field(ge=0)
    gzip_bytes: int = Field(ge=0)
    date: date

    @property
    def measured(self) -> str:
        """Both sizes in words."""
        return f"{format_size(self.bytes)}, {format_size(self.gzip_bytes)} with gzip"


@cache
def load_sizes() -> tuple[RuntimeSize, ...]:
    """All entries, in the table's order."""
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))["sizes"]
    return tuple(RuntimeSize.model_validate(entry) for entry in entries)


@dataclass(frozen=True)
class Growth:
    """What one app grows by; `what` says in words which files `own_bytes` are, `size` is None where nobody measured."""

    own_bytes: int
    what: str
    runtime: str
    size: RuntimeSize | None

    @property
    def runtime_bytes(self) -> int | None:
        """What the runtime adds; None where it is not known."""
        return self.size.bytes if self.size is not None and self.size.same else None

    def describe(self) -> str:
        """One line."""
        own = f"an app grows by {format_size(self.own_bytes)} of {self.what}"
        size = self.size
        if size is None:
            return f"{own} and by the runtime, {self.runtime}, whose size is not known here"
        if size.registry == "system":
            return f"{own}; the runtime is part of {size.system}"
        named = f"{size.library} {size.version}"
        if size.same:
            return f"{own} and by the runtime, {named}: {size.measured}"
        return (
            f"{own} and by the runtime, {named}, whose size is not known here (the same version's library for "
            f"{size.system}: {size.measured})"
        )

    def to_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {"own_bytes": self.own_bytes, "runtime_bytes": self.runtime_bytes, "described": self.describe()}


def growth_of(target: Target, shipped_bytes: int) -> Growth:
    """What an app for the target's device grows by with a bundle of so many shipped bytes."""
    return growth(target.device, target.runtime, shipped_bytes)


def growth(device: str, runtime: str, own_bytes: int, what: str = "model and tokenizer") -> Growth:
    """What an app for `device` (`android`, `ios`, `web`, `linux`) grows by that opens the model in `runtime`."""
    found = (size for size in load_sizes() if size.device == device and runtime in size.runtimes)
    return Growth(own_bytes, what, runtime, next(found, None))
