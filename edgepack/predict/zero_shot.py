"""Labels that nobody trained: a bundle that judges entailment is asked of each label whether the text entails it.

Yin et al. 2019, arXiv:1909.00161: the text is the premise, and "This example is {}." with a label in it the hypothesis.
One label of several is the softmax over the labels' logits of entailment. Where labels do not exclude each other, or
there is one alone, each is the softmax over its own entailment and contradiction. Both are as in transformers'
zero-shot pipeline, of the logits as they are: the manifest's temperature is of another question. Which of the bundle's
labels mean entailment and contradiction is found by their names, and never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.parameters import as_texts
from edgepack.predict.answer import Answer
from edgepack.task.probabilities import softmax
from edgepack.task.task import Task

HYPOTHESIS = "This example is {}."
PLACE = "{}"  # of the label
ENTAILMENT, CONTRADICTION = "entailment", "contradiction"
COUNTS = (2, 3)  # labels of a task of entailment


@dataclass(frozen=True)
class Judged:
    """Class ids: of entailment, and of what it is held against where a label is judged by itself; None: no such."""

    entailment: int
    contradiction: int | None


def judged_by(task: Task) -> Judged:
    """What the labels of a task of entailment are; `InputError` where the task is another."""
    names = [label.strip().lower() for label in task.labels]
    one_label = task.pair and not task.is_tagging and not task.is_multi_label
    if not one_label or len(names) not in COUNTS or names.count(ENTAILMENT) != 1:
        kind = "pairs" if task.pair else "single texts"
        raise InputError(
            f"labels of your own need a bundle for pairs with 2 or 3 labels, one of them called {ENTAILMENT}; this one "
            f"is for {kind}, with {len(names)} labels: {shown(', '.join(task.labels))}"
        )
    entailment = names.index(ENTAILMENT)
    if len(names) == min(COUNTS):
        return Judged(entailment, 1 - entailment)
    return Judged(entailment, names.index(CONTRADICTION) if CONTRADICTION in names else None)


@dataclass(frozen=True)
class Question:
    """Labels to choose from, checked: the sentence that each is put into, and whether several may be true."""

    labels: tuple[str, ...]
    hypothesis: str
    judged: Judged
    multi_label: bool

    @property
    def one_by_one(self) -> bool:
        """Whether each label is judged by itself."""
        return self.multi_label or len(self.labels) == 1

    def pairs(self, text: str) -> list[tuple[str, str]]:
        """The text with each label's hypothesis."""
        if not isinstance(text, str):
            raise InputError(f"text is {shown(text)}; with labels of your own it is a single text: give a string")
        return [(text, self.hypothesis.replace(PLACE, label)) for label in self.labels]

    def answer(self, found: Sequence[Answer], logits: np.ndarray) -> Answer:
        """The answer to a text, of the answers to its `pairs` and their logits `(labels, classes)`."""
        scores = self.scores(logits)
        order = np.argsort(-scores, kind="stable")
        return Answer(
            found[0].text,
            None,
            tokens=max(each.tokens for each in found),
            cut=any(each.cut for each in found),
            unknown=max(each.unknown for each in found),
            label=self.labels[order[0]],
            probability=float(scores[order[0]]),
            probabilities={self.labels[i]: float(scores[i]) for i in order},
        )

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Probability of each label `(labels,)`, of the logits of each hypothesis `(labels, classes)`."""
        if not self.one_by_one:
            return softmax(logits[:, self.judged.entailment])
        assert self.judged.contradiction is not None  # `make_question` refuses
        return softmax(logits[:, [self.judged.contradiction, self.judged.entailment]])[:, 1]


def make_question(task: Task, labels: Sequence[str], hypothesis: str, multi_label: bool) -> Question:
    """The question; `InputError` for a bundle of another task, labels, or a hypothesis that cannot be."""
    judged = judged_by(task)
    labels = as_texts("labels", labels)
    if not all(map(str.strip, labels)):
        raise InputError(f"labels is {shown(labels)}; a list of one name or more is needed, none of them empty")
    if len(set(labels)) != len(labels):
        raise InputError(f"labels is {shown(', '.join(labels))}; each is needed once")
    if (
        not isinstance(hypothesis, str)
        or hypothesis.count(PLACE) != 1
        or any(brace in hypothesis.replace(PLACE, "") for brace in PLACE)
    ):
        raise InputError(f"hypothesis is {shown(hypothesis)}; {PLACE} is needed once, where the label goes")
    question = Question(tuple(labels), hypothesis, judged, multi_label)
    if question.one_by_one and judged.contradiction is None:
        raise InputError(
            f"a label judged by itself needs a bundle with a label called {CONTRADICTION}; this one has "
            f"{shown(', '.join(task.labels))}: ask for two labels or more, of which one is true"
        )
    return question
