"""How sizes, drops, times and options are written: on a command line, and as keywords of a call from Python.

Sizes are decimal unless the unit says otherwise: `4MB` = 4,000,000 bytes, `4MiB` = 4,194,304. A drop is a
share of the teacher's metric: `2%` or `0.02`. `2` alone is refused, since it could mean either.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import click

from edgepack.errors import InputError, as_demand, did_you_mean, shown

AnyPath = str | os.PathLike[str]

LEAST_BYTES = 1_000
MOST_SEED = 2**63 - 1  # random number generators take no larger one
Parsed = TypeVar("Parsed")
UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
SIZE_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)
LATENCY_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*ms\s*@\s*(\d{1,4})", re.ASCII)
PERCENT_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes of a model as written by a person; `ValueError` with the reason and what is allowed."""
    return _parse_at_least(text, "less than any model has", "MB", "4MB")


def parse_disk(text: str) -> int:
    """Bytes of disk as written by a person; `ValueError` with the reason and what is allowed."""
    return _parse_at_least(text, "too few for any teacher's outputs", "GB", "2GB")


def _parse_at_least(text: str, what: str, unit: str, example: str) -> int:
    """An amount of `LEAST_BYTES` or more; of a smaller one `what` it is, and the number in this unit or an example."""
    size_bytes = parse_amount(text)
    if size_bytes < LEAST_BYTES:
        meant = f"{text.strip()}{unit}" if size_bytes and text.strip()[-1].isdigit() else example
        raise ValueError(f"{text!r} is {size_bytes:,} bytes, {what}; did you mean {meant}?")
    return size_bytes


def parse_amount(text: str) -> int:
    """Bytes of any size as written by a person; `ValueError` with the reason and what is allowed."""
    match = SIZE_PATTERN.fullmatch(text.strip().lower())
    if match is None or match[2] not in UNITS:
        raise ValueError(f"{text!r} is not a size; write 4MB, 4MiB, 500kB or a number of bytes")
    return int(Decimal(match[1]) * UNITS[match[2]])


def format_size(size_bytes: int) -> str:
    """A number of bytes for a person, in the largest unit of which it has one."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} bytes"


def format_duration(seconds: float) -> str:
    """A time for a person: `0.2 s`, `3 min 20 s`, `1 h 4 min`."""
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "less than 0.1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def parse_share(text: str) -> float:
    """A share in 0 … 1 from `2%` or `0.02`; `ValueError` with the reason and what is allowed."""
    match = PERCENT_PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a share; write 2% or 0.02")
    share = Decimal(match[1]) / (100 if match[2] else 1)
    if share >= 1:
        raise ValueError(f"{text!r} is {share * 100:g}%; write a share below 100%, as 2% or 0.02")
    return float(share)


@dataclass(frozen=True)
class LatencyLimit:
    """The longest median time of one text that is allowed, at a count of tokens, one thread."""

    ms: float
    tokens: int

    def __str__(self) -> str:
        return f"{self.ms:g}ms@{self.tokens}"


def parse_latency(text: str) -> LatencyLimit:
    """A limit from `2ms@32`; `ValueError` with the reason and what is allowed."""
    match = LATENCY_PATTERN.fullmatch(text.strip().lower())
    if match is None or not float(match[1]) or not int(match[2]):
        raise ValueError(f"{text!r} is not a time at a count of tokens; write 2ms@32, for 2 ms at 32 tokens")
    return LatencyLimit(float(match[1]), int(match[2]))


def as_latency(name: str, value: str) -> LatencyLimit:
    """A limit as a person writes it; `InputError` names the keyword."""
    return _parsed(parse_latency, name, value)


def as_size(name: str, value: int | float | str) -> int:
    """Bytes, as a number or as a person writes them; `InputError` names the keyword."""
    return _parsed(parse_size, name, str(value))


def as_disk(name: str, value: int | float | str) -> int:
    """Bytes of disk, as a number or as a person writes them; `InputError` names the keyword."""
    return _parsed(parse_disk, name, str(value))


def as_share(name: str, value: float | str) -> float:
    """A share, as a number or as a person writes it; `InputError` names the keyword."""
    text = f"{value:.12f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return _parsed(parse_share, name, text)


def _parsed(parse: Callable[[str], Parsed], name: str, text: str) -> Parsed:
    """What a keyword's text stands for."""
    try:
        return parse(text)
    except ValueError as e:
        raise InputError(f"{name}: {e}") from e


def as_path(name: str, value: AnyPath) -> Path:
    """A path; `InputError` for what is none."""
    return Path(as_text(name, value))


def located(key: str, value: str, file: Path, path_like: bool) -> str:
    """A path that stands in `file`, relative to it, as seen from here; what is no path, as the id of a hub, as it is.

    `path_like`: it can be nothing but a path. `InputError` for one that is relative to the working folder instead.
    """
    here = os.path.expanduser(value)
    beside = os.path.normpath(file.parent / here)
    if path_like or os.path.exists(beside):
        return beside
    if key != "labels" and os.path.exists(here):
        raise InputError(
            f"{file}: {key} is {shown(value)}, which is not in {file.parent}; paths are relative to the file"
        )
    return value


def as_text(name: str, value: AnyPath) -> str:
    """A path or the id of something on a hub, as a string; `InputError` for what is neither."""
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise InputError(f"{name} is {shown(value)}; give a path, as a string or a pathlib.Path")
    return os.fspath(value)


def as_count(name: str, value: int, most: int) -> int:
    """A whole number from 1 to `most`; `InputError` for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InputError(f"{name} is {shown(value)}; allowed: whole numbers from 1 to {most:,}")
    return value


def as_texts(name: str, values: Sequence[str]) -> list[str]:
    """A list, a tuple or an array of texts, in order; `InputError` for what is none, and where there is no text."""
    ordered = not isinstance(values, str | bytes | Mapping | Set) and isinstance(values, Iterable)
    texts = list(values) if ordered else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{name} are {shown(values)}; a list of one text or more is needed")
    return texts


def as_list(value: Any) -> tuple[Any, ...]:
    """One value, or several, as a tuple; for keywords that the command line takes more than once."""
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | os.PathLike) else (value,)


def check_options(call: Callable[..., Any], kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The rest of a call's `options` as the TypedDict `kind` says.

    `InputError` for a keyword that neither has, or a value of another type.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

    allowed = [name for name, own in signature(call).parameters.items() if own.kind is not own.VAR_KEYWORD]
    allowed += [name for name in kind.__annotations__ if name not in allowed]
    for name in options:
        if name not in kind.__annotations__:
            hint = did_you_mean(name, allowed)
            raise InputError(f"{call.__name__} has no option {shown(name)}; allowed: {', '.join(allowed)}{hint}")
    try:
        adapter = TypeAdapter[dict[str, Any]](with_config(ConfigDict(strict=True))(kind))
        return {name: value for name, value in adapter.validate_python(options).items() if value is not None}
    except ValidationError as e:
        first = e.errors()[0]
        value = shown(options[str(first["loc"][0])])
        raise InputError(f"{call.__name__}: {first['loc'][0]} is {value}; {as_demand(first['msg'])}") from e


class Written(click.ParamType):
    """A value that a person writes as text; one that is no text is parsed already."""

    parse: Callable[[str], Any]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as e:
            self.fail(str(e), param, ctx)


class Size(Written):
    """A size in bytes."""

    name, parse = "size", staticmethod(parse_size)


class Disk(Size):
    """A size in bytes of what lies on a disk for a while."""

    parse = staticmethod(parse_disk)


class Latency(Written):
    """A median time at a count of tokens."""

    name, parse = "latency", staticmethod(parse_latency)


class Share(Written):
    """A share of the teacher's metric."""

    name, parse = "share", staticmethod(parse_share)
