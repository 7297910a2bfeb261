"""Everything that lies behind a metric, in one record: classes, slices, calibration, robustness, differing examples.

Of vectors it is `vector_analysis.py` that looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from edgepack.bundle.analysis import Analysis, NonInferiority, Sureness
from edgepack.bundle.confidence import Confidence
from edgepack.evidence.answers import Labelled
from edgepack.evidence.calibration import calibration
from edgepack.evidence.classes import class_scores, confusion
from edgepack.evidence.differing import differing_examples
from edgepack.evidence.other_metrics import other_metrics
from edgepack.evidence.robustness import Decisions, flips, robustness
from edgepack.evidence.slices import Words, slice_scores
from edgepack.evidence.sure import measure_sureness
from edgepack.evidence.vector_analysis import cosine_slices, metric_slices, nearness, unjudged, vector_changes
from edgepack.runtime import Session
from edgepack.runtime.predict import predict_session
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.scoring import Metric
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.windows import Longest


@dataclass(frozen=True, eq=False)
class Background:
    """What an analysis needs besides logits: the texts, the student's tokenizer, what is known of the tokens.

    `changed`: a sample of the texts in other ways of writing; `teacher_changes`: where the teacher's answer to these is
    another, or how near its vectors of them stay.
    """

    data: Dataset
    tokenizer: Tokenizer
    longest: Longest
    words: Words | None = None
    changed: Mapping[str, Dataset] = field(default_factory=dict)
    teacher_changes: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Sure:
    """How sure the model has to be, and texts to measure it on that belong to no label; `of_training`: their origin."""

    confidence: Confidence
    outside: Encoded | None = None
    of_training: bool = False


def analyze(
    teacher: Labelled,
    artifact: Labelled,
    kept: NonInferiority,
    session: Session,
    background: Background | None,
    sure: Sure | None = None,
) -> Analysis:
    """The record of one artifact; without `background`, what logits alone can show."""
    if teacher.task.embeds:
        return analyze_vectors(teacher, artifact, kept, session, background)
    labels, table = confusion(teacher)
    found = Analysis(
        noninferiority=kept,
        classes=class_scores(teacher, artifact),
        slices=slice_scores(teacher, artifact, background.words if background else None),
        calibration=calibration(teacher, artifact, sure.confidence.temperature if sure else 1.0),
        confusion_labels=labels,
        teacher_confusion=table,
        artifact_confusion=confusion(artifact)[1],
        others=other_metrics(teacher, artifact),
        sureness=sureness(artifact, session, sure) if sure else None,
    )
    if background is None:
        return found
    more: dict[str, Any] = {"differing": differing_examples(teacher, artifact, background.data)}
    if background.teacher_changes:
        own = flips(background.changed, session_decisions(session, artifact.task, background), close(artifact.task))
        more["robustness"] = robustness(background.teacher_changes, own)
    return found.model_copy(update=more)


def analyze_vectors(
    teacher: Labelled, artifact: Labelled, kept: NonInferiority, session: Session, background: Background | None
) -> Analysis:
    """The same of vectors, of which nothing can be right or flip."""
    words = background.words if background else None
    found = Analysis(
        noninferiority=kept,
        slices=metric_slices(teacher, artifact, words),
        others=other_metrics(teacher, artifact),
        vector_slices=cosine_slices(teacher, artifact, words),
    )
    if background is None or not background.teacher_changes:
        return found

    def answer(data: Dataset) -> tuple[np.ndarray, Encoded]:
        encoded = encode(data, unjudged(artifact.task), background.tokenizer, background.longest)
        return predict_session(session, encoded), encoded

    own = vectors_near(background.changed, answer)
    return found.model_copy(update={"vector_changes": vector_changes(background.teacher_changes, own)})


def sureness(artifact: Labelled, session: Session, sure: Sure) -> Sureness | None:
    """What the least confidence does, where there is one."""
    if sure.confidence.min_confidence is None:
        return None
    outside = None if sure.outside is None else predict_session(session, sure.outside)
    return measure_sureness(sure.confidence, artifact.form.scored(), artifact.truth, outside, sure.of_training)


def session_decisions(session: Session, task: Task, background: Background) -> Decisions:
    """The artifact's answers to any texts."""

    def decide(data: Dataset) -> list[tuple[float, ...]]:
        encoded = encode(data, task, background.tokenizer, background.longest)
        return decisions_of(task.read(predict_session(session, encoded), encoded), encoded, task)

    return decide


def close(task: Task) -> Metric | None:
    """What tells whether two answers are alike where more than equal ones are: of scores."""
    return task.scoring if task.is_score else None


def decisions_of(logits: np.ndarray, encoded: Encoded, task: Task) -> list[tuple[float, ...]]:
    """The class id of each example, 0 or 1 for each label, the class ids of its labelled words, or its score."""
    scored = encoded.scored
    owners, decided = encoded.label_examples[scored], task.decide(logits)[scored]
    ends = np.searchsorted(owners, np.arange(1, len(encoded)))
    return [tuple(part.ravel().tolist()) for part in np.split(decided, ends)]


def teacher_flips(
    changed: Mapping[str, Dataset], task: Task, predict: Callable[[Dataset], tuple[np.ndarray, Encoded]]
) -> dict[str, np.ndarray]:
    """Where the teacher's answers change; `predict` gives its logits and the encoding that they belong to."""
    return flips(changed, lambda data: decisions_of(*predict(data), task), close(task))


def vectors_near(
    changed: Mapping[str, Dataset], predict: Callable[[Dataset], tuple[np.ndarray, Encoded]]
) -> dict[str, np.ndarray]:
    """How near a model's vectors of changed texts are to those of the texts as they are, a cosine each."""
    return nearness(changed, lambda data: predict(data)[0])
