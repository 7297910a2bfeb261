"""The wide table of a trained student (`student/wide.py`): a linear model of its tokens, as much of it as helps.

It is fitted when training is over, one label against the others, on the training examples. A share of its scores is
added to the student's, the one that gives the best metric on examples held out of teacher and student; where that is
less than a standard error better than none, the student goes without. Trained with the student from the first step the
table gave less (docs/experiments.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from edgepack.build.inputs import Inputs
from edgepack.build.stage_results import rounded_student
from edgepack.build.training_data import TrainingData, in_student_ids
from edgepack.console import Console
from edgepack.evidence.linear.training import fit_labels
from edgepack.inference import predict
from edgepack.machine.extras import import_package
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student, student_of
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task
from edgepack.train import Progress, read_result, write_result
from edgepack.workspace import Stage

SHARES = (0.5, 1.0, 2.0, 4.0)  # of the linear model's scores, which are margins of 1
PENALTY = 1.0  # C of the support vector machine
MOST_WORK = 500_000_000  # tokens of the training examples times labels, a minute of one core
NEED = "a wide table"


def wide_work(
    inputs: Inputs, shape: StudentConfig, data: TrainingData, before: Stage, console: Console
) -> Callable[[Stage], None]:
    """What fills the stage: the student of the stage before, with a table where one helps."""

    def write(stage: Stage) -> None:
        assert inputs.held_out is not None, "else none is planned"
        held_out = in_student_ids(inputs.held_out, shape, inputs)
        student, seed = rounded_student(read_result(before), shape), inputs.request.seed
        task = inputs.teacher.task
        found = add_wide_table(student, shape.wide_rows, data.own_examples, held_out, task, seed, console)
        write_result(stage, Progress(found, {}, 0, []))

    return write


def add_wide_table(
    student: Student, rows: int, train: Encoded, held_out: Encoded, task: Task, seed: int, console: Console
) -> Student:
    """The student with the table of the best share, or as it is where that is hardly better; its weights are rounded.

    `train`, `held_out`: in the student's own ids. `rows`: of the table.
    """
    weights, intercepts = fit_table(train, rows, len(task.labels), seed)
    alone = predict(student, held_out, exact=True)
    changed = [with_table(student, share * weights, share * intercepts) for share in SHARES]
    answers = [predict(each, held_out, exact=True) for each in changed]
    scores = [task.score(each, held_out) for each in answers]
    best = int(np.argmax(scores))
    helps = is_better(answers[best], alone, held_out.labels)
    console.info(
        f"{'a' if helps else 'no'} wide table of {rows:,} rows: {task.metric_name} {scores[best]:.4f} with it on "
        f"{len(held_out):,} examples held out, {task.score(alone, held_out):.4f} without it"
        f"{'' if helps else ', no more than chance'}"
    )
    return changed[best] if helps else student


def is_better(logits: np.ndarray, others: np.ndarray, labels: np.ndarray) -> bool:
    """Whether `logits` are right more often than `others`, by over a standard error of that difference (McNemar)."""
    right, other = (each.argmax(axis=1) == labels for each in (logits, others))
    gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
    return gained - lost > math.sqrt(gained + lost)


def fit_table(train: Encoded, rows: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights `(rows, labels)` and intercepts `(labels,)`; 0 for a label without an example.

    The solver supposes rows of length 1, and stops at once where they are as short as shares of many tokens.
    """
    sample = _sample(train, MOST_WORK // labels, seed)
    shares = token_shares(sample, rows)
    scale = np.sqrt(len(sample) / shares.multiply(shares).sum())
    fitted = fit_labels(scale * shares, sample.labels, False, PENALTY, seed)
    found, own_intercepts = scale * fitted.weights, fitted.intercepts
    if len(fitted.seen) == 2:  # one column, of the second
        found = np.concatenate([-found, found], axis=1) / 2
        own_intercepts = np.concatenate([-own_intercepts, own_intercepts]) / 2
    weights, intercepts = np.zeros((rows, labels)), np.zeros(labels)
    weights[:, fitted.seen], intercepts[fitted.seen] = found, own_intercepts
    return weights, intercepts


def token_shares(data: Encoded, rows: int) -> Any:
    """A sparse matrix `(examples, rows)`: the share of an example's tokens that each row has."""
    sparse = import_package("scipy.sparse", NEED)
    columns = data.input_ids % rows
    shares = np.repeat(1 / np.maximum(data.lengths, 1), data.lengths)
    found = sparse.csr_matrix((shares, columns, data.offsets), shape=(len(data), rows))
    found.sum_duplicates()
    return found


def with_table(student: Student, weights: np.ndarray, intercepts: np.ndarray) -> Student:
    """The student with this table, in eval mode; the intercepts go into its classifier's bias, the rest is shared."""
    state = student.state_dict()
    state["wide.weight"] = torch.from_numpy(weights).float()
    state["head.classifier.bias"] = (state["head.classifier.bias"] + torch.from_numpy(intercepts)).float()
    changed = student_of(changed_config(student.config, wide_rows=len(weights)), state)
    changed.round_vectors()
    return changed.eval()


def _sample(data: Encoded, most_tokens: int, seed: int) -> Encoded:
    """All examples, or so many of them that they have at most so many tokens, about."""
    share = most_tokens / max(len(data.input_ids), 1)
    if share >= 1:
        return data
    chosen = np.random.default_rng(seed).permutation(len(data))[: int(share * len(data))]
    return data.select(np.sort(chosen))
