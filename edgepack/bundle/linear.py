"""In words: what a linear model reached on a build's data within its budget, compared with an artifact."""

from __future__ import annotations

from edgepack.bundle.manifest import LinearRecord, MetricRecord
from edgepack.parameters import format_size
from edgepack.task.scores import Correlation, Ranking

NAME = "linear model"
SCORED = (Correlation().name, Ranking().name, "entity_f1", "word_accuracy")  # metrics with many different rows
ENOUGH = "it may be all that this task needs"


def reached(record: LinearRecord) -> str:
    """The model, its bytes and its figure."""
    return f"a linear model of {format_size(record.bytes)} reaches {record.metric.name} {record.metric.value:.4f}"


def compared(record: LinearRecord, artifact: MetricRecord | None, name: str = "the student") -> str:
    """The same compared with an artifact, called `name`; says plainly where the linear model is as good."""
    if artifact is None:
        return reached(record)
    points = 100 * (artifact.value - record.metric.value)
    figure = f"{name}'s {artifact.value:.4f}"
    if points < 0:
        return f"{reached(record)}, more than {figure}: {ENOUGH}"
    if points == 0:
        return f"{reached(record)}, as much as {figure}: {ENOUGH}"
    return f"{reached(record)}, {points:.2f} points less than {figure}"


def card_lines(record: LinearRecord, artifact: MetricRecord | None) -> list[str]:
    """What a model card says of it."""
    said = compared(record, artifact, "this model")
    return [f"Compared with the cheap baseline: {said}. It has {record.features}; {record.trained}."]


def in_manifest(record: LinearRecord | None) -> LinearRecord | None:
    """What a manifest, which apps read, has of it: of scores and tags no rows, which are as many as examples."""
    if record is None or record.metric.name not in SCORED:
        return record
    return record.model_copy(update={"rows": []})
