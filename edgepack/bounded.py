"""Files of others, read within bounds: a size before the first byte, no pipe or device, no nesting without end.

Each reader names its own limit, far above what an honest file has. What is beyond is an `InputError` of one line, and
so is a value of another type than asked for: `Place` says where it stands.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepack.errors import InputError, as_demand, first_line, shown

if TYPE_CHECKING:
    from pydantic import BaseModel

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".aar")  # what is to be unpacked first
MOST_VALUES = 4_000_000  # of JSON: each takes 60 bytes and more in memory, most of them twice
LARGEST_TOML = 256 << 10  # bytes; a policy has a few hundred
MOST_DOTS = 100  # in one line of TOML: a key of n parts takes time and memory that grow with n²


def read_file(path: Path, limit: int, what: str) -> bytes:
    """All bytes of a regular file that has at most `limit`; every `InputError` begins with `what`."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{what}: is no regular file; give a file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as e:
        raise InputError(f"{what}: cannot be read: {e.strerror}") from e
    if len(data) > limit:
        raise InputError(f"{what}: is larger than {limit:,} bytes, the most that is read here")
    return data


def check_count(data: bytes) -> None:
    """`ValueError` for JSON of more values than a bundle needs: an empty list has two bytes, and 56 in memory."""
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > MOST_VALUES:
        raise ValueError(f"it holds about {values:,} values; at most {MOST_VALUES:,} are read")


def parse_json(data: bytes, constants: bool = False) -> Any:
    """What JSON in UTF-8 holds; `ValueError`, in one line, where two readers could take it for two things.

    So a key that stands twice in an object, a byte order mark and another encoding are refused; NaN and Infinity,
    which JSON does not have, unless `constants` are allowed; and more than `MOST_VALUES`.
    """
    check_count(data)
    try:
        text = data.decode()
        if text.startswith("\ufeff"):
            raise ValueError("it begins with a byte order mark")
        refuse = None if constants else _no_constant
        return json.loads(text, object_pairs_hook=_unique, parse_constant=refuse)
    except RecursionError as e:
        raise ValueError("its values are nested too deep") from e
    except ValueError as e:  # JSONDecodeError and UnicodeDecodeError are ones
        raise ValueError(first_line(e)) from e


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these pairs; `ValueError` for a key that stands in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return found


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The table in a TOML file; every `InputError` begins with `what`. A byte order mark and CR LF do not matter."""
    try:
        text = read_file(path, LARGEST_TOML, what).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as e:
        raise InputError(f"{what} is not UTF-8 (byte {e.start}); save it as UTF-8") from e
    try:
        return parse_toml(text)
    except ValueError as e:
        raise InputError(f"{what} does not read: {e}") from e


def parse_toml(text: str) -> dict[str, Any]:
    """The table in a TOML text; `ValueError`, in one line, where it does not read."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_DOTS:
            raise ValueError(f"line {number} has {line.count('.'):,} dots; at most {MOST_DOTS}")
    try:
        return tomllib.loads(text)
    except RecursionError as e:
        raise ValueError("its values are nested too deep") from e
    except ValueError as e:  # TOMLDecodeError is one; so is what an integer of 5,000 digits raises
        raise ValueError(first_line(e)) from e


@dataclass(frozen=True)
class Place:
    """Where a value stands, for messages: the file and the key."""

    file: str
    key: str = ""

    def inside(self, key: str | int) -> Place:
        """A key of the table, or a number of the list, that stands here."""
        if isinstance(key, int):
            return Place(self.file, f"{self.key}[{key}]")
        return Place(self.file, f"{self.key}.{key}" if self.key else key)

    def error(self, problem: str) -> InputError:
        """`FILE: KEY PROBLEM`."""
        return InputError(f"{self.file}: {self.key} {problem}" if self.key else f"{self.file}: {problem}")


@cache
def _model(hint: Any) -> type[BaseModel]:
    """A model of one value, which takes no value for another type's; inf and nan are none."""
    from pydantic import ConfigDict, create_model  # here: targets are read before anything is worth its import

    return create_model("Value", __config__=ConfigDict(strict=True, allow_inf_nan=False), value=(hint, ...))


def read_plain(hint: Any, value: Any, place: Place) -> Any:
    """A number, a text, a choice or a list of such."""
    from pydantic import ValidationError

    try:
        # as JSON, where a list may stand for a tuple and a whole number for a number, and nothing else for anything
        return _model(hint).model_validate_json(json.dumps({"value": value}, default=str)).value  # type: ignore[attr-defined]
    except ValidationError as e:
        first = e.errors()[0]
        for part in first["loc"][1:]:
            place = place.inside(part)
        problem = as_demand(first["msg"])
        raise place.error(f"is {shown(first['input'])}; {problem[0].lower()}{problem[1:]}") from e


class ByteReader:
    """Takes bytes and numbers off the front of what a file holds; `ValueError` or `IndexError` behind its end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self.data) - self.at:
            raise ValueError(f"{count} bytes are taken from a stream that has {len(self.data) - self.at} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.data[self.at - 1]

    def varint(self, longest: int) -> int:
        """The next number in LEB128, of at most `longest` bytes."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift >= 7 * longest:
                raise ValueError(f"a number of more than {longest} bytes")
