"""Entities of a text: the same rule as in the apps."""

from __future__ import annotations

from edgepack.predict.answer import Entity
from edgepack.predict.entities import Tag, find_entities
from edgepack.task.words import Word


def entities(text: str, *tags: str) -> list[tuple[str, str]]:
    words, at = [], 0
    for number, part in enumerate(text.split()):
        start = text.index(part, at)
        at = start + len(part)
        words.append(Word(number, start, at))
    found = find_entities(text, words, [Tag(tag, 0.9 - 0.1 * n) for n, tag in enumerate(tags)])
    return [(e.label, e.text) for e in found]


def test_entities_are_read_by_the_rule_of_conll() -> None:
    assert entities("new york is big", "B-LOC", "I-LOC", "O", "O") == [("LOC", "new york")]
    assert entities("a b", "I-LOC", "I-PER") == [("LOC", "a"), ("PER", "b")]
    assert entities("a b", "B-LOC", "B-LOC") == [("LOC", "a"), ("LOC", "b")]
    assert entities("a b c", "B-LOC", "O", "I-LOC") == [("LOC", "a"), ("LOC", "c")]


def test_an_entity_is_as_probable_as_its_least_probable_word() -> None:
    words = [Word(0, 0, 1), Word(1, 2, 3)]
    found = find_entities("a b", words, [Tag("B-X", 0.6), Tag("I-X", 0.8)])
    assert found == (Entity("X", 0, 3, "a b", 0.6),)
