"""Training the linear model: support vectors on hashed n-grams, rounded until the file fits the budget.

The solver is liblinear's dual coordinate descent (Fan et al. 2008, LIBLINEAR), stopped early: where it was run to
the end, no figure was better. Columns are weighed by how much they tell about the labels in naive Bayes' eyes, or not
(Wang and Manning 2012, "Baselines and Bigrams"); that, and the penalty, are chosen on a part of the training data.
Weights times column weights are rounded to int8 by a scale for each label, then to fewer and fewer levels, which zlib
packs tighter, until the file fits; where none does, with half as many buckets. Of label sets each label has a model of
its own, and is answered where its score is above 0; columns are not weighed, since naive Bayes needs one label a text.
Scores have ridge regression instead (`ridge.py`), on the same features, rounded in the same way.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from edgepack.errors import InputError
from edgepack.evidence.linear.features import NEED, Features
from edgepack.evidence.linear.model import LinearModel, read_linear
from edgepack.evidence.linear.ridge import choose_penalty, fit_ridge
from edgepack.evidence.linear.tag_model import MAGIC as TAGGER
from edgepack.evidence.linear.tag_model import read_tagger
from edgepack.evidence.linear.word_features import WordFeatures
from edgepack.machine.extras import import_package
from edgepack.task.dataset import Dataset, Example
from edgepack.task.label_f1 import micro_f1
from edgepack.task.task import Task

MOST_BUCKETS = 2**18  # more told nothing more on any data tried, up to 67,000 texts
MOST_WEIGHTS = 2**22  # of all labels; in training they are float64
PACKED = 8  # weights in a byte of the budget, at most: few are not 0
LEVELS = (127, 63, 31, 15, 7)  # the largest rounded weight
CHOICES = ((False, 1.0), (False, 3.0), (True, 0.3), (True, 1.0))  # columns weighed; C, the penalty's inverse
CHOICES_OF_SETS = ((False, 1.0), (False, 3.0))
SPLIT_WORK = 200_000  # examples times labels that a choice is tried on, in all rounds
MOST_TRIED, MOST_HELD_OUT, ROUNDS = 12_000, 2_000, 5
CHARACTERS = 6_000_000  # of text: above, words alone; their n-grams take a tenth of the time
MOST_CHARACTERS = 60_000_000  # above, a part of the examples
ITERATIONS, TOLERANCE = 20, 0.1


@dataclass(frozen=True, eq=False)
class Fitted:
    """Float weights `(buckets, columns)`, intercepts and the class ids that they are of; `sets`: several at once."""

    weights: np.ndarray
    intercepts: np.ndarray
    seen: np.ndarray
    sets: bool = False

    def decide(self, rows: Any) -> np.ndarray:
        """Class ids; of label sets 1 for each label that is answered, `(n, columns)`."""
        scores = rows @ self.weights + self.intercepts
        if self.sets:
            return np.asarray(scores > 0, dtype=np.int64)
        chosen = (scores[:, 0] > 0).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(axis=1)
        return np.asarray(self.seen[chosen])


def train_linear(train: Dataset, task: Task, budget_bytes: int, seed: int = 0) -> tuple[LinearModel, str]:
    """The model whose file fits the budget, and how it was trained; `InputError` where there can be none."""
    examples = _sample(train.examples, seed)
    labels, seen = _known(task.label_rows([example.label for example in examples]), task)
    columns = 1 if task.is_score or (len(seen) == 2 and not task.is_multi_label) else len(seen)
    features = Features(bucket_count(columns, budget_bytes), _size(examples) <= CHARACTERS, task.pair)
    rows = features.rows(examples)
    fit, how = _chosen(rows, labels, task, seed)
    what = "scores" if task.is_score else f"{len(seen)} labels"
    model = fit_within(
        features,
        budget_bytes,
        lambda fewer: fit(rows if fewer == features else fewer.rows(examples)),
        partial(LinearModel, seen=seen, labels=len(task.labels)),
        what,
    )
    of = "" if len(examples) == len(train) else f" of {len(train):,}"
    what = "scores" if task.is_score else "labels"
    return model, f"{how}, on the {what} of {len(examples):,}{of} training examples"


def _known(labels: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """What can be learnt, and the class ids that it is of; `InputError` where there is nothing."""
    if task.is_score:
        if labels.min() == labels.max():
            raise InputError(f"all training examples have the score {labels[0]:g}; a linear model needs two scores")
        return labels, np.zeros(1, np.int64)
    if task.is_multi_label:
        seen = np.flatnonzero((labels.min(axis=0) == 0) & (labels.max(axis=0) == 1))
        if not len(seen):
            needed = "a label that some of the texts have"
            raise InputError(f"all training examples are the same labels; a linear model needs {needed}")
        return labels[:, seen], seen
    seen = np.unique(labels)
    if len(seen) < 2:
        raise InputError(f"all training examples are {task.labels[seen[0]]}; a linear model needs two labels")
    return labels, seen


def _chosen(rows: Any, labels: np.ndarray, task: Task, seed: int) -> tuple[Callable[[Any], Fitted], str]:
    """How rows are learnt from, by settings chosen on some of these; and that in words."""
    if task.is_score:
        ridge_penalty = choose_penalty(rows, labels, seed)

        def ridge(rows: Any) -> Fitted:
            weights, intercept = fit_ridge(rows, labels, ridge_penalty)
            return Fitted(weights[:, None], np.array([intercept]), np.zeros(1, np.int64))

        return ridge, f"ridge regression, penalty {ridge_penalty:g}"
    weighed, penalty = _choose(rows, labels, seed)
    how = f"linear support vectors, C = {penalty:g}" + (", columns weighed by naive Bayes" if weighed else "")
    return lambda rows: fit_labels(rows, labels, weighed, penalty, seed), how


def _size(examples: Sequence[Example]) -> int:
    return sum(len(example.text) + len(example.pair or "") for example in examples)


def _sample(examples: Sequence[Example], seed: int) -> Sequence[Example]:
    """All examples, or so many that their text is not too much."""
    share = MOST_CHARACTERS / max(_size(examples), 1)
    if share >= 1:
        return examples
    chosen = np.random.default_rng(seed).permutation(len(examples))[: max(1, int(share * len(examples)))]
    return [examples[i] for i in np.sort(chosen)]


def bucket_count(columns: int, budget_bytes: int) -> int:
    """A power of two, so many that the weights fit once they are rounded and packed."""
    weights = min(PACKED * budget_bytes, MOST_WEIGHTS)
    return int(min(MOST_BUCKETS, 2 ** max(0, (weights // columns).bit_length() - 1)))


def fills_no_more(data: bytes, budget_bytes: int) -> bool:
    """Whether training within a larger budget would give this file again: as many buckets, the finest levels."""
    model = (read_tagger if data.startswith(TAGGER) else read_linear)(data)
    most = bucket_count(len(model.weights), budget_bytes)
    return model.features.buckets == most and int(abs(model.weights).max()) == LEVELS[0]


def _choose(rows: Any, labels: np.ndarray, seed: int) -> tuple[bool, float]:
    """Whether columns are weighed, and C: the best on tenths of some of the examples, held out one after another."""
    sets = labels.ndim == 2
    kinds = labels.shape[1] if sets else len(np.unique(labels))
    choices = CHOICES_OF_SETS if sets else CHOICES
    order = np.random.default_rng(seed).permutation(len(labels))[: min(MOST_TRIED, max(kinds, SPLIT_WORK // kinds))]
    part = len(order) // 10
    if not part:
        return choices[0]
    rounds = min(ROUNDS, MOST_HELD_OUT // part, SPLIT_WORK // (kinds * len(order)))
    right = np.zeros(len(choices))
    for start in range(0, max(rounds, 1) * part, part):
        judged, learnt = order[start : start + part], np.delete(order, slice(start, start + part))
        if not sets and len(np.unique(labels[learnt])) < 2:
            continue
        for number, choice in enumerate(choices):
            decided = fit_labels(rows[learnt], labels[learnt], *choice, seed).decide(rows[judged])
            right[number] += micro_f1(decided, labels[judged]) if sets else (decided == labels[judged]).sum()
    return choices[int(np.argmax(right))]


def fit_labels(rows: Any, labels: np.ndarray, weighed: bool, penalty: float, seed: int) -> Fitted:
    """One against the rest; of label sets `(n, columns)` each against texts without it."""
    if labels.ndim == 2:
        parts = [fit_labels(rows, column, False, penalty, seed) for column in labels.T]
        weights = np.concatenate([part.weights for part in parts], axis=1)
        intercepts = np.concatenate([part.intercepts for part in parts])
        return Fitted(weights, intercepts, np.arange(labels.shape[1]), sets=True)
    svm, failures = import_package("sklearn.svm", NEED), import_package("sklearn.exceptions", NEED)
    column_weights = _column_weights(rows, labels) if weighed else np.ones(rows.shape[1], np.float32)
    scaled = rows.copy()
    scaled.data = scaled.data * column_weights[scaled.indices]
    if labels.min() == labels.max():  # of a label set: a label that this part of the texts lacks
        return Fitted(np.zeros((rows.shape[1], 1)), np.array([2.0 * labels[0] - 1]), labels[:1])
    solver = svm.LinearSVC(C=penalty, max_iter=ITERATIONS, tol=TOLERANCE, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", failures.ConvergenceWarning)  # stopped early on purpose
        solver.fit(scaled, labels)
    return Fitted(solver.coef_.T * column_weights[:, None], solver.intercept_, solver.classes_)


def _column_weights(rows: Any, labels: np.ndarray) -> np.ndarray:
    """Of each column the largest |log ratio| of its share among one label's n-grams to that among the others'."""
    present = rows.copy()
    present.data = np.ones_like(present.data)
    total, largest = 1 + np.asarray(present.sum(axis=0)).ravel(), np.zeros(rows.shape[1])
    for label in np.unique(labels):
        own = 1 + np.asarray(present[labels == label].sum(axis=0)).ravel()
        others = total - own + 1
        ratio = np.log(own / own.sum()) - np.log(others / others.sum())
        largest = np.maximum(largest, np.abs(ratio))
    return largest.astype(np.float32)


class Written(Protocol):
    """A model that has a file."""

    def to_bytes(self) -> bytes:
        """The file."""


M = TypeVar("M", bound=Written)
F = TypeVar("F", Features, WordFeatures)


def fit_within(features: F, budget_bytes: int, fit: Callable[[F], Fitted], make: Callable[..., M], what: str) -> M:
    """The model with as many buckets as the budget holds, halved until it fits; `InputError` where none does.

    `make` is called with features, weights, scales and intercepts; `what`: it is of, in words.
    """
    while True:
        model = _rounded(fit(features), budget_bytes, partial(make, features))
        if model is not None:
            return model
        if features.buckets == 1:
            raise InputError(f"no linear model of {what} fits in {budget_bytes:,} bytes")
        features = features._replace(buckets=features.buckets // 2)


def _rounded(fitted: Fitted, budget_bytes: int, make: Callable[[np.ndarray, np.ndarray, np.ndarray], M]) -> M | None:
    """The model of int8 weights `(columns, buckets)`, scales and intercepts with as many levels as fit; else None."""
    largest = np.maximum(np.abs(fitted.weights).max(axis=0), 1e-12)
    for levels in LEVELS:
        scales = (largest / levels).astype(np.float32)
        weights = np.ascontiguousarray(np.round(fitted.weights / scales).astype(np.int8).T)
        model = make(weights, scales, np.asarray(fitted.intercepts, np.float32))
        if len(model.to_bytes()) <= budget_bytes:
            return model
    return None
