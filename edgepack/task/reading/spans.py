"""Entities given by character positions, as annotation tools write them, as words with BIO tags.

An entity is an object with a start, an end and a label (the names of the keys differ from tool to tool) or a list
`[start, end, label]`; positions count Unicode code points, the end is exclusive. Words are runs of letters, digits and
marks; every other visible character, and each ideograph or kana, is a word by itself, as BERT splits texts. An entity
that begins or ends inside a word takes the whole word, and spaces at its ends are left out: both are counted, so that
the reader can say so. Entities that overlap have no BIO tags: their row is refused.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgepack.errors import InputError, shown
from edgepack.task.reading.table import listed

STARTS = ("start", "begin", "start_offset", "start_char", "char_start", "start_index", "beginOffset")
ENDS = ("end", "stop", "end_offset", "end_char", "char_end", "end_index", "endOffset")
NAMES = ("label", "type", "entity", "tag", "entity_group", "entity_type", "labels", "category", "class", "name")
QUOTES = ("text", "word", "mention", "surface", "surface_form", "quote", "exact")  # what an entity says that it covers
IDEOGRAPHS = re.compile("[\u2e80-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
PREFIXED = re.compile(r"([BIESULM])[-_](.+)")  # a tag of a word, where the type of an entity is needed
Entity = tuple[int, int, str]


@dataclass(frozen=True)
class SpannedText:
    """A text's words with their BIO tags; `moved` entities had an end inside a word or spaces at an end."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    moved: int


def tag_words(where: str, text: str, annotations: Any) -> SpannedText:
    """The words of a text, tagged by its entities."""
    words = list(split_words(text))
    entities = sorted(_entities(where, text, annotations))
    tags = ["O"] * len(words)
    moved = position = 0
    taken = -1  # the last word that an entity has
    for start, end, label in entities:
        while position < len(words) and words[position][1] <= start:
            position += 1
        inside = position
        while inside < len(words) and words[inside][0] < end:
            inside += 1
        if inside == position:
            raise InputError(f"{where}: the entity {label!r:.60} at {start} to {end} holds no word")
        if position <= taken:
            raise InputError(
                f"{where}: entities overlap at character {start} ({shown(text[start:end])}); one tag for each word is "
                "needed: keep one of them"
            )
        moved += (words[position][0], words[inside - 1][1]) != (start, end)
        tags[position:inside] = [f"B-{label}", *[f"I-{label}"] * (inside - position - 1)]
        taken = inside - 1
    return SpannedText(tuple(text[a:b] for a, b in words), tuple(tags), moved)


def columnar(annotations: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Entities as a list of starts, one of ends and one of labels, which `datasets` makes of a list of objects."""
    keys = [key for key, values in annotations.items() if isinstance(values, list)]
    needed = [next((key for key in keys if key in names), None) for names in (STARTS, ENDS, NAMES)]
    lengths = {len(annotations[key]) for key in keys}
    if None in needed or len(lengths) != 1:
        return None
    return [dict(zip(keys, values, strict=True)) for values in zip(*(annotations[key] for key in keys), strict=True)]


def check_types(where: str, types: Iterable[str]) -> None:
    """Refuse entities that are called by tags of single words, `B-PER` and `I-PER`: the type would be another."""
    prefixes: dict[str, set[str]] = {}
    parsed = {kind: PREFIXED.fullmatch(kind) for kind in types}
    for found in filter(None, parsed.values()):
        prefixes.setdefault(found[2], set()).add(found[1])
    if any(len(each) > 1 for each in prefixes.values()) or (len(parsed) > 1 and None not in parsed.values()):
        raise InputError(
            f"{where}: entities by position are called {listed(sorted(parsed))}, as single words are tagged: "
            "write whole entities with their type alone (of transformers' pipeline with "
            "aggregation_strategy='simple'), or lists of words and tags"
        )


def split_words(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each word."""
    begun: int | None = None
    for place, character in enumerate(text):
        kind = unicodedata.category(character)
        blank = kind[0] == "Z" or character.isspace() or kind == "Cc"
        alone = kind[0] in "PS" or IDEOGRAPHS.match(character) is not None
        if (blank or alone) and begun is not None:
            yield begun, place
            begun = None
        if alone:
            yield place, place + 1
        elif not blank and begun is None:
            begun = place
    if begun is not None:
        yield begun, len(text)


def _entities(where: str, text: str, annotations: Any) -> Iterator[Entity]:
    if isinstance(annotations, str):
        try:
            annotations = json.loads(annotations)
        except (ValueError, RecursionError) as e:
            raise InputError(f"{where}: entities are {shown(annotations)}, not valid JSON") from e
    if isinstance(annotations, dict):
        annotations = columnar(annotations) if "entities" not in annotations else annotations["entities"]
    if not isinstance(annotations, list):
        raise InputError(
            f"{where}: entities are {shown(annotations)}; a list of objects with start, end and label is needed"
        )
    for entity in annotations:
        start, end, label = _parts(where, entity)
        if not 0 <= start < end <= len(text):
            raise InputError(
                f"{where}: entity {shown(label)} is at {shown(start)} to {shown(end)}; "
                f"the text has {len(text)} characters, and an end is exclusive, behind the last one"
            )
        quoted = _first(entity, QUOTES) if isinstance(entity, dict) else next(iter(entity[3:]), None)
        if isinstance(quoted, str) and _letters(quoted) != _letters(text[start:end]):
            raise InputError(
                f"{where}: entity {shown(quoted)} is at {start} to {end}, where the text has {shown(text[start:end])}; "
                "positions must count Unicode code points, the end exclusive"
            )
        yield start, end, label


def _letters(text: str) -> str:
    """What two ways of writing a text share: pipelines that quote lower-case, strip accents and part at hyphens."""
    plain = unicodedata.normalize("NFKD", text).casefold().replace("##", "")
    return "".join(c for c in plain if not c.isspace() and unicodedata.category(c) != "Mn")


def _parts(where: str, entity: Any) -> Entity:
    """Start, end and label of an entity, whatever the tool calls them."""
    parts: list[Any] = list(entity[:3]) if isinstance(entity, list | tuple) else []
    if isinstance(entity, dict):
        parts = [_first(entity, names) for names in (STARTS, ENDS, NAMES)]
    label = parts[2] if len(parts) == 3 else None
    label = label[0] if isinstance(label, list) and len(label) == 1 else label
    numbers = [n for n in parts[:2] if isinstance(n, int) and not isinstance(n, bool)]
    if len(numbers) != 2 or not isinstance(label, str) or not label.strip():
        raise InputError(
            f"{where}: an entity is {shown(entity)}; start and end as integers and one label as text are needed"
        )
    return numbers[0], numbers[1], label.strip()


def _first(entity: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((entity[name] for name in names if entity.get(name) is not None), None)
