"""What the gate answers: the checks of each bundle, as one JSON object and as lines for a person.

The JSON is described by `docs/schemas/gate.json`, which is made from the records here. Files for other programs are
written by `junit.py` and `markdown.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgepack.bundle.verdict import Check
from edgepack.errors import printable


class CheckRecord(BaseModel):
    """One check of `edgepack gate --json`; `limit` is the limit of `value`, `seconds` what it took."""

    model_config = ConfigDict(extra="forbid")

    name: str
    status: Literal["passed", "failed", "not_run", "undecided"]
    value: float | str | None
    limit: float | str | None
    reason: str
    waived: bool
    seconds: float | None


class BundleRecord(BaseModel):
    """One bundle of `edgepack gate --json`; `passed`: every check passed or is waived."""

    model_config = ConfigDict(extra="forbid")

    bundle: str
    passed: bool
    checks: list[CheckRecord]


class GateRecord(BaseModel):
    """The answer of `edgepack gate --json`: exit code 0 where `passed`, else 1. Other exit codes print no JSON."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    passed: bool
    bundles: list[BundleRecord]


@dataclass(frozen=True)
class BundleResult:
    """The checks of one bundle; `seconds` by check, where it was timed."""

    folder: Path
    checks: tuple[Check, ...]
    waived: frozenset[str]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Check, ...]:
        """Checks that did not pass and are not waived."""
        return tuple(c for c in self.checks if c.status != "passed" and c.name not in self.waived)

    @property
    def record(self) -> BundleRecord:
        """The bundle's part of `--json`."""
        checks = [
            CheckRecord(
                name=c.name,
                status=c.status,
                value=_in_json(c.value),
                limit=_in_json(c.limit),
                reason=c.reason,
                waived=c.name in self.waived,
                seconds=self.seconds.get(c.name),
            )
            for c in self.checks
        ]
        return BundleRecord(bundle=str(self.folder), passed=not self.failures, checks=checks)


def _in_json(value: float | str | None) -> float | str | None:
    """A figure as JSON can hold it, which has no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class GateResult:
    """The gate's answer."""

    bundles: tuple[BundleResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every bundle passed."""
        return not any(bundle.failures for bundle in self.bundles)

    def to_record(self) -> dict[str, Any]:
        """The answer as `--json` prints it."""
        record = GateRecord(passed=self.passed, bundles=[bundle.record for bundle in self.bundles])
        return record.model_dump(mode="json", by_alias=True)

    def table(self) -> str:
        """Lines for a person."""
        lines = []
        for bundle in self.bundles:
            lines.append(f"{'PASSED' if not bundle.failures else 'FAILED'}  {printable(str(bundle.folder))}")
            width = max((len(check.name) for check in bundle.checks), default=0)
            for check in bundle.checks:
                note = " (waived)" if check.name in bundle.waived and check.status != "passed" else ""
                lines.append(f"  {check.name:<{width}} {check.status.replace('_', ' '):<9}{note} {check.reason}")
        return "\n".join(lines)
