"""Tagging schemes, as far as single tags and sets of labels show them.

IOB2 ("BIO"): an entity begins with B-, goes on with I-. IOB1 (Ramshaw and Marcus 1995): it begins with I-, with B-
only where another of its type stands right before. IOBES and BILOU (Ratinov and Roth 2009): its last word is E- or
L-, one of a single word S- or U-. IO: I- alone, or the types without a prefix; neighbours of one type run together.
Prefix and type are joined by a hyphen or an underscore. Peculiar files have M- for I-, as in BMES.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

PREFIXED = re.compile(r"([BIESULM])(?:[-_](.+))?|([biesulm])[-_](.+)")
Parsed = tuple[str, str]  # prefix (O, B, I, …; empty for a type without one) and type


def parse_tag(tag: str) -> Parsed | None:
    """Prefix and type of a tag; None where it has no prefix of a scheme."""
    tag = tag.strip()
    if tag in ("O", "o"):
        return "O", ""
    found = PREFIXED.fullmatch(tag)
    if found is None:
        return None
    return (found[1] or found[3]).upper(), (found[2] or found[4] or "").strip()


def scheme_of_labels(labels: Sequence[str]) -> str:
    """The scheme that a set of labels shows: IOBES, BILOU, BIO, IO, or nothing known."""
    parsed = [parse_tag(label) for label in labels]
    prefixes = {p[0] for p in parsed if p} - {"O"}
    if None in parsed or not prefixes:
        return "IO without prefixes" if "O" in labels else ""
    return scheme_of_prefixes(prefixes)


def scheme_of_prefixes(prefixes: AbstractSet[str]) -> str:
    """The scheme that a set of prefixes shows."""
    if prefixes & set("LU"):
        return "BILOU"
    if prefixes & set("ESM"):
        return "IOBES"
    return "BIO" if "B" in prefixes else "IO"
