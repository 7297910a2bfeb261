"""The metric on parts of the evaluation data: short and long texts, rare words, unknown tokens, each label.

A slice is `worse` where the artifact loses on it by more than chance. Many slices are looked at, so p-values are
corrected by Holm's method (1979, Scandinavian Journal of Statistics 6:65-70) and the intervals hold together
(Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Literal

import numpy as np

from edgepack.bundle.analysis import SliceScore
from edgepack.evidence.answers import Labelled
from edgepack.evidence.classes import CONFIDENCE, difference_interval
from edgepack.evidence.paired_ratio import PairedRows, paired_rows, paired_values, score

LEAST_EXAMPLES = 10  # of a slice: fewer say nothing
MOST_LABELS = 40  # the commonest; more slices would leave none with a chance to show anything
RARE_USES = 2  # a token that the training data use so rarely, or not at all

Kind = Literal["length", "rare_words", "unknown_tokens", "label"]


@dataclass(frozen=True, eq=False)
class Words:
    """What is known of the tokens: uses of each of the teacher's ids in the training data, the unknown ids of both."""

    uses: np.ndarray
    student_unknown: int | None


@dataclass(frozen=True, eq=False)
class Part:
    """One slice: which examples are in it, bool `(n,)`."""

    kind: Kind
    name: str
    chosen: np.ndarray


def parts_of(teacher: Labelled, artifact: Labelled, words: Words | None) -> list[Part]:
    """All slices with enough examples inside; of rankings none, since a query has candidates of every kind."""
    if teacher.task.ranks:
        return []
    return large_enough([*text_parts(teacher, artifact, words), *label_parts(teacher)])


def large_enough(parts: Sequence[Part]) -> list[Part]:
    """Those with enough examples that are not all."""
    return [part for part in parts if LEAST_EXAMPLES <= part.chosen.sum() < len(part.chosen)]


def text_parts(
    teacher: Labelled, artifact: Labelled, words: Words | None, units: np.ndarray | None = None
) -> list[Part]:
    """Slices by what stands in the texts: their length, words that training hardly saw, unknown tokens.

    `units` `(texts,)`: what a text is a part of, as of a pair, where slices are of these; negative: of none.
    """
    belongs = np.arange(teacher.n) if units is None else units

    def of_units(values: np.ndarray) -> np.ndarray:
        return np.bincount(belongs[belongs >= 0], weights=values[belongs >= 0])

    lengths = of_units(teacher.form.encoded.lengths)
    ends = np.unique(np.quantile(lengths, [1 / 3, 2 / 3], method="inverted_cdf"))
    parts = []
    for low, high in pairwise([0, *map(int, ends), int(lengths.max())]):
        name = f"{low + 1} to {high} tokens" if low else f"up to {high} tokens"
        parts.append(Part("length", name, (lengths > low) & (lengths <= high)))
    if words is None:
        return parts
    rare = of_units(holding(teacher, words.uses <= RARE_USES)) > 0
    parts += [Part("rare_words", "with rare words", rare), Part("rare_words", "without", ~rare)]
    if words.student_unknown is not None:
        ids = artifact.form.encoded.input_ids
        unknown = np.zeros(int(ids.max()) + 1, bool)
        if words.student_unknown < len(unknown):
            unknown[words.student_unknown] = True
        parts.append(Part("unknown_tokens", "with unknown tokens", of_units(holding(artifact, unknown)) > 0))
    return parts


def holding(model: Labelled, tokens: np.ndarray) -> np.ndarray:
    """Which examples hold a token of these, bool `(vocabulary,)`."""
    encoded = model.form.encoded
    return np.bincount(encoded.token_examples[tokens[encoded.input_ids]], minlength=len(encoded)) > 0


def label_parts(model: Labelled) -> list[Part]:
    """The examples of each label; of tags, those with an entity of each type."""
    found = {name: model.class_statistics(name)[:, 2] > 0 for name in model.class_names}
    commonest = sorted(found, key=lambda name: -int(found[name].sum()))[:MOST_LABELS]
    return [Part("label", name, found[name]) for name in model.class_names if name in commonest]


def slice_scores(teacher: Labelled, artifact: Labelled, words: Words | None) -> list[SliceScore]:
    """The metric of both models on every slice."""
    return scores_on(parts_of(teacher, artifact, words), teacher, artifact)


def scores_on(parts: Sequence[Part], teacher: Labelled, artifact: Labelled) -> list[SliceScore]:
    """The metric of both models on these slices, looked at together."""
    task = teacher.task
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(parts))
    rows = [paired_rows(artifact.statistics[part.chosen], teacher.statistics[part.chosen]) for part in parts]
    corrected = holm([p_value(each, teacher) for each in rows])
    scores = []
    for part, counted, p in zip(parts, rows, corrected, strict=True):
        old, new = (task.metric(side, counted.counts) for side in (counted.teacher, counted.artifact))
        low, high = difference_interval(counted, task, confidence)
        figures = {"teacher": old, "artifact": new, "low": low, "high": high, "p_value": p}
        worse = p < 1 - CONFIDENCE and new < old
        scores.append(SliceScore(kind=part.kind, name=part.name, n=counted.n, worse=worse, **figures))
    return scores


def p_value(rows: PairedRows, model: Labelled) -> float:
    """Two-sided, of "both have the same metric"."""
    if not model.task.metric(rows.teacher, rows.counts) > 0:
        return 1.0
    return 2 * NormalDist().cdf(-abs(score(paired_values(rows, model.task), 1.0)))


def holm(p_values: list[float]) -> list[float]:
    """p-values corrected for their number: the smallest times m, the next times m − 1, …, never falling."""
    order = np.argsort(p_values)
    corrected, highest = np.ones(len(p_values)), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = highest
    return corrected.tolist()
