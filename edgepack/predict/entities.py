"""The entities of a text, from its words and their tags: the rule that the apps have too.

A word's tag is that of its first token (`edgepack.task.words`). Entities are read by CoNLL's rule: `B-` begins one,
`I-` continues one of the same type and begins one elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.predict.answer import Entity
from edgepack.task.words import Word


@dataclass(frozen=True)
class Tag:
    """The decided tag of a word."""

    label: str
    probability: float


def find_entities(text: str, words: Sequence[Word], tags: Sequence[Tag]) -> tuple[Entity, ...]:
    """Entities of tagged words."""
    entities: list[Entity] = []
    open_ = False
    for word, tag in zip(words, tags, strict=True):
        if tag.label == "O":
            open_ = False
            continue
        kind, begins = tag.label[2:], tag.label.startswith("B")
        if open_ and not begins and entities[-1].label == kind:
            last = entities.pop()
            probability = min(last.probability, tag.probability)
            entities.append(Entity(kind, last.start, word.end, text[last.start : word.end], probability))
        else:
            entities.append(Entity(kind, word.start, word.end, text[word.start : word.end], tag.probability))
        open_ = True
    return tuple(entities)
