"""Training a linear tagger: support vectors over words, and scores of one tag after another, rounded to the budget.

Each tag has a weight for each hashed feature of a word (`word_features.py`), learnt against all other tags: as labels
of texts are (`training.py`); or where there are many words and tags by stochastic gradient descent on the same loss,
the weights averaged over its steps (Bottou 2010, "Large-Scale Machine Learning with Stochastic Gradient Descent"),
which takes a tenth of the time there, and on few words lost a point of entity F1.
A sentence's tags are then the chain with the highest sum (Viterbi 1967) of

    a word's score for its tag  +  λ · log P(tag | tag before),

counted in the training data, over chains that the task's scheme allows, or that the training data have. C and
λ are chosen on tenths of the training sentences, held out one after another. The scores of a word are trained without
the tags before it: no chain is decoded in training, which therefore takes seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from edgepack.errors import InputError
from edgepack.evidence.linear.features import NEED
from edgepack.evidence.linear.tag_model import LinearTagger, Transitions, lengths_of, two_columns
from edgepack.evidence.linear.tag_statistics import tag_statistics
from edgepack.evidence.linear.training import Fitted, bucket_count, fit_labels, fit_within
from edgepack.evidence.linear.word_features import WordFeatures
from edgepack.machine.extras import import_package
from edgepack.task.chain import count_neighbours
from edgepack.task.dataset import Dataset, Example
from edgepack.task.schemes import parse_tag
from edgepack.task.task import Task

EXACT_WORK = 2_000_000  # words times tags: above, gradient descent
EPOCHS = 5
MOST_WORK = 20_000_000  # words times tags that are learnt from
MOST_WORDS = 1_000_000  # the same; their features take 0.2 GB, three times that while they are put together
MOST_TRIED = 1_000_000  # words times tags that settings are chosen on, in each round
ROUNDS = 2
SMOOTHED = 0.1  # added to each count of a tag after another
OPEN, INNER = frozenset("BIM"), frozenset("IMEL")  # of IOBES and BILOU: what must go on, and what goes on


class Solver(NamedTuple):
    """How weights are learnt: `penalties` (C) and λ (`shares`) to choose from, which are of its scores' size."""

    how: str
    penalties: tuple[float, ...]
    shares: tuple[float, ...]
    fit: Callable[[Any, np.ndarray, float, int], Fitted]  # rows, tags, C (the penalty's inverse), seed


def train_tagger(train: Dataset, task: Task, budget_bytes: int, seed: int = 0) -> tuple[LinearTagger, str]:
    """The tagger whose file fits the budget, and how it was trained; `InputError` where there can be none."""
    examples = _some(train.examples, min(MOST_WORK // len(task.labels), MOST_WORDS), seed)
    seen, known = np.unique(flat_tags(examples), return_inverse=True)
    if len(seen) < 2:
        raise InputError(f"all training words are {task.labels[seen[0]]}; a linear model needs two tags")
    solver = EXACT if len(known) * len(seen) <= EXACT_WORK else DESCENT
    features = WordFeatures(bucket_count(1 if len(seen) == 2 else len(seen), budget_bytes))
    penalty, share = _choose(features, _some(examples, MOST_TRIED // len(task.labels), seed), task, solver, seed)
    transitions = count_transitions(examples, seen, task, share)
    model = fit_within(
        features,
        budget_bytes,
        lambda fewer: solver.fit(fewer.rows(examples), known, penalty, seed),
        partial(LinearTagger, seen=seen, labels=len(task.labels), transitions=transitions),
        f"{len(seen)} tags",
    )
    of = "" if len(examples) == len(train) else f" of {len(train):,}"
    how = f"linear support vectors over words, {solver.how} {penalty:g}, tags after tags weigh {share:g}"
    return model, f"{how}, on the tags of {len(examples):,}{of} training examples"


def flat_tags(examples: Sequence[Example]) -> np.ndarray:
    """The class ids of all words, int64."""
    return np.array([tag for example in examples for tag in example.label], np.int64)  # type: ignore[union-attr]


def _some(examples: Sequence[Example], words: int, seed: int) -> Sequence[Example]:
    """All examples, or so many that they have about this number of words."""
    lengths = lengths_of(examples)
    if lengths.sum() <= words:
        return examples
    order = np.random.default_rng(seed).permutation(len(examples))
    count = int(np.searchsorted(np.cumsum(lengths[order]), words, side="right"))
    return [examples[i] for i in np.sort(order[: max(1, count)])]


def _choose(
    features: WordFeatures, examples: Sequence[Example], task: Task, solver: Solver, seed: int
) -> tuple[float, float]:
    """C and λ that do best on held-out tenths of the sentences."""
    shuffled = [examples[i] for i in np.random.default_rng(seed).permutation(len(examples))]
    part, figures = len(shuffled) // 10, np.zeros((len(solver.penalties), len(solver.shares)))
    for start in range(0, ROUNDS * part, max(part, 1)):
        judged, learnt = shuffled[start : start + part], [*shuffled[:start], *shuffled[start + part :]]
        seen, known = np.unique(flat_tags(learnt), return_inverse=True)
        if len(seen) < 2:
            continue
        rows, judged_rows = features.rows(learnt), features.rows(judged)
        chains = [count_transitions(learnt, seen, task, share) for share in solver.shares]
        for i, penalty in enumerate(solver.penalties):
            fitted = solver.fit(rows, known, penalty, seed)
            scores = two_columns(judged_rows @ fitted.weights + fitted.intercepts)
            for j, chain in enumerate(chains):
                tags = seen[chain.best(scores, lengths_of(judged))]
                figures[i, j] += task.metric(tag_statistics(tags, judged, task))
    penalty_number, share_number = divmod(int(figures.argmax()), len(solver.shares))
    return solver.penalties[penalty_number], solver.shares[share_number]


def _exact(rows: Any, known: np.ndarray, penalty: float, seed: int) -> Fitted:
    return fit_labels(rows, known, False, penalty, seed)


def _descent(rows: Any, known: np.ndarray, penalty: float, seed: int) -> Fitted:
    linear, failures = import_package("sklearn.linear_model", NEED), import_package("sklearn.exceptions", NEED)
    settings = {"max_iter": EPOCHS, "tol": None, "average": True, "random_state": seed}
    solver = linear.SGDClassifier(loss="hinge", alpha=1 / (penalty * len(known)), **settings)  # which is C of a sum
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", failures.ConvergenceWarning)
        solver.fit(rows, known)
    return Fitted(solver.coef_.T, solver.intercept_, solver.classes_)


EXACT = Solver("C =", (1.0, 3.0, 10.0), (0.0, 0.03, 0.1, 0.3), _exact)
DESCENT = Solver("by gradient descent, C =", (3.0, 10.0, 30.0), (0.1, 0.3, 1.0, 3.0), _descent)


def count_transitions(examples: Sequence[Example], seen: np.ndarray, task: Task, share: float) -> Transitions:
    """`share` times the logarithms of how often a tag stands behind another, of the tags that training has."""
    place, count = np.full(len(task.labels), -1), len(seen)
    place[seen] = np.arange(count)
    owners = np.repeat(np.arange(len(examples)), lengths_of(examples))
    counts = count_neighbours(place[flat_tags(examples)], owners, count)
    smoothed = counts + SMOOTHED
    scores = share * np.log(smoothed / smoothed.sum(axis=1, keepdims=True))
    return Transitions.rounded(scores, (counts > 0) | allowed_pairs(task, seen))


def allowed_pairs(task: Task, seen: np.ndarray) -> np.ndarray:
    """Which tag may stand behind which in the task's scheme, bool `(s + 1, s + 1)`.

    The last row is a sentence's begin and the last column its end, which are as O.
    """
    allowed = np.ones((len(seen) + 1, len(seen) + 1), bool)
    if task.tag_scheme not in ("BIO", "IOB1", "IOBES", "BILOU"):
        return allowed
    tags = [parse_tag(task.labels[i]) or ("O", "") for i in seen] + [("O", "")]
    for i, before in enumerate(tags):
        for j, behind in enumerate(tags):
            allowed[i, j] = may_stand(before, behind, task.tag_scheme)
    return allowed


def may_stand(before: tuple[str, str], behind: tuple[str, str], scheme: str) -> bool:
    """Whether one tag may stand behind another; each is its prefix and its type."""
    letter, same = behind[0], before[0] != "O" and before[1] == behind[1]
    if scheme == "BIO":
        return letter != "I" or same
    if scheme == "IOB1":
        return letter != "B" or same
    is_open, inner = before[0] in OPEN, letter in INNER
    return is_open == inner and (same or not inner)
