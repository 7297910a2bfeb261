"""What lies behind a verdict's metric, read against the metric and against itself.

A policy's limits on classes, calibration and changed texts are held to these records, and the report shows them. They
were counted from the same answers as the metric: the examples of all classes are the metric's, what a table of
confusion has on its diagonal is the accuracy, and two models that are both right agree. Whoever exchanges one of them,
or a label's name, has to exchange all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from edgepack.bundle.analysis import (
    Analysis,
    Calibration,
    ClassScore,
    Robustness,
    SliceScore,
    VectorChange,
    VectorSlice,
)
from edgepack.bundle.verdict import Verdict
from edgepack.errors import InputError, bare
from edgepack.evidence.classes import CONFIDENCE
from edgepack.evidence.noninferiority import rows_of
from edgepack.evidence.other_metrics import measures_of
from edgepack.evidence.paired_ratio import PairedRows
from edgepack.evidence.robustness import CHANGES, WORD_CHANGES, share_difference
from edgepack.task.accuracy import Accuracy
from edgepack.task.label_f1 import LabelF1
from edgepack.task.ranking import spearman
from edgepack.task.scores import AGREED
from edgepack.task.similarity import TeacherCosine
from edgepack.task.task import Task

CLOSE = 1e-6  # figures that were computed twice from the same counts
F1_COLUMNS = 3  # of statistics: right, answered, true
OTHER_RANGES = {"spearman": (-1.0, 1.0), "mean_absolute_error": (0.0, math.inf)}  # of other metrics 0 to 1


def analysis_faults(verdict: Verdict, task: Task) -> list[str]:
    """What of a verdict's analysis cannot be, or does not go with its metrics."""
    found = verdict.analysis
    if found is None:
        return []
    examples = max((record.n for record in verdict.metrics.values()), default=0)
    return [
        *class_faults(found, task, examples),
        *confusion_faults(found, verdict, task),
        *agreement_faults(verdict, task),
        *(fault for score in found.slices for fault in slice_faults(score, task, examples)),
        *repeated_slices(found),
        *calibration_faults(found.calibration, verdict, task),
        *robustness_faults(found.robustness, task),
        *other_faults(found, verdict, task),
        *nearness_faults(found),
        *differing_faults(found, task),
    ]


def is_share(*values: float) -> bool:
    """Whether all are from 0 to 1, up to rounding."""
    return all(-CLOSE <= value <= 1 + CLOSE for value in values)


def names_of(task: Task) -> tuple[str, ...]:
    """Classes as a verdict has them: labels, or types of entities."""
    return tuple(name or "entity" for name in task.class_names)


def class_faults(found: Analysis, task: Task, examples: int) -> list[str]:
    """Classes that are not the task's, in its order, or not of as many examples as there are."""
    known, scores = names_of(task), found.classes
    names = [score.label for score in scores]
    if names != [name for name in known if name in names]:
        return [f"its classes are {', '.join(map(bare, names))}; the bundle's are {', '.join(map(bare, known))}"]
    faults = [f"class {bare(score.label)} has figures that cannot be" for score in scores if not _possible(score)]
    wanted = examples if one_label_each(task) else true_labels(found, task)
    counted = sum(score.n for score in scores)
    if wanted is not None and counted != wanted:
        faults.append(f"its classes have {counted} examples together, the metric has {wanted}")
    return faults


def _possible(score: ClassScore) -> bool:
    return score.n >= 1 and is_share(score.teacher, score.artifact) and score.low >= -1 - CLOSE and is_inside(score)


def is_inside(score: ClassScore | SliceScore) -> bool:
    """Whether the interval of a difference holds it, and ends at 1 or before."""
    return score.low - CLOSE <= score.artifact - score.teacher <= score.high + CLOSE <= 1 + 2 * CLOSE


def one_label_each(task: Task) -> bool:
    """Whether a text has one label, and not a set, tags, a score or a vector."""
    return type(task.scoring) is Accuracy


def true_labels(found: Analysis, task: Task) -> int | None:
    """How many labels or entities there are to find, by the test's counts; None where these do not say."""
    test = found.noninferiority
    if test is None or not test.rows or not task.class_names or task.scoring.columns != F1_COLUMNS:
        return None
    if any(len(row) != 2 * F1_COLUMNS + 1 for row in test.rows):
        return None  # the check of retention says so
    return int(sum(row[F1_COLUMNS - 1] * row[-1] for row in test.rows))


def confusion_faults(found: Analysis, verdict: Verdict, task: Task) -> list[str]:
    """Tables of confusion that are of other labels, examples or answers than metrics and classes."""
    tables = {"teacher": found.teacher_confusion, "artifact": found.artifact_confusion}
    names = found.confusion_labels
    if not names:
        return ["a table of confusion has no labels"] if any(tables.values()) else []
    wanted = ["O", *task.class_names] if task.finds_entities else list(task.labels)
    if names != wanted:
        return [f"its tables of confusion are of {', '.join(map(bare, names))}, not of the bundle's labels"]
    square = [len(names)] * len(names)
    if any([len(row) for row in table] != square or min(map(min, table)) < 0 for table in tables.values()):
        return ["a table of confusion has not a count for each two labels"]
    counts = {form: np.array(table, dtype=np.float64) for form, table in tables.items()}
    if (counts["teacher"].sum(axis=1) != counts["artifact"].sum(axis=1)).any():
        return ["the tables of confusion are of different examples"]
    if task.finds_entities:  # words there, entities in the metric
        return []
    return [fault for form, table in counts.items() for fault in table_faults(form, table, found, verdict, task)]


def table_faults(form: str, table: np.ndarray, found: Analysis, verdict: Verdict, task: Task) -> Iterator[str]:
    """What one model's metric and classes say otherwise than its table."""
    total = table.sum()
    record = verdict.metrics.get(form)
    accuracy = float(np.trace(table) / total) if total else 0.0
    if record is not None and abs(record.value - accuracy) > CLOSE:
        yield f"the {form}'s table of confusion gives an accuracy of {accuracy:.6g}, recorded is {record.value:.6g}"
    if record is not None and one_label_each(task) and total != record.n:
        yield f"the {form}'s table of confusion has {total:.0f} examples of {record.n}"
    scores = {score.label: score for score in found.classes}
    slices = {score.name: score for score in found.slices if score.kind == "label" and one_label_each(task)}
    for i, label in enumerate(task.labels):
        if label in scores and not goes_with(scores[label], form, table[i, i], table[i].sum(), table[:, i].sum()):
            yield f"class {bare(label)} is not what the {form}'s table of confusion gives"
        if (of := slices.get(label)) and abs(getattr(of, form) * of.n - table[i, i]) > CLOSE * of.n + CLOSE:
            yield f"the slice of {bare(label)} is not what the {form}'s table of confusion gives"


def goes_with(score: ClassScore, form: str, right: float, true: float, answered: float) -> bool:
    """Whether a class has the F1 of these counts, and as many examples."""
    f1 = 2 * right / (true + answered) if true + answered else 0.0
    return score.n == true and abs(float(getattr(score, form)) - f1) <= CLOSE


def counted_rows(verdict: Verdict, task: Task) -> PairedRows | None:
    """The counts of the paired test; None where there are none, or none that can be, as the check of retention says."""
    if verdict.noninferiority is None:
        return None
    with suppress(InputError):
        return rows_of(verdict.noninferiority, task)
    return None


def agreement_faults(verdict: Verdict, task: Task) -> list[str]:
    """An agreement that the test's counts rule out."""
    rows, agreement = counted_rows(verdict, task), verdict.agreement
    if rows is None or agreement is None:
        return []
    low, high = agreement_bounds(rows, task)
    if low - CLOSE <= agreement <= high + CLOSE:
        return []
    return [f"agreement is {agreement:.6g}; by the counts of the test it is from {low:.6g} to {high:.6g}"]


def agreement_bounds(rows: PairedRows, task: Task) -> tuple[float, float]:
    """The least and the largest agreement that counts allow; 0 and 1 where they tell nothing of single decisions.

    Answers that are both right, or both empty sets, agree; those with other counts do not. Scores are in the counts.
    """
    one, other = rows.artifact, rows.teacher
    if isinstance(task.scoring, Accuracy | LabelF1):
        possible = (one == other).all(axis=1)
        sure = possible & ((one == one[:, -1:]).all(axis=1) | (isinstance(task.scoring, LabelF1) & (one[:, 1] == 0)))
    elif task.is_score and task.scoring.correlates:
        apart = np.abs(one[:, 0] - other[:, 0])
        mean = rows.counts @ other[:, 0] / rows.n
        limit = AGREED * math.sqrt(rows.counts @ (other[:, 0] - mean) ** 2 / rows.n)
        sure, possible = (apart <= limit + slack for slack in (-CLOSE * (1 + limit), CLOSE * (1 + limit)))
    else:
        return 0.0, 1.0
    return float(rows.counts @ sure / rows.n), float(rows.counts @ possible / rows.n)


def other_faults(found: Analysis, verdict: Verdict, task: Task) -> Iterator[str]:
    """Metrics beside the task's own that are not all there, or have figures that cannot be or that the counts deny."""
    if not found.others:
        return
    wanted = other_names(task)
    if [other.name for other in found.others] != wanted:
        named = ", ".join(bare(other.name) for other in found.others)
        yield f"its other metrics are {named}; the task has {', '.join(wanted) or 'none'}"
        return
    rows = counted_rows(verdict, task)
    for other in found.others:
        least, most = OTHER_RANGES.get(other.name, (0.0, 1.0))
        for form, figure in (("teacher", other.teacher), ("artifact", other.artifact)):
            if not least - CLOSE <= figure.low <= figure.high <= most + CLOSE or not (
                least - CLOSE <= figure.value <= most + CLOSE
            ):
                yield f"{other.name} of the {form} is {figure.value:.6g}, {figure.low:.6g} to {figure.high:.6g}"
            side = None if rows is None else rows.teacher if form == "teacher" else rows.artifact
            counted = None if rows is None or side is None else counted_other(other.name, side, rows.counts)
            if counted is not None and abs(counted - figure.value) > CLOSE * (1 + abs(counted)):
                yield f"{other.name} of the {form} is {figure.value:.6g}; the counts of the test give {counted:.6g}"


def other_names(task: Task) -> list[str]:
    """The metrics beside its own that a verdict of the task has."""
    return [*([TeacherCosine.name] if task.embeds and task.judged != "teacher" else []), *measures_of(task)]


def counted_other(name: str, side: np.ndarray, counts: np.ndarray) -> float | None:
    """A metric of one model's rows `(m, k)` with counts `(m,)`; None where they do not hold what it is made of."""
    if name == "exact_match":
        return float(counts @ (side == side[:, -1:]).all(axis=1) / counts.sum())
    if name == "mean_absolute_error":
        return float(counts @ np.abs(side[:, 0] - side[:, 1]) / counts.sum())
    return float(spearman(side[:, 0], side[:, 1], counts)) if name == "spearman" and side.shape[1] == 2 else None


def slice_faults(score: SliceScore, task: Task, examples: int) -> Iterator[str]:
    """A slice of examples that there are not, or with figures that cannot be."""
    name = bare(score.name)
    if score.n < 1 or (not task.embeds and score.n > examples):
        yield f"slice {name} has {score.n} of {examples} examples"
    holds = is_inside(score) if task.scoring.counted else score.low <= score.high  # others are undefined at times
    if not is_share(score.teacher, score.artifact, score.p_value) or not holds:
        yield f"slice {name} has figures that cannot be"
    elif score.worse != (score.p_value < 1 - CONFIDENCE and score.artifact < score.teacher):
        yield f"slice {name} is{'' if score.worse else ' not'} called worse; its figures say otherwise"
    if score.kind == "label" and score.name not in task.class_names:
        yield f"slice {name} is of no label"


def repeated_slices(found: Analysis) -> list[str]:
    """A slice that stands there twice."""
    names = [(score.kind, score.name) for score in found.slices]
    return [f"slice {bare(name)} stands there twice" for kind, name in names if names.count((kind, name)) > 1][:1]


def calibration_faults(found: Calibration | None, verdict: Verdict, task: Task) -> Iterator[str]:
    """Errors and confidences that are no shares, and an error below the distance of confidence and accuracy."""
    if found is None:
        return
    figures = (found.teacher_ece, found.artifact_ece, found.scaled_ece)
    losses = [loss for loss in (found.artifact_log_loss, found.scaled_log_loss) if loss is not None]
    if not is_share(*figures, found.teacher_confidence, found.artifact_confidence) or min(losses, default=0.0) < -CLOSE:
        yield "the calibration has an error, a confidence or a log loss that cannot be"
        return
    if found.temperature == 1 and (found.artifact_ece, found.artifact_log_loss) != (
        found.scaled_ece, found.scaled_log_loss,
    ):  # fmt: skip
        yield "the calibration has other figures at the temperature 1 than without it"
    for form, error, confidence in (
        ("teacher", found.teacher_ece, found.teacher_confidence),
        ("artifact", found.artifact_ece, found.artifact_confidence),
    ):
        record = verdict.metrics.get(form)
        if record is not None and one_label_each(task) and abs(record.value - confidence) > error + CLOSE:
            yield f"the {form}'s calibration error is below the distance of its confidence and its accuracy"


def robustness_faults(found: Sequence[Robustness], task: Task) -> list[str]:
    """Changes of writing that are not all there, and flips that cannot be or do not give the interval."""
    wanted = [change for change in CHANGES if change in WORD_CHANGES or not task.is_tagging]
    if not found:
        return []
    if [each.change for each in found] != wanted or len({each.n for each in found}) > 1:
        return [f"changed texts are not those of {', '.join(wanted)}, of as many texts each"]
    faults = []
    for each in found:
        other = each.teacher_flips - (each.artifact_flips - each.flips_alone)
        counts = (each.flips_alone, other, each.artifact_flips - each.flips_alone)
        if each.n < 1 or min(counts) < 0 or sum(counts) > each.n:
            faults.append(f"{each.change}: of {each.n} changed texts so many answers cannot flip")
        elif not np.allclose((each.low, each.high), share_difference(each.flips_alone, other, each.n), atol=CLOSE):
            faults.append(f"{each.change}: the interval is not that of the flips")
    return faults


def nearness_faults(found: Analysis) -> Iterator[str]:
    """Cosines of vectors beyond 1, of no texts, beside their intervals, twice there, or called worse for nothing."""
    slices, changes = found.vector_slices, found.vector_changes
    if not all(_near(each, each.cosine, each.others) and is_share(each.p_value) for each in slices):
        yield "slices of vectors have figures that cannot be"
    elif any(each.worse != (each.p_value < 1 - CONFIDENCE and each.cosine < each.others) for each in slices):
        yield "a slice of vectors is called worse, or not, and its figures say otherwise"
    if len({(each.kind, each.name) for each in slices}) < len(slices):
        yield "a slice of vectors stands there twice"
    if not all(_near(each, each.artifact, each.teacher) for each in changes):
        yield "changed texts of vectors have figures that cannot be"
    if changes and ([each.change for each in changes] != [*CHANGES] or len({each.n for each in changes}) > 1):
        yield f"changed texts of vectors are not those of {', '.join(CHANGES)}, of as many texts each"


def _near(record: VectorSlice | VectorChange, one: float, other: float) -> bool:
    """Whether both are cosines of some texts, with their difference inside the interval."""
    inside = record.low - CLOSE <= one - other <= record.high + CLOSE
    return record.n >= 1 and max(abs(one), abs(other)) <= 1 + CLOSE and inside


def differing_faults(found: Analysis, task: Task) -> list[str]:
    """Examples whose labels are none of the task's, or whose divergence is below 0."""
    faults = []
    for each in found.differing:
        names = (each.truth, each.teacher, each.artifact)
        if one_label_each(task) and not set(names) <= set(task.labels):
            faults.append(f"a differing example has the labels {', '.join(map(bare, names))}")
        if not (each.divergence >= -CLOSE and math.isfinite(each.divergence)):
            faults.append("a differing example has a divergence that cannot be")
    return faults[:1]
