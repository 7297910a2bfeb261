"""Whether data and teacher mean the same by the same label: seen in what the teacher answers.

A label order that differs is silent: class ids fit any order, and a student learns the wrong ones for hours. The sign
is a permutation of classes that fits the teacher's answers much better than the identity: labelled `garden`, it says
`kitchen`, and the other way round. A class that the teacher knows on evaluation data and not on training data is
another. A weak teacher shows neither: it loses a class to a frequent one, or scatters.

Counts are compared exactly (binomial tail; Fisher 1922 for two samples), with a limit that is divided by the number of
permutations or classes that could have been found, so small data and hard tasks do not alarm. Of tagging tasks the
entity types, or plain tags, are compared, each combination once in an example, since words of one sentence are no
independent draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log

import numpy as np

from edgepack.errors import shown
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task

CHANCE = 1e-3  # of an alarm by chance
FITTING = 0.6  # share of the examples of the classes concerned that the permutation explains
KNOWN = 0.5  # recall on evaluation data from which a class counts as known
MOVED = 0.4  # share of a label's examples that are another class: noise is seldom so one-sided
SHOWN = 4  # confused classes in a message


@dataclass(frozen=True, eq=False)
class Answers:
    """How often each label `(row)` was answered by each `(column)`; `names` of both.

    The first `outside` are no class.
    """

    counts: np.ndarray
    names: tuple[str, ...]
    outside: int = 0

    @property
    def total(self) -> int:
        """All that has the label of a class."""
        return int(self.counts[self.outside :].sum())

    @property
    def right(self) -> int:
        """Of these, those answered as labelled."""
        return int(np.diagonal(self.counts)[self.outside :].sum())


def count_answers(task: Task, logits: np.ndarray, encoded: Encoded) -> Answers:
    """The teacher's answers by label; of tags of entities by type, of label sets by the likeliest label.

    Of label sets, texts with one label alone are counted: which answer stands for which label is not known elsewhere.
    """
    if task.is_multi_label:
        single = encoded.labels.sum(axis=1) == 1
        counts = np.zeros((len(task.labels), len(task.labels)), np.int64)
        np.add.at(counts, (encoded.labels[single].argmax(axis=1), logits[single].argmax(axis=1)), 1)
        return Answers(counts, task.labels)
    scored = encoded.scored
    labels, answers = encoded.labels[scored], task.decide(logits)[scored]
    names, of_label = task.labels, np.arange(len(task.labels))
    if task.finds_entities:
        kinds = sorted(task.class_names)
        names = ("O", *kinds)
        of_label = np.array([0 if mark.kind is None else 1 + kinds.index(mark.kind) for mark in task.marks])
    if task.is_tagging:
        triples = np.stack([encoded.label_examples[scored], of_label[labels], of_label[answers]])
        _, labels, answers = np.unique(triples, axis=1)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, answers), 1)
    return Answers(counts, names, int(task.finds_entities))


def find_permutation(answers: Answers) -> dict[int, int]:
    """Classes, and the others that the teacher answers for them, where these fit much better than their own."""
    counts = answers.counts
    present = np.flatnonzero(counts.sum(axis=1))
    favourite = {int(g): int(counts[g].argmax()) for g in present if counts[g].max() > counts[g, g]}
    owned = {int(g) for g in present if int(g) not in favourite}
    while True:  # each answer is for one label only, and for none that has it right
        targets = list(favourite.values())
        kept = {g: t for g, t in favourite.items() if t not in owned and targets.count(t) == 1}
        if len(kept) == len(favourite):
            break
        favourite = kept
    if len(favourite) < 2:
        return {}
    fitting = sum(int(counts[g, t]) for g, t in favourite.items())
    own = sum(int(counts[g, g]) for g in favourite)
    everything = int(counts[list(favourite)].sum())
    certain = log_tail(fitting, fitting + own) + len(favourite) * log(len(counts)) < log(CHANCE)
    return favourite if certain and fitting >= FITTING * everything and 2 * own <= fitting else {}


def find_relabelled(train: Answers, evaluation: Answers) -> dict[int, int]:
    """Labels, and the class that a good part of each is by the teacher's answers on training data alone.

    Rates within a label are compared, so that it does not matter how frequent the classes are in either.
    """
    found = {}
    for g in range(len(train.counts)):
        n, m, known = int(train.counts[g].sum()), int(evaluation.counts[g].sum()), int(evaluation.counts[g, g])
        others = train.counts[g].copy()
        others[g] = 0
        t = int(others.argmax())
        moved, before = int(others[t]), int(evaluation.counts[g, t])
        if not n or not m or known < KNOWN * m or moved < MOVED * n or 3 * before * n >= moved * m:
            continue
        if log_fisher(before, m, moved, n) + log(len(train.counts)) < log(CHANCE):
            found[g] = t
    return found


def is_contradicted(train: Answers, evaluation: Answers) -> bool:
    """Whether the teacher is right on less than half as much of the training data as of the evaluation data."""
    right, n, known, m = train.right, train.total, evaluation.right, evaluation.total
    return bool(n and m) and 2 * right * m < known * n and log_fisher(right, n, known, m) < log(CHANCE)


def describe(answers: Answers, confused: dict[int, int]) -> str:
    """The confusion in words: labelled so, answered so, how often."""
    most = sorted(confused, key=lambda g: -answers.counts[g, confused[g]])
    parts = [
        f"labelled {shown(answers.names[g], 40)}, it says {shown(answers.names[confused[g]], 40)} "
        f"({answers.counts[g, confused[g]]} of {answers.counts[g].sum()})"
        for g in most[:SHOWN]
    ]
    more = [f"{len(most) - SHOWN} more likewise"] if len(most) > SHOWN else []
    return "; ".join([*parts, *more])


def label_problem(train: Answers, evaluation: Answers, source: str) -> str | None:
    """What is wrong between labels and teacher, in one line, if anything; `source` names the training data."""
    for answers, which in ((evaluation, "evaluation data"), (train, f"training data ({source})")):
        confused = find_permutation(answers)
        if confused:
            numbers = all(name.isdecimal() for name in answers.names)
            hint = " (integers may be names or class ids from 0)" if numbers else ""
            return f"{which}: its labels stand in another order than the teacher's{hint}: {describe(answers, confused)}"
    where, rate = f"training data ({source})", evaluation.right / max(1, evaluation.total)
    confused = find_relabelled(train, evaluation)
    if confused:
        return (
            f"{where}: a label holds another class of the teacher's here, and not in the evaluation data: "
            f"{describe(train, confused)}"
        )
    if is_contradicted(train, evaluation):
        share = train.right / max(1, train.total)
        worst = {int(g): int(train.counts[g].argmax()) for g in np.flatnonzero(train.counts.sum(axis=1))}
        wrong = {g: t for g, t in worst.items() if g != t}
        return (
            f"{where}: the teacher agrees with {share:.0%} of its labels, and with {rate:.0%} of the evaluation data's"
            f"{': ' if wrong else ''}{describe(train, wrong)}"
        )
    return None


def log_tail(k: int, n: int) -> float:
    """The log of the chance of at least `k` heads in `n` tosses of a fair coin."""
    if k <= 0:
        return 0.0
    return _log_sum([_log_choose(n, i) for i in range(k, n + 1)]) - n * log(2)


def log_fisher(a: int, n: int, b: int, m: int) -> float:
    """The log of the chance of `a` or fewer of the `a + b` hits among the first `n` of `n + m`, at one rate."""
    hits = a + b
    least = max(0, hits - m)
    return _log_sum([_log_choose(n, i) + _log_choose(m, hits - i) for i in range(least, a + 1)]) - _log_choose(
        n + m, hits
    )


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _log_sum(logs: list[float]) -> float:
    top = max(logs)
    return top + log(sum(exp(each - top) for each in logs))
