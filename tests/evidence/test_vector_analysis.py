"""Slices and changed texts of vectors: what is worse is found, what is not is not, and prompts stay as they are."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.evidence.answers import Labelled
from edgepack.evidence.forms import FormLogits
from edgepack.evidence.slices import Words
from edgepack.evidence.vector_analysis import (
    changed_texts,
    cosine_slices,
    metric_slices,
    nearness,
    unjudged,
    vector_changes,
)
from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import Encoded
from edgepack.task.similarity import QUERY, Prompts, cosines
from edgepack.task.task import Task

SIZE, TEXTS = 8, 240
GENERATOR = np.random.default_rng(0)
VECTORS = GENERATOR.normal(size=(TEXTS, SIZE)).astype(np.float32)
LENGTHS = np.array([3 + (i // 2) % 12 for i in range(TEXTS)])
RARE = (np.arange(TEXTS) // 2) % 6 == 0  # both texts of a pair
USES = np.array([100, 100, 1])


def model(vectors: np.ndarray, judged: str, labels: np.ndarray) -> Labelled:
    """Token 2 in the texts that are `RARE`, token 1 in all."""
    ids = np.concatenate([[2 if rare else 1, *[1] * (n - 1)] for n, rare in zip(LENGTHS, RARE, strict=True)])
    encoded = Encoded(ids.astype(np.int32), np.zeros(len(ids), np.int8), np.cumsum([0, *LENGTHS]), labels)
    task = Task("feature-extraction", (), vector_size=SIZE, judged=judged)  # type: ignore[arg-type]
    return Labelled(FormLogits("model", vectors, encoded, task.scoring), task)


def off(where: np.ndarray, much: float) -> np.ndarray:
    """The vectors with noise, more of it in some texts."""
    noise = np.random.default_rng(1).normal(size=VECTORS.shape) * np.where(where, much, 0.1)[:, None]
    return (VECTORS + noise).astype(np.float32)


SCORES = np.repeat(cosines(VECTORS[0::2], VECTORS[1::2]), 2) + np.repeat(GENERATOR.normal(0, 0.05, TEXTS // 2), 2)


def test_texts_that_are_less_near_are_found_and_others_are_not() -> None:
    teacher = model(VECTORS, "pairs", SCORES)
    found = {s.name: s for s in cosine_slices(teacher, model(off(RARE, 1.0), "pairs", SCORES), Words(USES, None))}
    rare = found.pop("with rare words")
    assert (rare.kind, rare.n, rare.worse) == ("rare_words", int(RARE.sum()), True)
    assert rare.low < rare.cosine - rare.others < rare.high < 0
    assert {s.kind for s in found.values()} == {"length"}
    assert sum(s.n for s in found.values()) == TEXTS
    assert not any(s.worse for s in found.values())
    even = cosine_slices(teacher, model(off(RARE, 0.1), "pairs", SCORES), Words(USES, None))
    assert len(even) == 4
    assert not any(s.worse for s in even)
    same = cosine_slices(teacher, teacher, Words(USES, None))
    assert [s.cosine for s in same] == pytest.approx([1.0] * 4)
    assert not any(s.worse for s in same)


def test_the_metric_of_pairs_is_on_slices_of_pairs() -> None:
    teacher = model(VECTORS, "pairs", SCORES)
    found = {s.name: s for s in metric_slices(teacher, model(off(RARE, 3.0), "pairs", SCORES), Words(USES, None))}
    rare = found["with rare words"]
    assert rare.n == int(RARE.sum()) // 2
    assert rare.worse
    assert rare.artifact < 0.7 < rare.teacher
    assert not found["without"].worse
    assert found["without"].n == TEXTS // 2 - rare.n


def test_the_metric_of_a_search_is_on_slices_of_queries() -> None:
    queries = 60
    gains = np.zeros((TEXTS, queries), np.float32)
    near = VECTORS[:queries] @ VECTORS[queries:].T
    gains[near.argmax(axis=1) + queries, np.arange(queries)] = 3
    gains[np.arange(queries), np.arange(queries)] = QUERY
    found = metric_slices(model(VECTORS, "queries", gains), model(off(RARE, 2.0), "queries", gains), Words(USES, None))
    counted = {s.name: s.n for s in found}
    assert counted["with rare words"] == int(RARE[:queries].sum())
    assert counted["with rare words"] + counted["without"] == queries


def test_the_teachers_cosine_has_no_slices_twice() -> None:
    labels = np.zeros(TEXTS, np.int64)
    teacher = model(VECTORS, "teacher", labels)
    assert metric_slices(teacher, teacher, None) == []
    assert len(cosine_slices(teacher, model(off(RARE, 0.2), "teacher", labels), None)) == 3


def test_prompts_are_not_changed() -> None:
    texts = ["query: where is the lamp", "the lamp stands there", "query: who plays"]
    data = Dataset(tuple(Example(text, None, None, (1, 2)) for text in texts), "", "")
    sets = changed_texts(data, Prompts("query: ", ""))
    assert [e.text for e in sets[""].examples] == texts
    assert [e.text for e in sets["case"].examples] == [
        "query: WHERE IS THE LAMP",
        "THE LAMP STANDS THERE",
        "query: WHO PLAYS",
    ]
    assert sets["spacing"].examples[0].text.startswith("query:   where  is")
    assert {e.label for texts in sets.values() for e in texts.examples} == {0}
    assert unjudged(Task("feature-extraction", (), vector_size=SIZE, judged="queries")).judged == "teacher"


def test_a_model_whose_vectors_a_change_moves_more_is_seen() -> None:
    data = Dataset(tuple(Example(f"text {i} about lamps", None, None, 0) for i in range(50)), "", "")
    sets = changed_texts(data, Prompts())

    def vectors(moved: float, texts: Dataset) -> np.ndarray:
        noise = np.random.default_rng(len(texts.examples[0].text)).normal(size=(50, SIZE))
        upper = texts.examples[0].text.isupper()
        return np.asarray(VECTORS[:50] + noise * (moved if upper else 0.05))

    teacher, artifact = (nearness(sets, lambda t, m=moved: vectors(m, t)) for moved in (0.05, 0.8))  # type: ignore[misc]
    found = {each.change: each for each in vector_changes(teacher, artifact)}
    assert set(found) == {"case", "typos", "spacing", "emoji", "accents"}
    assert found["case"].high < 0
    assert found["case"].artifact < found["case"].teacher
    assert found["typos"].low == pytest.approx(found["typos"].high) == 0
    assert found["case"].n == 50
