"""What a release demands: limits, checks that must have run, checks that are waived. How each is checked is `gate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edgepack.bounded import read_toml
from edgepack.bundle.analysis import NonInferiority
from edgepack.bundle.verdict import CONFIDENCE, MAX_DROP, Check
from edgepack.errors import InputError, as_demand, did_you_mean, printable, shown

JUDGED = (  # of every bundle
    "files", "size", "evidence", "consistency", "tokenizer", "artifact", "retention", "parity", "finite", "goldens",
    "batches", "vocabulary",
)  # fmt: skip
ASKED_CHECKS = (  # where a key of the policy or a flag asks for them
    "agreement", "linear", "classes", "calibration", "robustness", "latency", "speedup", "load", "memory", "device",
    "student", "metric", "baseline", "targets", "signature",
)  # fmt: skip
GATE_CHECKS = (*JUDGED, *ASKED_CHECKS)
MOST_CONFIDENCE = 0.999999  # nearer to 1 an interval has no ends that can be computed
Limits = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)  # an infinite limit is none


def _as_date(value: Any) -> Any:
    """A day, also where a TOML file holds it as a string; no time of a day, and nothing else."""
    with suppress(ValueError):
        value = date.fromisoformat(value) if isinstance(value, str) else value
    if type(value) is not date:
        raise ValueError("it must be a day, such as 2026-12-31")
    return value


def _in_words(text: str) -> str:
    """Words that a person can read, as a line of output may hold them."""
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        raise ValueError("it must hold words")
    return printable(text)


class Waiver(BaseModel):
    """A check that may fail or be missing, why, and the last day on which it may."""

    model_config = Limits

    check: str
    reason: Annotated[str, AfterValidator(_in_words)]
    until: Annotated[date, BeforeValidator(_as_date)]


class Policy(BaseModel):
    """Limits and waivers; a key that is not here is an error. Absent limits are the bundle's own.

    A share of 1 allows everything, and is more often a percentage than meant: 0.05 is 5 %.
    """

    model_config = Limits

    max_drop: float | None = Field(default=None, ge=0, lt=1)  # margin of the retention test, of the teacher's metric
    confidence: float | None = Field(default=None, ge=0.5, le=MOST_CONFIDENCE)  # of that test's two-sided interval
    min_agreement: float | None = Field(default=None, ge=0, le=1)  # with the teacher's decisions
    min_gain_over_linear: float | None = Field(default=None, ge=-1, le=1)  # artifact's metric less the linear model's
    min_class_f1: float | None = Field(default=None, ge=0, le=1)  # of every label or entity type
    max_calibration_error: float | None = Field(default=None, ge=0, lt=1)
    max_flips: float | None = Field(default=None, ge=0, lt=1)  # share of texts, by a change that moves this model alone
    max_bytes: int | None = Field(default=None, gt=0)
    max_p50_ms: float | None = Field(default=None, gt=0)  # at latency_tokens; on the device reported, if any
    max_p95_ms: float | None = Field(default=None, gt=0)  # at latency_tokens, on the device reported
    latency_tokens: int = Field(default=32, gt=0)
    max_teacher_share: float | None = Field(default=None, gt=0)  # of the p50 of the int8 teacher, same run
    max_load_ms: float | None = Field(default=None, gt=0)
    max_peak_bytes: int | None = Field(default=None, gt=0)
    max_resident_bytes: int | None = Field(default=None, gt=0)  # once it is loaded, before the first run
    max_growth: float | None = Field(default=None, ge=0, lt=1)  # of bytes, times and memory, over the baseline's
    require: list[str] = Field(default_factory=list)  # must have run, waivers or not
    require_targets: list[str] = Field(default_factory=list)  # a bundle of each must be among those given
    require_signature: bool = False
    public_key: str | None = Field(default=None, min_length=1)  # PEM file, relative to the policy
    waive: list[str] = Field(default_factory=list)  # may fail or be missing
    waiver: list[Waiver] = Field(default_factory=list)  # the same with a reason and an end

    @property
    def required(self) -> set[str]:
        """Checks that must have run, by whatever key they are required."""
        keys = {"signature": self.require_signature, "targets": self.require_targets}
        return {*self.require, *(check for check, asked in keys.items() if asked)}

    def retention_test(self, found: NonInferiority | None = None) -> tuple[float, float]:
        """Margin and confidence: this policy's, else those that `found` was judged by, else the usual ones.

        `InputError` where `found` was judged by a margin or a confidence that cannot be.
        """
        if found and not (0 <= found.margin <= 1 and 0.5 <= found.confidence <= MOST_CONFIDENCE):
            raise InputError(
                f"the verdict's test has the margin {found.margin:g} and the confidence {found.confidence:g}; allowed: "
                f"0 to 1, and 0.5 to {MOST_CONFIDENCE}; run `edgepack validate` again"
            )
        margin, confidence = (found.margin, found.confidence) if found else (MAX_DROP, CONFIDENCE)
        return (
            margin if self.max_drop is None else self.max_drop,
            confidence if self.confidence is None else self.confidence,
        )

    def waived(self, today: date) -> Mapping[str, str]:
        """Checks that are waived today, each with what is to be said of it."""
        valid = {w.check: f"waived until {w.until}: {w.reason}" for w in self.waiver if w.until >= today}
        return {**dict.fromkeys(self.waive, "waived"), **valid}

    def expired(self, today: date) -> Mapping[str, str]:
        """Checks whose waiver has ended, each with what is to be said of it."""
        past = {w.check: f"its waiver ended on {w.until}" for w in self.waiver if w.until < today}
        return {check: said for check, said in past.items() if check not in self.waived(today)}


def read_policy(path: Path) -> Policy:
    """A policy from TOML; errors name the file and the key."""
    table = read_toml(path, f"{path}: policy")
    try:
        policy = Policy.model_validate(table)
    except ValidationError as e:
        first = next((found for found in e.errors() if found["type"] == "extra_forbidden"), e.errors()[0])
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: key {shown(key)} {_problem(first)}") from e
    named = {"waive": policy.waive, "require": policy.require, "waiver": [w.check for w in policy.waiver]}
    for key, checks in named.items():
        unknown = sorted(set(checks) - set(GATE_CHECKS))
        if unknown:
            raise InputError(f"{path}: key {key!r} names {shown(unknown[0])}; checks are: {', '.join(GATE_CHECKS)}")
    both = sorted({*policy.waive, *named["waiver"]} & policy.required)
    if both:
        raise InputError(f"{path}: {both[0]!r} is both required and waived; remove one")
    return policy


def _problem(found: Any) -> str:
    """What is wrong with a key, by pydantic's first finding, and what is allowed."""
    *table, name = map(str, found["loc"])
    if found["type"] == "missing":
        return "is missing; give it"
    if found["type"] == "extra_forbidden":
        allowed = list(Waiver.model_fields if table else Policy.model_fields)
        return f"is unknown; allowed keys: {', '.join(allowed)}{did_you_mean(name, allowed)}"
    problem = as_demand(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "list_type":
        example = "write [[waiver]], in two brackets" if name == "waiver" else 'such as ["parity"]'
        problem = f"it must be a list{':' if name == 'waiver' else ','} {example}"
    return f"is {shown(found['input'])}; {problem[0].lower()}{problem[1:]}"


def with_waivers(checks: Sequence[Check], policy: Policy, today: date) -> list[Check]:
    """The checks, with what a dated waiver says of those that did not pass, and whether it has ended."""
    said = {**policy.waived(today), **policy.expired(today)}
    return [
        check
        if check.status == "passed" or said.get(check.name, "waived") == "waived"
        else check.model_copy(update={"reason": f"{check.reason} ({said[check.name]})"})
        for check in checks
    ]
