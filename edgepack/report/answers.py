"""What a bundle answers: by class, by slice, on changed texts, example by example. Measuring belongs to `evidence`.

All of it, confusion and confidence too, is drawn from `Verdict.analysis`, which bundles of older versions do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.bundle.analysis import (
    Analysis,
    Calibration,
    ClassScore,
    Differing,
    OtherMetric,
    Robustness,
    SliceScore,
    Sureness,
    VectorChange,
    VectorSlice,
)
from edgepack.report.marks import Interval, Intervals, Reference, intervals
from edgepack.report.records import BundleFacts
from edgepack.report.units import cut, percent, points, share

MOST_CLASSES = 12  # in the picture; the table has all
MOST_LABEL = 24  # characters of a row's name
MOST_SLICES = 12
MOST_CELLS = 20  # labels of a confusion that is shown as a table; beyond, the pairs that are confused most
MOST_PAIRS = 15
EXAMPLES = 5  # that are not folded away
MOST_EXAMPLES = 50
MOST_TEXT = 600  # characters of an example
CHANGES = {"case": "letter case", "typos": "typing errors", "spacing": "spaces", "emoji": "emoji", "accents": "accents"}
SLICES = {"length": "length", "rare_words": "rare words", "unknown_tokens": "unknown tokens", "label": "label"}


@dataclass(frozen=True)
class Cell:
    """A cell of a confusion; `heat`: percent of its row."""

    count: int
    heat: int
    right: bool


@dataclass(frozen=True)
class Confusion:
    """Answers of one model by true label."""

    model: str
    labels: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Confused:
    """Two labels that are taken for each other, with how often by each model."""

    truth: str
    answer: str
    teacher: int
    artifact: int


@dataclass(frozen=True)
class Example:
    """A text that both answer differently; long texts are cut."""

    text: str
    pair: str | None
    truth: str
    teacher: str
    artifact: str
    divergence: float


@dataclass(frozen=True)
class Answers:
    """All of one target."""

    name: str
    classes: Intervals | None
    class_rows: tuple[tuple[ClassScore, str], ...]  # with the difference in words
    confusions: tuple[Confusion, ...]
    confused: tuple[Confused, ...]
    examples: tuple[Example, ...]
    slices: Intervals | None
    slice_rows: tuple[tuple[SliceScore, str, str], ...]  # with its name and the difference in words
    robustness: Intervals | None
    robustness_rows: tuple[tuple[Robustness, str], ...]
    vector_slices: Intervals | None
    vector_slice_rows: tuple[tuple[VectorSlice, str, str], ...]  # as those of slices
    vector_changes: Intervals | None
    vector_change_rows: tuple[tuple[VectorChange, str, str], ...]  # with its name and the difference in words
    calibration: Calibration | None
    min_confidence: float | None
    sureness: Sureness | None
    others: tuple[OtherMetric, ...]
    metric: str  # the task's own


def answers(bundle: BundleFacts) -> Answers | None:
    """What there is to show; None where nothing was recorded."""
    found = bundle.analysis
    if found is None:
        return None
    confusions, tags = confusion_tables(found), bundle.manifest.task == "token-classification"
    return Answers(
        name=bundle.name,
        classes=class_picture(bundle.name, found.classes),
        class_rows=tuple((each, points_text(each)) for each in found.classes),
        confusions=confusions,
        confused=() if confusions else confused(found),
        examples=tuple(example(each, tags) for each in found.differing[:MOST_EXAMPLES]),
        slices=slice_picture(bundle.name, found.slices),
        slice_rows=tuple((each, slice_name(each), points_text(each)) for each in found.slices),
        robustness=robustness_picture(bundle.name, found.robustness),
        robustness_rows=tuple((each, CHANGES[each.change]) for each in found.robustness),
        vector_slices=vector_slice_picture(bundle.name, found.vector_slices),
        vector_slice_rows=tuple((each, slice_name(each), cosine_text(each)) for each in found.vector_slices),
        vector_changes=vector_change_picture(bundle.name, found.vector_changes),
        vector_change_rows=tuple((each, CHANGES[each.change], cosine_text(each)) for each in found.vector_changes),
        calibration=found.calibration,
        min_confidence=bundle.verdict.min_confidence,
        sureness=found.sureness,
        others=tuple(found.others),
        metric=next((record.name for record in bundle.verdict.metrics.values()), "metric"),
    )


def points_text(score: ClassScore | SliceScore) -> str:
    """The difference in points with its interval."""
    return f"{points(score.artifact - score.teacher)} ({points(score.low)} to {points(score.high)})"


def class_picture(target: str, classes: Sequence[ClassScore]) -> Intervals | None:
    """F1 of the classes that lost most, both models in a row."""
    worst = sorted(classes, key=lambda each: each.artifact - each.teacher)[:MOST_CLASSES]
    rows = [
        Interval(
            cut(each.label, MOST_LABEL),
            min(each.teacher, each.artifact),
            each.artifact,
            max(each.teacher, each.artifact),
            f"{percent(each.teacher, 1)} → {percent(each.artifact, 1)}",
            kind="both",
            teacher=each.teacher,
        )
        for each in worst
    ]
    which = "by class" if len(worst) == len(classes) else f"of the {len(worst)} classes with the largest losses"
    return intervals(f"classes-{target}", f"F1 {which}, teacher → artifact", rows)


def confusion_tables(found: Analysis) -> tuple[Confusion, ...]:
    """A table for each model; none where there are too many labels for one, or counts do not fit the labels."""
    labels = found.confusion_labels
    if not 0 < len(labels) <= MOST_CELLS:
        return ()
    tables = []
    for model, counts in (("teacher", found.teacher_confusion), ("artifact", found.artifact_confusion)):
        if len(counts) != len(labels) or any(len(row) != len(labels) for row in counts):
            return ()
        rows = [
            tuple(Cell(count, round(100 * share(count, sum(row))), i == j) for j, count in enumerate(row))
            for i, row in enumerate(counts)
        ]
        tables.append(Confusion(model, tuple(labels), tuple(rows)))
    return tuple(tables)


def confused(found: Analysis) -> tuple[Confused, ...]:
    """The pairs of labels that the artifact confuses most."""
    labels, size = found.confusion_labels, len(found.confusion_labels)
    if any(len(counts) != size or any(len(row) != size for row in counts) for counts in matrices(found)):
        return ()
    teacher, artifact = matrices(found)
    pairs = [
        Confused(labels[i], labels[j], teacher[i][j], artifact[i][j])
        for i in range(size)
        for j in range(size)
        if i != j and artifact[i][j]
    ]
    return tuple(sorted(pairs, key=lambda each: -each.artifact)[:MOST_PAIRS])


def matrices(found: Analysis) -> tuple[list[list[int]], list[list[int]]]:
    """Both models' counts."""
    return found.teacher_confusion, found.artifact_confusion


def example(each: Differing, tags: bool) -> Example:
    """An example that fits the page; of `tags`, those of the words on which not all three agree."""
    pair = None if each.pair is None else cut(each.pair, MOST_TEXT)
    answers = (each.truth, each.teacher, each.artifact)
    truth, teacher, artifact = tags_that_differ(each.text, answers) if tags else answers
    return Example(cut(each.text, MOST_TEXT), pair, truth, teacher, artifact, each.divergence)


def tags_that_differ(text: str, answers: Sequence[str]) -> list[str]:
    """Words with their tags, where the tags are not the same; all tags where they do not fit the words."""
    words, tags = text.split(" "), [answer.split(" ") for answer in answers]
    places = [i for i, found in enumerate(zip(words, *tags, strict=False)) if len(set(found[1:])) > 1]
    if len({len(row) for row in tags}) > 1 or not places:
        return [cut(answer, MOST_TEXT) for answer in answers]
    return [", ".join(f"{words[i]} {row[i]}" for i in places) for row in tags]


def slice_name(each: SliceScore | VectorSlice) -> str:
    """Kind and name, or the name where that has the kind in it."""
    kind = SLICES[each.kind]
    return each.name if kind in each.name else f"{kind}: {each.name}"


def slice_picture(target: str, slices: Sequence[SliceScore]) -> Intervals | None:
    """Differences of the slices that lost most."""
    worst = sorted(slices, key=lambda each: (not each.worse, each.artifact - each.teacher))[:MOST_SLICES]
    rows = [
        Interval(
            cut(slice_name(each), MOST_LABEL),
            each.low,
            each.artifact - each.teacher,
            each.high,
            points_text(each),
            flagged=each.worse,
        )
        for each in worst
    ]
    title = "Artifact less teacher by slice, in points"
    return intervals(f"slices-{target}", title, rows, Reference(0.0, "no difference"), shown="points")


def cosine_difference(each: VectorSlice | VectorChange) -> float:
    """Of the texts of a slice less all others; of changed texts artifact less teacher."""
    return each.cosine - each.others if isinstance(each, VectorSlice) else each.artifact - each.teacher


def cosine_text(each: VectorSlice | VectorChange) -> str:
    """The difference of two cosines with its interval."""
    ends = (f"{value:+.4f}".replace("-", "−") for value in (cosine_difference(each), each.low, each.high))
    return "{} ({} to {})".format(*ends)


def vector_slice_picture(target: str, slices: Sequence[VectorSlice]) -> Intervals | None:
    """How much less near to the teacher's the vectors of a slice are, the least near first."""
    worst = sorted(slices, key=lambda each: (not each.worse, cosine_difference(each)))[:MOST_SLICES]
    rows = [
        Interval(
            cut(slice_name(each), MOST_LABEL),
            each.low,
            cosine_difference(each),
            each.high,
            cosine_text(each),
            flagged=each.worse,
        )
        for each in worst
    ]
    title = "Cosine to the teacher by slice, less that of all other texts, in points"
    return intervals(f"vector-slices-{target}", title, rows, Reference(0.0, "no difference"), shown="points")


def vector_change_picture(target: str, changes: Sequence[VectorChange]) -> Intervals | None:
    """How much further than the teacher's a changed text's vector goes."""
    rows = [
        Interval(
            CHANGES[each.change], each.low, cosine_difference(each), each.high, cosine_text(each), flagged=each.high < 0
        )
        for each in changes
    ]
    title = "Cosine of a text to its changed form, artifact less teacher, in points"
    return intervals(f"vector-changes-{target}", title, rows, Reference(0.0, "as the teacher"), shown="points")


def robustness_picture(target: str, changes: Sequence[Robustness]) -> Intervals | None:
    """Share of answers that a change of the text flips, artifact less teacher."""
    rows = []
    for each in changes:
        difference = share(each.artifact_flips - each.teacher_flips, each.n)
        text = f"{points(difference)} ({points(each.low)} to {points(each.high)})"
        rows.append(Interval(CHANGES[each.change], each.low, difference, each.high, text, flagged=each.low > 0))
    title = "Answers that a changed text flips, artifact less teacher, in points"
    return intervals(f"robustness-{target}", title, rows, Reference(0.0, "as the teacher"), shown="points")
