"""Which tagging scheme a file's tags follow, and the same entities in the teacher's scheme.

A file's scheme (see `edgepack.task.schemes`) shows only over all of its rows. Entities are read as seqeval's default
mode does: an I- that continues nothing begins one, so no tag sequence is invalid and none is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgepack.errors import InputError, shown
from edgepack.task.reading.table import listed
from edgepack.task.schemes import Parsed, parse_tag, scheme_of_prefixes

SINGLE, LAST = "SU", "EL"
Tags = tuple[str, ...]


@dataclass(frozen=True)
class Converted:
    """Every row's tags in the wanted scheme; `scheme` is that of the file, empty where nothing had to be converted."""

    rows: tuple[Tags, ...]
    scheme: str
    changed: int


def convert_tags(rows: Sequence[Tags], places: Sequence[str], labels: Sequence[str]) -> Converted:
    """The tags in the scheme of `labels`: with B- if any of them has it, else IO."""
    parse = {tag: parse_tag(tag) for tag in {tag for row in rows for tag in row}}
    prefixes = {parsed[0] for parsed in parse.values() if parsed} - {"O"}
    bare = sorted(tag for tag, parsed in parse.items() if parsed is None)
    if bare and prefixes:
        place = next(place for place, row in zip(places, rows, strict=True) if bare[0] in row)
        raise InputError(
            f"{place}: {shown(bare[0])} is no tag of the scheme of the others "
            f"({listed(sorted(set(parse) - set(bare)))}); allowed: O, B-type, I-type (BIO), IOBES, BILOU, or class ids"
        )
    if bare and not any(parsed == ("O", "") for parsed in parse.values()):
        raise InputError(
            f"{places[0]}: tags are {listed(bare)}; none is O, so these are no entity tags: only entities can be tagged"
        )
    known = {tag: parsed or ("", tag.strip()) for tag, parsed in parse.items()}
    spelled = {tag: _plain(tag, parsed) for tag, parsed in parse.items()}
    io = not any(label.startswith("B") for label in labels)
    converted = tuple(tuple(_encode([known[tag] for tag in row], io)) for row in rows)
    changed = sum(
        spelled[a] != b for old, new in zip(rows, converted, strict=True) for a, b in zip(old, new, strict=True)
    )
    return Converted(converted, _scheme(rows, known, prefixes) if changed else "", changed)


def _scheme(rows: Sequence[Tags], known: dict[str, Parsed], prefixes: set[str]) -> str:
    """The name of the file's own scheme."""
    if not prefixes:
        return "IO without prefixes"
    name = scheme_of_prefixes(prefixes)
    if name != "BIO":
        return "IOB1 or IO (I- alone)" if name == "IO" else name
    marked = [found for row in rows for found in _marked([known[tag] for tag in row])]
    if ("I", True) not in marked:
        return "BIO"
    return "BIO with entities that begin with I-" if ("B", True) in marked else "IOB1"


def _marked(row: list[Parsed]) -> Iterator[tuple[str, bool]]:
    """Prefix of each entity tag, and whether it stands behind no tag of its own type."""
    previous: str | None = None
    for prefix, kind in row:
        if prefix != "O":
            yield prefix, previous != kind.casefold()
        previous = None if prefix == "O" else kind.casefold()


def _encode(row: list[Parsed], io: bool) -> Iterator[str]:
    """The row's entities in BIO, or in IO."""
    open_kind: str | None = None
    for prefix, kind in row:
        if prefix == "O":
            open_kind = None
            yield "O"
            continue
        begins = open_kind != kind.casefold() or prefix in ("B", *SINGLE)
        open_kind = None if prefix in (*SINGLE, *LAST) else kind.casefold()
        letter = "I" if io or not begins else "B"
        yield f"{letter}-{kind}" if kind else letter


def _plain(tag: str, parsed: Parsed | None) -> str:
    """A tag as far as its spelling goes: its prefix in upper case, joined by a hyphen."""
    prefix, kind = parsed or ("", tag)
    return f"{prefix}-{kind}" if kind else prefix
