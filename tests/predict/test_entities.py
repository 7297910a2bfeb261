"""Entities of a text: the same rule as in the apps, and the one of seqeval."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from edgepack.predict.answer import Entity
from edgepack.predict.entities import find_entities
from edgepack.task.encoded import Encoded
from edgepack.task.schemes import SchemeName, marks_of
from edgepack.task.task import Task
from edgepack.task.words import Word
from tests.apps import entities as made

VECTORS = [json.loads(line) for line in made.VECTORS.read_text(encoding="ascii").splitlines()]


def entities(text: str, *tags: str, scheme: SchemeName = "BIO") -> list[tuple[str, str]]:
    words, at = [], 0
    for number, part in enumerate(text.split()):
        start = text.index(part, at)
        at = start + len(part)
        words.append(Word(number, start, at))
    found = find_entities(text, words, np.arange(len(tags)), np.ones(len(tags)), marks_of(tags, scheme))
    return [(e.label, e.text) for e in found]


def test_entities_are_read_by_the_rule_of_conll() -> None:
    assert entities("new york is big", "B-LOC", "I-LOC", "O", "O") == [("LOC", "new york")]
    assert entities("a b", "I-LOC", "I-PER") == [("LOC", "a"), ("PER", "b")]
    assert entities("a b", "B-LOC", "B-LOC") == [("LOC", "a"), ("LOC", "b")]
    assert entities("a b c", "B-LOC", "O", "I-LOC") == [("LOC", "a"), ("LOC", "c")]


def test_ends_and_single_words_of_other_schemes() -> None:
    assert entities("a b c d", "B-LOC", "E-LOC", "S-LOC", "I-LOC", scheme="IOBES") == [
        ("LOC", "a b"),
        ("LOC", "c"),
        ("LOC", "d"),
    ]
    assert entities("a b c", "U-LOC", "B-LOC", "L-LOC", scheme="BILOU") == [("LOC", "a"), ("LOC", "b c")]
    assert entities("new york .", "LOC", "LOC", "O", scheme="types") == [("LOC", "new york")]


def test_of_plain_tags_each_word_is_an_answer() -> None:
    assert entities("a dog barks loud", "DET", "NOUN", "VERB", "O", scheme="plain") == [
        ("DET", "a"),
        ("NOUN", "dog"),
        ("VERB", "barks"),
        ("O", "loud"),
    ]


def test_an_entity_is_as_probable_as_its_least_probable_word() -> None:
    words, marks = [Word(0, 0, 1), Word(1, 2, 3)], marks_of(["B-X", "I-X"], "BIO")
    found = find_entities("a b", words, np.arange(2), np.array([0.6, 0.8]), marks)
    assert found == (Entity("X", 0, 3, "a b", 0.6),)


def decoded(vector: dict[str, Any]) -> list[list[Any]]:
    tags = vector["tags"]
    words = [Word(i, i, i + 1) for i in range(len(tags))]
    marks = marks_of(vector["labels"], vector["scheme"])
    shares = 1 / (2 + np.arange(len(tags)))
    found = find_entities("x" * len(tags), words, np.array(tags), shares, marks)
    assert all(entity.probability == 1 / (entity.end + 1) for entity in found)
    return [[entity.label, entity.start, entity.end] for entity in found]


def test_the_vectors_that_the_apps_are_held_to() -> None:
    assert len(VECTORS) > 200
    assert {vector["scheme"] for vector in VECTORS} == {"BIO", "IOB1", "IO", "IOBES", "BILOU", "types", "plain"}
    for vector in VECTORS:
        assert decoded(vector) == vector["entities"], vector


def counted(vectors: Iterable[dict[str, Any]]) -> None:
    """The metric's own counts of right, answered and true entities are those of the vectors, pair by pair."""
    rows = list(vectors)
    for truth, answer in zip(rows[::2], rows[1::2], strict=True):
        if truth["labels"] != answer["labels"] or truth["scheme"] == "plain":
            continue
        n = min(len(truth["tags"]), len(answer["tags"]))
        task = Task("token-classification", tuple(truth["labels"]), scheme=truth["scheme"])
        labels, logits = np.array(truth["tags"][:n]), np.eye(len(truth["labels"]))[answer["tags"][:n]]
        encoded = Encoded(np.zeros(n, np.int32), np.zeros(n, np.int8), np.array([0, n]), labels)
        gold, found = ({tuple(e) for e in decoded(row | {"tags": row["tags"][:n]})} for row in (truth, answer))
        if n > 1:  # one token alone is taken for a text's label
            expected = [[len(gold & found), len(found), len(gold)]]
            assert task.statistics(logits, encoded).tolist() == expected, (truth, answer)


def test_what_is_counted_is_what_is_shown() -> None:
    counted(VECTORS)


@pytest.mark.slow
def test_tens_of_thousands_of_rows_are_read_as_seqeval_reads_them() -> None:
    pytest.importorskip("seqeval", reason="pip install seqeval==1.2.2")
    rows = list(made.vectors(2_000, seed=1))
    assert len(rows) > 40_000
    for row in rows:
        assert decoded(row) == row["entities"], row
    counted(rows)
