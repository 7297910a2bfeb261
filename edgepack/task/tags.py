"""Which tagging scheme a file's tags follow, and the same entities in the teacher's scheme.

A file's scheme (see `edgepack.task.schemes`) shows only over all of its rows. Entities are read as seqeval's default
mode does: an I- that continues nothing begins one, so no tag sequence is invalid and none is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgepack.errors import InputError, shown
from edgepack.task.reading.table import listed
from edgepack.task.schemes import Parsed, SchemeName, parse_tag, scheme_of_labels, scheme_of_prefixes, written

Tags = tuple[str, ...]
MARKS, JOINTS = "BIESLUM", "-_:./|–—"
IN_PLACE = {"S": "B", "U": "B", "E": "I", "L": "I", "B": "I"}  # of a tag that a teacher does not have


@dataclass(frozen=True)
class Converted:
    """Every row's tags in the wanted scheme; `scheme` is that of the file, empty where nothing had to be converted.

    `joined`: entities that no tag of the wanted scheme parts from the one of their type right before them.
    """

    rows: tuple[Tags, ...]
    scheme: str
    changed: int
    joined: int = 0


def convert_tags(
    rows: Sequence[Tags], places: Sequence[str], labels: Sequence[str], scheme: SchemeName | None = None
) -> Converted:
    """The tags in the scheme of `labels`, which they show unless it is given, and spelled as these are."""
    scheme = scheme or scheme_of_labels(labels)
    if scheme == "plain":
        return Converted(tuple(rows), "", 0)
    known = _parsed(rows, places, labels)
    spelling = _spelling(labels)
    changed = joined = 0
    converted = []
    for row in rows:
        tags = [known[tag] for tag in row]
        new = [
            _possible((letter, kind), spelling) for letter, (_, kind) in zip(written(tags, scheme), tags, strict=True)
        ]
        changed += sum(("I" if a == "M" else a) != b for (a, _), (b, _) in zip(tags, new, strict=True))
        joined += _joined(tags, new)
        converted.append(tuple(_spelled(each, spelling) for each in new))
    return Converted(tuple(converted), _described(rows, known) if changed else "", changed, joined)


def scheme_of_rows(rows: Sequence[Tags], places: Sequence[str]) -> SchemeName:
    """The scheme that a file's tags are written in."""
    found = {tag for row in rows for tag in row}
    parsed = [parse_tag(tag) for tag in found]
    if None in parsed and ("O", "") not in parsed and not any(p and p[1] for p in parsed):
        return "plain"
    known = _parsed(rows, places)
    _check_begun(rows, places, known)
    prefixes = {prefix for prefix, _ in known.values()} - {"O"}
    if prefixes <= {""}:
        return "types"
    name = scheme_of_prefixes(prefixes)
    if name != "BIO":
        return name
    marked = first_prefixes(rows, known)
    return "IOB1" if "I" in marked and "B" not in marked else "BIO"


def _parsed(rows: Sequence[Tags], places: Sequence[str], labels: Sequence[str] = ()) -> dict[str, Parsed]:
    """Prefix and type of every tag of entities; an error where they are no such tags. `labels`: the teacher's."""
    parse = {tag: parse_tag(tag) for tag in {tag for row in rows for tag in row}}
    prefixes = {parsed[0] for parsed in parse.values() if parsed} - {"O"}
    bare = sorted(tag for tag, parsed in parse.items() if parsed is None)
    if not set(bare) <= set(labels) and _have_marks(bare):
        place = next(place for place, row in zip(places, rows, strict=True) if not {*bare}.isdisjoint(row))
        raise InputError(
            f"{place}: tags are {listed(bare)}: B and I must stand before the type, with a hyphen; write B-type and "
            "I-type, or the types alone"
        )
    if bare and prefixes:
        place = next(place for place, row in zip(places, rows, strict=True) if bare[0] in row)
        raise InputError(
            f"{place}: {shown(bare[0])} is no tag of the scheme of the others "
            f"({listed(sorted(set(parse) - set(bare)))}); allowed: O, B-type, I-type (BIO), IOBES, BILOU, or class ids"
        )
    if bare and not any(parsed == ("O", "") for parsed in parse.values()):
        raise InputError(
            f"{places[0]}: tags are {listed(bare)}; none is O, so these are no entity tags, which the teacher has: "
            "give data with tags of entities, or a teacher of these tags"
        )
    return {tag: parsed or ("", tag.strip()) for tag, parsed in parse.items()}


def _check_begun(rows: Sequence[Tags], places: Sequence[str], known: Mapping[str, Parsed]) -> None:
    """`InputError` for types like E-mail, of which E- would be the end of an entity that begins nowhere."""
    begun = {kind for prefix, kind in known.values() if prefix in ("B", "I", "M")}
    for place, row in zip(places, rows, strict=True):
        tag = next((tag for tag in row if known[tag][0] in ("E", "L") and known[tag][1] not in begun), None)
        if tag is not None:
            raise InputError(
                f"{place}: tag {shown(tag)} ends an entity of type {shown(known[tag][1])}, and no tag begins one; give "
                "the first word of an entity B-, or the type a name without a letter and a hyphen in front"
            )


def _have_marks(bare: Iterable[str]) -> bool:
    """Whether tags without a prefix have one in another way: `PER-B`, `B:PER` or `BPER`, beside the same with I."""
    found: dict[str, set[str]] = {}
    for tag in bare:
        for mark, rest in ((tag[:1], tag[1:].lstrip(JOINTS)), (tag[-1:], tag[:-1].rstrip(JOINTS))):
            if mark in MARKS and rest:
                found.setdefault(rest, set()).add(mark)
    return any({"B", "I"} <= marks for marks in found.values())


def _described(rows: Sequence[Tags], known: Mapping[str, Parsed]) -> str:
    """The file's own scheme in words."""
    prefixes = {prefix for prefix, _ in known.values()} - {"O"}
    if prefixes <= {""}:
        return "IO without prefixes"
    name = scheme_of_prefixes(prefixes)
    if name != "BIO":
        return "IOB1 or IO (I- alone)" if name == "IO" else name
    marked = first_prefixes(rows, known)
    if "I" not in marked:
        return "BIO"
    return "BIO with entities that begin with I-" if "B" in marked else "IOB1"


def first_prefixes(rows: Sequence[Tags], known: Mapping[str, Parsed]) -> Counter[str]:
    """Prefixes of entity tags that stand behind no tag of their own type, and how many have them."""
    found: Counter[str] = Counter()
    for row in rows:
        tags: list[Parsed] = [("O", ""), *(known[tag] for tag in row)]
        for (before, kind), (prefix, own) in pairwise(tags):
            if prefix != "O" and (before == "O" or kind.casefold() != own.casefold()):
                found[prefix] += 1
    return found


def _joined(tags: Sequence[Parsed], new: Sequence[Parsed]) -> int:
    """Entities of a row that begin in `tags`, and in what became of them continue the one before."""
    before, after = (sum(letter == "B" for letter in written(row, "BIO")) for row in (tags, new))
    return before - after


def _spelling(labels: Sequence[str]) -> dict[Parsed, str]:
    """Labels by prefix and type, the type in one case; M is I."""
    found: dict[Parsed, str] = {}
    for label in labels:
        prefix, kind = parse_tag(label) or ("", label.strip())
        found.setdefault(("I" if prefix == "M" else prefix, kind.casefold()), label)
    return found


def _possible(tag: Parsed, spelling: Mapping[Parsed, str]) -> Parsed:
    """The tag, or what the teacher has in its place: of IOB1 without a B- of this type I-, of IOBES without S- B-."""
    prefix, kind = tag
    while (prefix, kind.casefold()) not in spelling:
        if prefix not in IN_PLACE:
            return tag
        prefix = IN_PLACE[prefix]
    return prefix, kind


def _spelled(tag: Parsed, spelling: Mapping[Parsed, str]) -> str:
    """A tag as the labels spell it; the type as the data do, so that another case can be said."""
    prefix, kind = tag
    label = spelling.get((prefix, kind.casefold()))
    if label is None:
        return f"{prefix}-{kind}" if prefix and kind else prefix or kind
    return label[: len(label) - len(kind)] + kind if kind and label.casefold().endswith(kind.casefold()) else label


def entity_types(rows: Iterable[Tags]) -> list[str]:
    """The types of entities in tags of any scheme, in the order of the alphabet."""
    parsed = {parse_tag(tag) or ("", tag.strip()) for row in rows for tag in row}
    return sorted({kind for prefix, kind in parsed if prefix != "O"})
