"""Globs of `java.nio`, matched in time that grows with pattern and path only.

`**` crosses folders, `*` and `?` do not; `[a-z]` and `[!a]` are sets, `{a,b}` alternatives. A regular expression would
try the stars one inside another: twenty-five of them take longer than anybody waits. So all places that the pattern
may have reached are kept at once, as in Thompson 1968 ("Regular Expression Search Algorithm"). A range that ends
before it begins holds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

PARTS = re.compile(r"\*\*|\*|\?|\[[^\]]+\]|\{[^}]*\}|.", re.DOTALL)
RANGE = re.compile(r"(.)-(.)|(.)", re.DOTALL)
Places = set[int]


def matches(glob: str, path: str) -> bool:
    """Whether the glob fits the whole path."""
    return len(path) in _reached(glob, path, {0})


def _reached(glob: str, path: str, places: Places) -> Places:
    """Where in the path a match of the whole glob can end that begins at one of `places`."""
    for part in PARTS.findall(glob):
        if not places:
            break
        if part == "**":
            places = set(range(min(places), len(path) + 1))
        elif part == "*":
            places = _in_folder(path, places)
        elif part[0] == "{" and len(part) > 1:
            places = set[int]().union(*(_reached(choice, path, places) for choice in part[1:-1].split(",")))
        else:
            places = {place + 1 for place in places if place < len(path) and _fits(part, path[place])}
    return places


def _in_folder(path: str, places: Places) -> Places:
    """All places up to the next slash from each of `places`."""
    reached: Places = set()
    for place in sorted(places):
        while place not in reached:
            reached.add(place)
            if place == len(path) or path[place] == "/":
                break
            place += 1
    return reached


def _fits(part: str, character: str) -> bool:
    if part == "?":
        return character != "/"
    if part[0] != "[" or len(part) == 1:
        return part == character
    negated, inner = part[1] == "!", part[1:-1].removeprefix("!")
    found = any(_in_range(character, *range_) for range_ in RANGE.findall(inner))
    return found != negated and character != "/"


def _in_range(character: str, low: str, high: str, alone: str) -> bool:
    return character == alone if alone else low <= character <= high


def work(globs: Iterable[str], paths: Iterable[str]) -> int:
    """The most steps that it can take to match every glob with every path."""
    return sum(map(len, globs)) * sum(map(len, paths))
