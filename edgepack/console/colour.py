"""Colour of what passed, failed or is undecided, where a person reads it.

On a terminal, unless `NO_COLOR` is set (no-color.org), `CLICOLOR` is 0 or `TERM` is dumb; `FORCE_COLOR` and
`CLICOLOR_FORCE` ask for it anywhere, as CI systems do whose pages show colours. `NO_COLOR` has precedence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TextIO

import click

COLOURS = {
    "passed": "green",
    "ok": "green",
    "failed": "red",
    "missing": "red",
    "undecided": "yellow",
    "not run": "yellow",
}
# where a cell begins: at the line's start, behind two spaces or behind another status of the same cell
STATUS = re.compile(r"(?P<before>^ *|  |; )(?P<word>passed|ok|failed|missing|undecided|not run)(?![\w-])", re.M | re.I)


def wants_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to write colours to this stream."""
    if environment.get("NO_COLOR"):
        return False
    if any(environment.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    if environment.get("CLICOLOR") == "0" or environment.get("TERM") == "dumb":
        return False
    return stream.isatty()


def coloured(text: str) -> str:
    """The text with its statuses in their colours: words that are a table's cell, or begin one."""

    def paint(match: re.Match[str]) -> str:
        word = match["word"]
        return match["before"] + click.style(word, fg=COLOURS[word.lower()], bold=word.isupper())

    return STATUS.sub(paint, text)
