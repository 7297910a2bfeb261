"""What a release demands: limits, checks that must have run, checks that are waived. How each is checked is `gate`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgepack.errors import InputError

JUDGED = ("files", "size", "retention", "parity", "finite", "goldens")
GATE_CHECKS = (*JUDGED, "agreement", "latency", "metric", "signature")


class Policy(BaseModel):
    """Limits and waivers; a key that is not here is an error. Absent limits are the bundle's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_drop: float | None = Field(default=None, ge=0, le=1)  # of the teacher's metric
    min_agreement: float | None = Field(default=None, ge=0, le=1)  # with the teacher's decisions
    max_bytes: int | None = Field(default=None, gt=0)
    max_p50_ms: float | None = Field(default=None, gt=0)  # on the machine that validated, at latency_tokens
    latency_tokens: int = Field(default=32, gt=0)
    require_signature: bool = False
    public_key: str | None = None  # PEM file, relative to the policy
    require: list[str] = Field(default_factory=list)  # must have run, waivers or not
    waive: list[str] = Field(default_factory=list)


def read_policy(path: Path) -> Policy:
    """A policy from TOML; errors name the file and the key."""
    try:
        policy = Policy.model_validate(tomllib.loads(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")))
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: policy is not UTF-8 (byte {e.start}); save it as UTF-8") from e
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise InputError(f"{path}: policy does not read: {e}; see docs/gate.md") from e
    except ValidationError as e:
        first = e.errors()[0]
        key = ".".join(map(str, first["loc"]))
        allowed = ", ".join(Policy.model_fields)
        raise InputError(f"{path}: key {key!r}: {first['msg']}; allowed keys: {allowed}") from e
    for key in ("waive", "require"):
        unknown = sorted(set(getattr(policy, key)) - set(GATE_CHECKS))
        if unknown:
            raise InputError(f"{path}: key {key!r} names {unknown[0]!r}; checks are: {', '.join(GATE_CHECKS)}")
    both = sorted(set(policy.waive) & set(policy.require))
    if both:
        raise InputError(f"{path}: {both[0]!r} is both required and waived; remove one")
    return policy
