"""The entities of a text, from its words and their tags: the rule that the apps have too (docs/bundle.md).

A word's tag is that of its first token (`edgepack.task.words`). Plain tags have an entity for each word.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.predict.answer import Entity
from edgepack.task.entity_f1 import continued, mark_table
from edgepack.task.schemes import Mark
from edgepack.task.words import Word


def find_entities(
    text: str, words: Sequence[Word], tags: np.ndarray, probabilities: np.ndarray, marks: Sequence[Mark]
) -> tuple[Entity, ...]:
    """Entities of words, each with its tag's class id and how probable that is."""
    continues = continued(tags, mark_table(marks))
    entities: list[Entity] = []
    for word, tag, share, goes_on in zip(words, tags, probabilities, continues, strict=True):
        kind = marks[tag].kind
        if kind is None:
            continue
        start, probability = word.start, float(share)
        if goes_on:
            last = entities.pop()
            start, probability = last.start, min(last.probability, probability)
        entities.append(Entity(kind, start, word.end, text[start : word.end], probability))
    return tuple(entities)
