"""The linear model that a build's student is compared with: a stage of its own, since it takes seconds.

A build keeps its training data as tokens, since texts may be a gigabyte and training takes hours: it reads them again,
150,000 rows a second. A plan takes this step soon and has them still.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from edgepack.build.inputs import Inputs
from edgepack.bundle.linear import reached
from edgepack.bundle.manifest import LinearRecord
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.linear.measure import LinearResult, measure_linear, why_none
from edgepack.evidence.linear.tag_statistics import numbered, tag_statistics
from edgepack.evidence.noninferiority import recorded
from edgepack.evidence.paired_ratio import paired_rows
from edgepack.evidence.validate import metric_record
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.examples import read_both
from edgepack.task.intervals import Interval
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.windows import Longest
from edgepack.workspace import Stage

MODEL, ANSWERS, TAGS, RECORD = "linear.bin", "right.npy", "tags.npy", "linear.json"
LIBRARIES = ("scikit-learn", "scipy")


def train_linear_model(inputs: Inputs, console: Console, train: Dataset | None = None) -> LinearResult:
    """The linear model within the request's budget, on the training data's texts; None: as they are read now."""
    request, task = inputs.request, inputs.teacher.task
    none = why_none(task)
    if none is not None:
        return none
    console.info("training a linear model to compare with")
    if train is None:
        assert request.evaluation is not None, "a task with labels has evaluation data"
        train, _ = read_both(request.train, request.evaluation, task, request.columns)
    if train.sha256 != inputs.train_sha256:
        raise InputError(f"{request.train} has changed since it was read; give the same command again")
    result = measure_linear(train, inputs.evaluation_data, task, request.budget_bytes, request.seed)
    if not request.allow_untrained and (doubt := doubt_of_teacher(result, inputs.teacher_metric)):
        console.warn(f"teacher {inputs.teacher.name}: {doubt}")
    return result


def doubt_of_teacher(result: LinearResult, teacher: Interval) -> str:
    """What to ask where the linear model's 95 % interval lies above the teacher's; empty where it does not."""
    if result.record is None or result.record.metric.low <= teacher.high:
        return ""
    own = result.record.metric
    return (
        f"{own.name} {teacher.value:.4f} ({teacher.low:.4f} to {teacher.high:.4f}) on the evaluation data, a linear "
        f"model of the same texts {own.value:.4f} ({own.low:.4f} to {own.high:.4f}): are these its tokenizer, weights "
        "and labels? If they are, the linear model is the better one"
    )


def said_of(result: LinearResult) -> str:
    """A line for a person."""
    if result.record is None:
        return f"linear model, to compare with: {result.reason}"
    return f"to compare with: {reached(result.record)}, trained in {result.seconds:.0f} s"


def linear_parts(inputs: Inputs) -> dict[str, Any]:
    """What decides the stage besides what decides every stage."""
    parts = {"evaluation": inputs.evaluation_data.sha256, "budget": inputs.request.budget_bytes}
    return {**parts, **{name: version(name) for name in LIBRARIES}}


def linear_work(inputs: Inputs, console: Console) -> Callable[[Stage], None]:
    """What fills the stage: the file, its record, and what it has right."""

    def write(stage: Stage) -> None:
        result = train_linear_model(inputs, console)
        console.info(said_of(result))
        if result.record is not None and result.right is not None:
            (stage.scratch / MODEL).write_bytes(result.data)
            np.save(stage.scratch / ANSWERS, result.right)
        if result.tags is not None:
            np.save(stage.scratch / TAGS, result.tags)
        (stage.scratch / RECORD).write_text(json.dumps(as_record(result)))

    return write


def as_record(result: LinearResult) -> dict[str, Any]:
    """A record, or the reason why there is none, as JSON."""
    return {"reason": result.reason} if result.record is None else result.record.model_dump(mode="json")


def read_record(stage: Stage) -> dict[str, Any]:
    """The stage's record or reason."""
    record: dict[str, Any] = json.loads((stage.folder / RECORD).read_text())
    return record


@dataclass(frozen=True, eq=False)
class ScoredWords:
    """Which words of tagged data an artifact scores: those with tokens that were not cut off (`tag_statistics.py`)."""

    data: Dataset
    task: Task
    words: Encoded

    def statistics(self, tags: np.ndarray) -> np.ndarray:
        """What tags of all words have right on these, `(n, k)`."""
        return tag_statistics(tags, self.data.examples, self.task, self.words)


def scored_words(data: Dataset, task: Task, tokenizer: PreTrainedTokenizerFast, longest: Longest) -> ScoredWords:
    """The words that a model with this tokenizer scores."""
    return ScoredWords(data, task, encode(numbered(data), task, tokenizer, longest))


def compare_with_linear(
    stage: Stage, artifact_right: np.ndarray | None, scored: ScoredWords | None = None
) -> LinearRecord | None:
    """The record with counts of pairs of answers `(n,)`, where these are right or wrong; else with rows, or None.

    `artifact_right`: which examples it is right on; of label sets, scores and tags its statistics `(n, k)`. `scored`:
    of tags the words of these, on which the linear model's metric is taken then.
    """
    record = read_record(stage)
    if "reason" in record:
        return None
    found = LinearRecord.model_validate(record)
    if artifact_right is None:
        return found
    answers = np.load(stage.folder / ANSWERS)
    if scored is not None:
        answers = scored.statistics(np.load(stage.folder / TAGS))
        found = found.model_copy(update={"metric": metric_record(answers, scored.task)})
    if answers.ndim == 2:
        return found.model_copy(update={"rows": recorded(paired_rows(artifact_right, answers))})
    own, other = artifact_right.astype(bool), answers
    counts = [(own & other), (own & ~other), (~own & other), (~own & ~other)]
    return found.model_copy(update={"counts": [int(each.sum()) for each in counts]})
