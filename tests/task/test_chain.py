"""A chain of tags: its marginals are those of all chains counted one by one, and a task reads them once."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.errors import InputError
from edgepack.task.chain import SHARES, TagChain, chain_of, choose_chain, count_neighbours, count_pairs
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.probabilities import softmax
from edgepack.task.task import Task

LABELS = ("O", "B-place", "I-place", "B-name")


def make_chain(seed: int, count: int = 3, unseen: float = -5.0) -> TagChain:
    """A chain with about half of its pairs seen."""
    generator = np.random.default_rng(seed)
    pairs = [
        (before, behind, float(np.round(generator.normal(0, 2), 3)))
        for before, behind in product(range(count + 1), repeat=2)
        if generator.random() < 0.5
    ]
    return TagChain(count, tuple(pairs), unseen)


def counted_marginals(chain: TagChain, logits: np.ndarray) -> np.ndarray:
    """Of one sentence, by all its chains."""
    scores = np.full((chain.count + 1, chain.count + 1), chain.unseen)
    for before, behind, score in chain.pairs:
        scores[before, behind] = score
    own, total = np.log(softmax(logits)), np.zeros(logits.shape)
    for tags in product(range(chain.count), repeat=len(logits)):
        path = [chain.count, *tags, chain.count]
        score = sum(scores[a, b] for a, b in pairwise(path))
        weight = np.exp(score + sum(own[place, tag] for place, tag in enumerate(tags)))
        for place, tag in enumerate(tags):
            total[place, tag] += weight
    return np.asarray(total / total.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("seed", range(5))
def test_marginals_are_those_of_all_chains(seed: int) -> None:
    chain, generator = make_chain(seed), np.random.default_rng(seed)
    lengths = np.array([3, 0, 1, 5, 2, 5])
    logits = generator.normal(0, 3, (lengths.sum(), chain.count))
    found, ends = np.exp(chain.marginals(logits, lengths)), np.cumsum(lengths)
    for end, length in zip(ends, lengths, strict=True):
        part = slice(end - length, end)
        np.testing.assert_allclose(found[part], counted_marginals(chain, logits[part]), atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(1, 500), st.integers(1, 300))
def test_marginals_are_probabilities_however_long_the_text_and_large_the_logits(
    seed: int, size: float, length: int
) -> None:
    chain = make_chain(seed % 1_000, count=4)
    logits = np.random.default_rng(seed).normal(0, size, (length, 4))
    found = chain.marginals(logits, np.array([length]))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-9)


def test_many_sentences_at_once_are_each_by_itself() -> None:
    chain, generator = make_chain(7, count=5), np.random.default_rng(7)
    lengths = generator.integers(0, 9, 700)
    logits = generator.normal(0, 2, (lengths.sum(), 5))
    together, ends = chain.marginals(logits, lengths), np.cumsum(lengths)
    for end, length in zip(ends[::50], lengths[::50], strict=True):
        part = slice(end - length, end)
        np.testing.assert_allclose(together[part], chain.marginals(logits[part], np.array([length])))


def encoded(sentences: list[list[int]]) -> Encoded:
    """Sentences of one token a word between two special ones, with their tags."""
    labels = [tag for tags in sentences for tag in (IGNORED, *tags, IGNORED)]
    offsets = np.cumsum([0, *(len(tags) + 2 for tags in sentences)])
    ids = np.zeros(len(labels), np.int32)
    return Encoded(ids, ids.astype(np.int8), offsets.astype(np.int64), np.array(labels, np.int64))


def test_pairs_are_counted_within_sentences() -> None:
    found = count_pairs(encoded([[0, 1, 2], [], [1]]), 3)
    expected = np.zeros((4, 4), np.int64)
    for before, behind in ((3, 0), (0, 1), (1, 2), (2, 3), (3, 1), (1, 3)):
        expected[before, behind] += 1
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(count_neighbours(np.array([0, 1, 2, 1]), np.array([0, 0, 0, 2]), 3), expected)
    assert not count_pairs(encoded([[], []]), 3).any()


def test_scores_are_how_much_more_often_a_tag_stands_behind_another() -> None:
    counts = np.array([[8, 2, 0], [1, 0, 1], [3, 0, 0]])
    chain = chain_of(counts, 0.5)
    scores = {(before, behind): score for before, behind, score in chain.pairs}
    assert scores[(0, 0)] == pytest.approx(0.5 * np.log((8 / 10) / (12 / 15)), abs=1e-3)
    assert scores[(1, 2)] == pytest.approx(0.5 * np.log((1 / 2) / (1 / 15)), abs=1e-3)
    assert (0, 2) not in scores
    assert chain.factors[0, 2] == pytest.approx(np.exp(chain.unseen))


def test_only_labelled_words_are_read_anew() -> None:
    data = encoded([[0, 1], [2]])
    logits = np.random.default_rng(0).normal(size=(len(data.labels), 4)).astype(np.float32)
    task = Task("token-classification", LABELS, chain=make_chain(1, count=4))
    found = task.read(logits, data)
    np.testing.assert_array_equal(found[~data.scored], logits[~data.scored])
    np.testing.assert_allclose(found[1:3], task.read_words(logits[1:3]), rtol=1e-6)
    assert Task("token-classification", LABELS).read(logits, data) is logits
    assert Task("token-classification", LABELS).read_words(logits) is logits


def test_a_chain_mends_tags_that_contradict_each_other() -> None:
    """Words of places have B- and I- of one type; a model that is unsure of the second word's type."""
    sentences = [[0, 1, 2, 0], [1, 2, 2], [0, 3, 0]] * 20
    data = encoded(sentences)
    logits = np.zeros((len(data.labels), 4), np.float32)
    logits[np.arange(len(logits)), np.maximum(data.labels, 0)] = 2.0
    inside = data.labels == 2
    logits[inside, 3] = 2.1  # B-name is a little likelier than I-place, which it cannot be before another I-place
    task = Task("token-classification", LABELS)
    found = task.with_chain(data, logits, data)
    assert found.chain is not None
    assert task.score(logits, data) < 0.7
    assert found.score(logits, data) == 1.0


def test_where_no_chain_does_better_there_is_none() -> None:
    data = encoded([[0, 1, 2, 0], [3, 0]] * 10)
    logits = np.eye(4, dtype=np.float32)[np.maximum(data.labels, 0)] * 9
    task = Task("token-classification", LABELS)
    assert task.with_chain(data, logits, data).chain is None


def test_the_share_with_the_best_value_is_chosen() -> None:
    counts = np.array([[8, 2, 1], [1, 0, 1], [3, 0, 0]])
    wanted = chain_of(counts, SHARES[2])
    assert choose_chain(counts, lambda chain: float(chain == wanted)) == wanted
    assert choose_chain(counts, lambda chain: float(chain is None)) is None
    assert choose_chain(counts, lambda chain: 1.0) is None


def test_of_very_many_tags_there_is_none() -> None:
    task = Task("token-classification", tuple(f"tag {i}" for i in range(1_001)), scheme="plain")
    data = encoded([[0, 1000], [1000, 0]])
    assert task.with_chain(data, np.zeros((len(data.labels), 1_001), np.float32), data).chain is None


@pytest.mark.parametrize(
    ("name", "labels"), [("token-classification", LABELS[:3]), ("text-classification", ("yes", "no", "a", "b"))]
)
def test_a_chain_is_of_all_tags_of_words(name: str, labels: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="a chain of 4 tags"):
        Task(name, labels, chain=make_chain(1, count=4))  # type: ignore[arg-type]
