"""Tags of a sentence's words decided together: how often one tag stands behind another in the training data.

A model of tags gives each word a distribution of its own, and a small one contradicts itself: an `I-` of one type
behind the `B-` of another. Here the words of a text are a linear chain (Lafferty et al. 2001, "Conditional Random
Fields"), with the model's probability of each tag and a score for each pair of neighbours,

    P(tags) ∝ Π p(tag)  ·  Π exp(λ · (log P(tag | tag before) − log P(tag))),

the second as in hybrid systems of speech recognition, where p already holds how frequent a tag is (Bourlard and Morgan
1990, doi:10.1007/978-3-642-76153-9_35). A word's row of logits is replaced by the logarithms of its marginals, which
the forward-backward algorithm gives (Rabiner 1989, doi:10.1109/5.18626, §III.A): the largest is the tag, and all that
reads logits reads these. Nothing is trained: pairs are counted, and λ is chosen on held-out examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.probabilities import softmax

SHARES = (0.25, 0.5, 0.75, 1.0)  # λ
UNSEEN = -5.0  # score of a pair that training does not have: e^−5, less than one in a hundred
DECIMALS = 3  # of a score: an app reads it from JSON
MOST_TAGS = 1_000  # whose pairs are a table of 8 MB
LEAST = 1e-300  # probability whose logarithm is taken for 0's
TOGETHER = 256  # sentences that are decided at once


@dataclass(frozen=True)
class TagChain:
    """Scores of a tag behind another, of `count` tags: `pairs` are (before, behind, score), of class ids.

    `count` stands for a text's begin where it is before, and for its end where it is behind. Each other pair has the
    score `unseen`.
    """

    count: int
    pairs: tuple[tuple[int, int, float], ...]
    unseen: float = UNSEEN

    @cached_property
    def factors(self) -> np.ndarray:
        """What pairs multiply a chain's probability by, float64 `(count + 1, count + 1)`: before, behind."""
        scores = np.full((self.count + 1, self.count + 1), self.unseen)
        for before, behind, score in self.pairs:
            scores[before, behind] = score
        return np.exp(scores)

    def read(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """Flat logits `(T, count)`, those of labelled words as logarithms of their marginals, float32."""
        rows, found = np.flatnonzero(encoded.scored), logits.astype(np.float32, copy=True)
        lengths = np.bincount(encoded.label_examples[rows], minlength=len(encoded))
        found[rows] = self.marginals(logits[rows], lengths)
        return found

    def marginals(self, logits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Log marginals `(words, count)` float64 of sentences of `lengths` words, one behind the other."""
        own, found = softmax(logits) if len(logits) else logits.astype(np.float64), np.zeros(logits.shape)
        starts, order = np.cumsum(lengths) - lengths, np.argsort(-lengths, kind="stable")
        order = order[lengths[order] > 0]
        for first in range(0, len(order), TOGETHER):
            chosen = order[first : first + TOGETHER]
            self._sentences(own, starts[chosen], lengths[chosen], found)
        return np.log(np.maximum(found, LEAST))

    def _sentences(self, own: np.ndarray, starts: np.ndarray, lengths: np.ndarray, found: np.ndarray) -> None:
        """Marginals of sentences, the longest first, into `found`; a place at a time, each divided by its sum."""
        between, begin, end = self.factors[:-1, :-1], self.factors[-1, :-1], self.factors[:-1, -1]
        longest = int(lengths[0])
        going = [int((lengths > place).sum()) for place in range(longest)]  # sentences that have this place
        forward: list[np.ndarray] = []
        for place, count in enumerate(going):
            before = begin if place == 0 else forward[-1][:count] @ between
            forward.append(_normal(before * own[starts[:count] + place]))
        backward = np.empty((0, self.count))
        for place in reversed(range(longest)):
            ending = np.tile(end, (going[place] - len(backward), 1))
            backward = np.concatenate([backward, ending])  # those that end here are the shortest, and so the last
            rows = starts[: going[place]] + place
            found[rows] = _normal(forward[place] * backward)
            backward = _normal((backward * own[rows]) @ between.T)


def _normal(rows: np.ndarray) -> np.ndarray:
    """Rows that add up to 1."""
    return np.asarray(rows / np.maximum(rows.sum(axis=1, keepdims=True), LEAST))


def count_pairs(encoded: Encoded, count: int) -> np.ndarray:
    """How often a tag stands behind another in labelled data, int64 `(count + 1, count + 1)`: before, behind."""
    rows = np.flatnonzero(encoded.scored)
    return count_neighbours(encoded.labels[rows], encoded.label_examples[rows], count)


def count_neighbours(tags: np.ndarray, owners: np.ndarray, count: int) -> np.ndarray:
    """The same of tags `(words,)` of `count` kinds; `owners (words,)`: the text that each stands in, ascending."""
    new = np.flatnonzero(np.diff(owners, prepend=-1))  # first words
    before = np.insert(tags, new, count)  # a text's begin, which is the end of the one before it
    behind = np.append(before[1:], count)
    found = np.zeros((count + 1, count + 1), np.int64)
    np.add.at(found, (before, behind), 1)
    return found


def chain_of(counts: np.ndarray, share: float) -> TagChain:
    """The chain of counted pairs, whose scores weigh `share` (λ)."""
    total = counts.sum(axis=1)
    frequency = counts.sum(axis=0) / max(1, counts.sum())  # of a tag, and of a text's end
    pairs = []
    for before, behind in zip(*np.nonzero(counts), strict=True):
        score = share * np.log(counts[before, behind] / total[before] / frequency[behind])
        pairs.append((int(before), int(behind), round(float(score), DECIMALS)))
    return TagChain(len(counts) - 1, tuple(pairs))


def choose_chain(counts: np.ndarray, judge: Callable[[TagChain | None], float]) -> TagChain | None:
    """The chain, of several λ, that `judge` gives most; None where none is better than each word by itself."""
    best, most = None, judge(None)
    for share in SHARES:
        chain = chain_of(counts, share)
        value = judge(chain)
        if value > most:
            best, most = chain, value
    return best
