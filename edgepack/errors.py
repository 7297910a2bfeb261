"""What can go wrong, and the exit code each kind of failure ends with.

Every error that a user can cause is an `EdgepackError` whose message is one line: what, the actual
value, what is allowed, what to do next. The command line prints that line and exits with
`exit_code`; anything else that escapes is a defect of edgepack and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
import re
import reprlib
from collections.abc import Iterable
from typing import Any, ClassVar

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, a quota, a file


class EdgepackError(Exception):
    """Base of all errors that end a command with one line and a documented exit code."""

    exit_code: ClassVar[int] = 2


class InputError(EdgepackError):
    """Misuse or bad input: a flag, a file, a teacher, a budget. Exit code 2."""

    exit_code: ClassVar[int] = 2


class CheckFailed(EdgepackError):
    """A check failed: budget, parity or gate. Exit code 1."""

    exit_code: ClassVar[int] = 1


class NotRunHere(EdgepackError):
    """A runtime that this system does not have at all. What it would have checked was not run. Exit code 3."""

    exit_code: ClassVar[int] = 3


class DiskFull(EdgepackError):
    """A disk has no room for what is to be written. What was there before is untouched. Exit code 3."""

    exit_code: ClassVar[int] = 3


class OutOfMemory(EdgepackError):
    """The system gives this process no more memory. Exit code 3."""

    exit_code: ClassVar[int] = 3


class MissingDependency(EdgepackError):
    """The environment lacks something; the message holds the line that installs it. Exit code 3."""

    exit_code: ClassVar[int] = 3


def printable(text: str) -> str:
    """`text` with what a terminal would act upon, or not show, as the escapes of Python's `repr`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def first_line(error: BaseException) -> str:
    """The first line of another library's error, as a message of ours may hold it; "" where it says nothing.

    Where it only announces what is wrong, with a colon at its end, the next one too.
    """
    lines = [line.strip() for line in str(error).strip().splitlines()]
    return bare(" ".join(lines[: 2 if lines[0].endswith(":") else 1]), 200) if lines else ""


def as_demand(problem: str) -> str:
    """What pydantic asks of a value, as a message of ours says it: `it must be …`."""
    return re.sub(r"^Input should", "it must", problem)


def reason(error: BaseException) -> str:
    """`first_line`, or the error's type where it says nothing."""
    return first_line(error) or type(error).__name__


def one_line(error: BaseException) -> str:
    """The error's type and `first_line`."""
    return ": ".join(filter(None, (type(error).__name__, first_line(error))))


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """`; did you mean 'X'?` for the closest of `known`; "" where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


def bare(text: str, limit: int = 80) -> str:
    """`shown` without the quotes, for names and the words of others."""
    return shown(text, limit)[1:-1]


def shown(value: Any, limit: int = 80) -> str:
    """`value` as an error message may hold it: quoted, on one line, nothing invisible in it, at most `limit` long.

    Control, bidirectional and other unprintable characters are escaped as in Python's `repr`, so that nothing a file
    contains can forge a line of output; the middle of what is too long is left out.
    """
    if not isinstance(value, str):
        bounded = reprlib.Repr()
        bounded.maxstring = bounded.maxother = bounded.maxlong = limit
        try:
            text = bounded.repr(value)
        except (ValueError, RecursionError):  # an integer of more digits than Python prints, a value without end
            return f"<{type(value).__name__}>"
        text = text if text.isprintable() else repr(" ".join(text.split()))[1:-1]  # a data frame has lines
        return text if len(text) <= limit else f"{text[: limit - limit // 3 - 1]}…{text[-(limit // 3) :]}"
    text, kept = repr(value) if len(value) <= limit else "", limit
    while not text or (len(text) > limit and kept > 3):  # an escape is longer than what it stands for
        kept -= max(1, (len(text) - limit) // 10)
        text = repr(f"{value[: kept - kept // 3]}…{value[len(value) - kept // 3 :]}")
    return text
