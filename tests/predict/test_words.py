"""Words and entities of a text: the same rule as in the apps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.predict.answer import Entity
from edgepack.predict.words import Tag, Word, classes_of_unicode, find_entities, find_words

CLASSES = classes_of_unicode()


def offsets(text: str, *pieces: str) -> list[tuple[int, int]]:
    """Where these pieces stand, one after the other."""
    found, at = [], 0
    for piece in pieces:
        start = text.index(piece, at)
        at = start + len(piece)
        found.append((start, at))
    return found


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("to Oslo, now", ["to", "Os", "lo", ",", "now"], ["to", "Oslo", ",", "now"]),
        ("don't (go)!", ["don", "'", "t", "(", "go", ")", "!"], ["don't", "(", "go", ")", "!"]),
        ("中文 ab", ["中", "文", "ab"], ["中", "文", "ab"]),
        ("x中y", ["x", "中", "y"], ["x", "中", "y"]),
        ("...", [".", ".", "."], [".", ".", "."]),
        ("", [], []),
    ],
)
def test_words(text: str, pieces: list[str], expected: list[str]) -> None:
    words = find_words(text, [(0, 0), *offsets(text, *pieces), (0, 0)], CLASSES)
    assert [text[w.start : w.end] for w in words] == expected
    assert [w.first for w in words] == sorted({w.first for w in words}), "the first token of each, in order"


@given(st.text(alphabet="ab ,.中'", max_size=30))
def test_every_character_is_in_one_word_or_is_a_space(text: str) -> None:
    single = [(i, i + 1) for i, char in enumerate(text) if not char.isspace()]
    words = find_words(text, single, CLASSES)
    covered = [i for w in words for i in range(w.start, w.end)]
    assert covered == [i for i, _ in single]


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
