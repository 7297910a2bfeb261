"""Metrics beside a task's own: of label sets the macro F1 and the share of texts with exactly the right set.

Of scores Spearman's correlation and the mean absolute error, in the units of the score; of rankings none. Of vectors
the mean cosine to the teacher's and, where documents are ranked, recall@10.

The gate decides by the task's own metric. Intervals are bootstraps of examples (`task/intervals.py`); macro F1 is the
mean of the F1 of the labels that occur, of their sums in each resample.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.bundle.analysis import Figure, OtherMetric
from edgepack.evidence.answers import Labelled
from edgepack.task.accuracy import Accuracy
from edgepack.task.intervals import Interval, bootstrap
from edgepack.task.label_f1 import LabelF1
from edgepack.task.ranking import spearman
from edgepack.task.scoring import f1_parts, ratio
from edgepack.task.similarity import Retrieval, TeacherCosine
from edgepack.task.task import Task

Measure = Callable[[Labelled], Interval]
RESAMPLES = 1_000  # nearly every row of a label set's statistics is distinct, so each costs


def other_metrics(teacher: Labelled, artifact: Labelled) -> list[OtherMetric]:
    """Those of label sets, scores and vectors, by both models; no others have any."""
    measures = dict(measures_of(teacher.task))
    if teacher.task.embeds and not isinstance(teacher.task.scoring, TeacherCosine):
        measures = {TeacherCosine().name: lambda model: cosine_to(teacher, model), **measures}
    return [
        OtherMetric(name=name, teacher=figure(measure(teacher)), artifact=figure(measure(artifact)))
        for name, measure in measures.items()
    ]


def measures_of(task: Task) -> dict[str, Measure]:
    """What a task's answers are measured by beside its own metric, by name; nothing that needs a teacher."""
    if isinstance(task.scoring, Retrieval):
        return {task.scoring.recall_name: recall}
    if task.is_multi_label:
        return MEASURES
    return SCORE_MEASURES if task.is_score and task.scoring.correlates else {}


def macro_f1(model: Labelled) -> Interval:
    """The mean F1 of the labels that occur in truth."""
    scoring = model.task.scoring
    assert isinstance(scoring, LabelF1)
    counts = scoring.label_statistics(model.form.logits, model.form.encoded)
    counts = counts[:, counts[:, :, 2].any(axis=0)]

    def mean(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        sums = times @ rows
        return np.asarray(ratio(*f1_parts(sums.reshape(*sums.shape[:-1], -1, 3))).mean(axis=-1))

    return bootstrap(counts.reshape(len(counts), -1), mean, RESAMPLES, 0)


def exact_match(model: Labelled) -> Interval:
    """The share of texts whose set is right, label by label."""
    right = (model.decided == model.truth).all(axis=1)
    statistics = np.stack([right, np.ones(len(right))], axis=1).astype(np.int64)
    return bootstrap(statistics, Accuracy().value, RESAMPLES, 0)


def rank_correlation(model: Labelled) -> Interval:
    """Spearman's correlation of the scores with the data's; ranks are taken anew in every resample."""
    return bootstrap(model.statistics, lambda rows, counts: spearman(rows[:, 0], rows[:, 1], counts), RESAMPLES, 0)


def mean_absolute_error(model: Labelled) -> Interval:
    """How far scores are from the data's, in their unit."""

    def mean(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return np.asarray(counts @ np.abs(rows[:, 0] - rows[:, 1]) / counts.sum(axis=-1))

    return bootstrap(model.statistics, mean, RESAMPLES, 0)


def cosine_to(teacher: Labelled, model: Labelled) -> Interval:
    """The mean cosine of a model's vectors to the teacher's."""
    cosine = TeacherCosine()
    return mean_share(cosine.statistics(model.form.logits, cosine.referenced(model.form.encoded, teacher.form.logits)))


def recall(model: Labelled) -> Interval:
    """Recall@10 of a search's queries."""
    scoring = model.task.scoring
    assert isinstance(scoring, Retrieval)
    return mean_share(scoring.recalls(model.form.logits, model.form.encoded))


def mean_share(statistics: np.ndarray) -> Interval:
    """The mean of figures from 0 to 1, with its interval."""
    return bootstrap(statistics, TeacherCosine().value, RESAMPLES, 0)


def figure(found: Interval) -> Figure:
    """An interval as a record."""
    return Figure(value=found.value, low=found.low, high=found.high)


SCORE_MEASURES: dict[str, Measure] = {
    "spearman": rank_correlation,
    "mean_absolute_error": mean_absolute_error,
}
MEASURES: dict[str, Measure] = {"macro_f1": macro_f1, "exact_match": exact_match}
