"""The steps of a normalizer as data: what a tokenizer.json of byte-level BPE or Unigram asks for before it splits.

Each step is a table over code points, asked of the library's own normalizer, so that a device needs no Unicode of its
own; `letters.py` does them. A step that is not listed here is refused by name (`why_not`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenizers import Regex, normalizers

from edgepack.errors import bare, shown
from edgepack.tokenizer.asset_parts import flat_steps, whole_points
from edgepack.tokenizer.charsmap import CharacterMap, describe_charsmap, read_keys
from edgepack.tokenizer.hangul import HANGUL
from edgepack.tokenizer.unicode_tables import OTHER_SEPARATOR, ask, mark_ranks, split_classes, unsettled

FORMS = {"NFC": "NFD", "NFKC": "NFKD", "NFD": "NFD", "NFKD": "NFKD"}  # with what each decomposes
MAPPINGS = {"Lowercase": normalizers.Lowercase, "StripAccents": normalizers.StripAccents}
PATTERN = re.compile(r"(?P<run> |\\s)(?:\+|\{(?P<least>\d{1,3}),\})(?:\|\[(?P<single>(?:\\[nrt]|[ \w])+)\])?")
ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t"}


@dataclass(frozen=True)
class Decompose:
    """NFD or NFKD, and with `compositions` the composition after it, so that it is NFC or NFKC.

    Hangul is decomposed and composed by arithmetic and stands in no table.
    """

    folds: dict[int, tuple[int, ...]]
    ranks: dict[int, int]  # of marks, by which each run of them is sorted
    compositions: dict[tuple[int, int], int] | None


@dataclass(frozen=True)
class Map:
    """Each code point becomes others, or none: lower case, accents stripped."""

    folds: dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Replace:
    """One string for another, wherever it stands."""

    found: str
    content: str


@dataclass(frozen=True)
class ReplaceRuns:
    """One string for each run of at least `least` of `points`, and for each of `single` outside one."""

    points: frozenset[int]
    least: int
    single: frozenset[int]
    content: str


@dataclass(frozen=True)
class Strip:
    """Spaces at either end go."""

    left: bool
    right: bool
    spaces: frozenset[int]


Step = Decompose | Map | CharacterMap | Replace | ReplaceRuns | Strip


def why_not(normalizer: dict[str, Any] | None) -> str | None:
    """What of this normalizer cannot be said; None where there is nothing."""
    for step in flat_steps(normalizer, "normalizers"):
        kind = step["type"]
        if kind in FORMS or kind in MAPPINGS or kind == "Strip":
            continue
        if kind == "Precompiled":
            try:
                read_keys(step["precompiled_charsmap"])
            except ValueError as e:
                return f"its Precompiled normalizer {bare(str(e), 200)}"
        elif kind != "Replace":
            return f"its normalizer has the step {kind}"
        elif "Regex" in step["pattern"] and not PATTERN.fullmatch(step["pattern"]["Regex"]):
            return f"its normalizer replaces the pattern {shown(step['pattern']['Regex'])}"
        elif step["pattern"].get("String") == "":
            return "its normalizer replaces an empty string"
    return None


def describe_steps(normalizer: dict[str, Any] | None) -> tuple[Step, ...]:
    """The steps with their tables, of a normalizer that `why_not` has nothing against."""
    return tuple(_step(step) for step in flat_steps(normalizer, "normalizers"))


def _step(step: dict[str, Any]) -> Step:
    kind = step["type"]
    if kind in FORMS:
        return _decompose(kind)
    if kind in MAPPINGS:
        return _map(kind)
    if kind == "Strip":
        return Strip(step["strip_left"], step["strip_right"], white_space())
    if kind == "Precompiled":
        return describe_charsmap(step["precompiled_charsmap"])
    if "String" in step["pattern"]:
        return Replace(step["pattern"]["String"], step["content"])
    match = PATTERN.fullmatch(step["pattern"]["Regex"])
    assert match is not None
    single = re.findall(r"\\[nrt]|.", match["single"] or "")
    return ReplaceRuns(
        frozenset((ord(" "),)) if match["run"] == " " else _matched(r"\s"),
        int(match["least"] or 1),
        frozenset(ord(ESCAPES.get(char, char)) for char in single),
        step["content"],
    )


@cache
def _decompose(form: str) -> Decompose:
    points, decompose = whole_points(), getattr(normalizers, FORMS[form])().normalize_str
    parts = ask(decompose, unsettled(decompose, points), separator=OTHER_SEPARATOR)
    folds = {p: tuple(map(ord, text)) for p, text in parts.items() if p not in HANGUL}
    compositions = _compositions(folds) if form in ("NFC", "NFKC") else None
    return Decompose(folds, mark_ranks(points), compositions)


def _compositions(folds: dict[int, tuple[int, ...]]) -> dict[tuple[int, int], int]:
    """Pairs that NFC makes one code point of: of each that stays itself, its last part and all before."""
    nfc, nfd = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
    found = {}
    for point in folds:
        parts = nfd(chr(point))
        if len(parts) > 1 and nfc(chr(point)) == chr(point):
            first = nfc(parts[:-1])
            assert nfc(first + parts[-1]) == chr(point), hex(point)
            found[ord(first), ord(parts[-1])] = point
    return found


@cache
def _map(kind: str) -> Map:
    normalize = MAPPINGS[kind]().normalize_str
    return Map({p: tuple(map(ord, text)) for p, text in ask(normalize, unsettled(normalize, whole_points())).items()})


@cache
def _matched(pattern: str) -> frozenset[int]:
    return frozenset(ask(normalizers.Replace(Regex(pattern), "").normalize_str, whole_points()))


@cache
def white_space() -> frozenset[int]:
    """What Strip takes off, and what words are split at."""
    return split_classes(whole_points())[0]
