"""Tagging schemes: what a tag says of its word, which scheme labels show, and how an entity is written in one.

BIO (IOB2): an entity begins with B-, continues with I-. IOB1 (Ramshaw and Marcus 1995): it begins with I-, with B-
only where another of its type stands right before. IOBES and BILOU (Ratinov and Roth 2009): its last word is E- or
L-, one of a single word S- or U-. IO: I- alone; `types`: the types without a prefix; neighbours of one type run
together in both. `plain`: a tag for each word, as parts of speech, and no entities. Prefix and type are joined by a
hyphen or an underscore. BMES, a way of IOBES, has M- for I-.

Entities are read from all of them by one rule, which is that of seqeval's default mode (`entity_f1.continued`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, get_args

from edgepack.errors import InputError, shown

SchemeName = Literal["BIO", "IOB1", "IO", "IOBES", "BILOU", "types", "plain"]
SCHEMES: tuple[SchemeName, ...] = get_args(SchemeName)
PREFIXED = re.compile(r"([BIESULM])(?:[-_](.+))?|([biesulm])[-_](.+)")
BEGINS, ENDS = (
    frozenset("BSU"),
    frozenset("ESLU"),
)  # prefixes of words that begin, and that end, an entity whatever stands around them
PREFIXES = {"BIO": "BI", "IOB1": "BI", "IO": "I", "IOBES": "BIES", "BILOU": "BILU"}  # in the order of made labels
Parsed = tuple[str, str]  # prefix (O, B, I, …; empty for a type without one) and type


@dataclass(frozen=True)
class Mark:
    """What a tag says of its word: the entity's type (None outside), whether it begins or ends one by itself."""

    kind: str | None
    begins: bool = False
    ends: bool = False


def parse_tag(tag: str) -> Parsed | None:
    """Prefix and type of a tag; None where it has no prefix of a scheme."""
    tag = tag.strip()
    if tag in ("O", "o"):
        return "O", ""
    found = PREFIXED.fullmatch(tag)
    if found is None:
        return None
    return (found[1] or found[3]).upper(), (found[2] or found[4] or "").strip()


def marks_of(labels: Sequence[str], scheme: SchemeName) -> tuple[Mark, ...]:
    """What each label says; `InputError` where one is no tag of the scheme. A plain tag is an entity of one word."""
    return tuple(_mark(label, scheme, labels) for label in labels)


def _mark(label: str, scheme: SchemeName, labels: Sequence[str]) -> Mark:
    if scheme == "plain":
        return Mark(label, True, True)
    parsed = parse_tag(label)
    if parsed == ("O", ""):
        return Mark(None)
    if scheme == "types":
        return Mark(label)
    if parsed is None:
        others = [other for other in labels if parse_tag(other) is not None]
        among = f" as {shown(others[0], 40)} is" if others else ""
        raise InputError(
            f"label {shown(label)} is no tag of {scheme}{among}: a prefix and a type are needed; name the scheme with "
            f"--tag-scheme ({', '.join(SCHEMES)}), or correct id2label in the teacher's config.json"
        )
    prefix, kind = parsed
    return Mark(kind, prefix in BEGINS, prefix in ENDS)


def scheme_of_labels(labels: Sequence[str]) -> SchemeName:
    """The scheme that a set of labels shows. BIO and IOB1 may have the same; IOB1 is certain where a B- is missing."""
    parsed = [parse_tag(label) for label in labels]
    tags = {p for p in parsed if p is not None and p[0] != "O"}
    if any(kind for _, kind in tags) or (tags and None not in parsed):
        found = scheme_of_prefixes({prefix for prefix, _ in tags})
        inner, first = ({kind for prefix, kind in tags if prefix == wanted} for wanted in "IB")
        return "IOB1" if found == "BIO" and inner - first else found
    return "types" if ("O", "") in parsed else "plain"


def scheme_of_prefixes(prefixes: AbstractSet[str]) -> SchemeName:
    """The scheme that a set of prefixes shows."""
    if prefixes & set("LU"):
        return "BILOU"
    if prefixes & set("ESM"):
        return "IOBES"
    return "BIO" if "B" in prefixes else "IO"


def labels_of(kinds: Sequence[str], scheme: SchemeName) -> tuple[str, ...]:
    """The labels of a model that tags these entity types; an empty type has prefixes alone."""
    if scheme in ("types", "plain"):
        return (*(["O"] if scheme == "types" else []), *kinds)
    return ("O", *(f"{prefix}-{kind}" if kind else prefix for kind in kinds for prefix in PREFIXES[scheme]))


def written(row: Sequence[Parsed], scheme: SchemeName) -> Iterator[str]:
    """The prefix of each word of a tagged row in another scheme: O, B, I, …; empty in `types`."""
    first = list(_firsts(row))
    for i, (prefix, kind) in enumerate(row):
        if prefix == "O":
            yield "O"
            continue
        touches = i > 0 and row[i - 1][0] != "O" and row[i - 1][1].casefold() == kind.casefold()
        last = i + 1 == len(row) or row[i + 1][0] == "O" or first[i + 1]
        yield _letter(scheme, first[i], last, touches)


def _letter(scheme: SchemeName, first: bool, last: bool, touches: bool) -> str:
    """`touches`: the word before has a tag of the same type."""
    if scheme == "types":
        return ""
    if scheme in ("IOBES", "BILOU"):
        single, end = "SE" if scheme == "IOBES" else "UL"
        return (single if last else "B") if first else end if last else "I"
    begins = scheme == "BIO" or (scheme == "IOB1" and touches)
    return "B" if first and begins else "I"


def _firsts(row: Sequence[Parsed]) -> Iterator[bool]:
    """Whether each word is the first one of an entity; types may differ in case."""
    open_kind: str | None = None
    for prefix, kind in row:
        if prefix == "O":
            open_kind = None
            yield False
            continue
        yield open_kind != kind.casefold() or prefix in BEGINS
        open_kind = None if prefix in ENDS else kind.casefold()
