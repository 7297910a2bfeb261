"""What the teacher answers to evaluation and training data, compared with their labels before anything is trained."""

from __future__ import annotations

import numpy as np

from edgepack.build.tokens import Tokens
from edgepack.build.vectors import ask_for_vectors
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.inference import predict
from edgepack.task.encoded import Encoded
from edgepack.task.intervals import Interval, metric_interval
from edgepack.teacher import Teacher, check_teacher, count_answers, label_problem, scale_note, score_problem

LEAST_SAMPLE, MOST_SAMPLE, SAMPLE_PER_LABEL = 500, 3_000, 20  # training examples that the teacher is asked


def ask_teacher(
    teacher: Teacher, tokens: Tokens, source: str, allow_untrained: bool, console: Console
) -> tuple[np.ndarray, Interval]:
    """The teacher's logits on the evaluation data and its metric there; refused where it contradicts the labels.

    It answers a sample of the training data too, since nothing else shows labels that mean something else there;
    `source`: where these come from.
    """
    train, evaluation = tokens.teacher_train, tokens.evaluation
    if teacher.task.embeds:
        return ask_for_vectors(teacher, evaluation, allow_untrained, console)
    task, sample = teacher.task, sample_examples(train, len(teacher.task.labels))
    model = teacher.load_model()
    with console.progress("check", len(evaluation) + len(sample)) as advance:
        logits = predict(model, evaluation, advance=advance)
        train_logits = predict(model, sample, advance=advance)
    asked = ((train_logits, sample), (logits, evaluation))
    if task.is_score:
        problem = score_problem(task, *asked, source)
        scale = scale_note(task, logits, evaluation)
        if scale is not None:
            console.warn(scale)
    else:
        answers = [count_answers(task, *pair) for pair in asked]
        problem = label_problem(answers[0], answers[1], source)
    if problem is not None:
        if not allow_untrained:
            raise InputError(
                f"{problem}; correct the labels, name integers with --labels in the order that the data count them, or "
                "pass --allow-untrained to go on with these"
            )
        console.warn(problem)
    check = check_teacher(teacher, evaluation, logits, allow_untrained)
    if check.doubt:
        console.warn(check.doubt)
    metric = metric_interval(task.statistics(logits, evaluation), task)
    console.info(f"teacher {task.metric_name} {metric.value:.4f} on {len(evaluation)} evaluation examples")
    on_train, of = task.score(train_logits, sample), "" if len(sample) == len(train) else f" of {len(train)}"
    console.info(f"teacher {task.metric_name} {on_train:.4f} on {len(sample)}{of} training examples")
    return logits, metric


def sample_examples(train: Encoded, labels: int) -> Encoded:
    """Enough training examples to tell two swapped classes from chance, drawn alike for the same data."""
    count = min(len(train), max(LEAST_SAMPLE, min(MOST_SAMPLE, SAMPLE_PER_LABEL * labels)))
    if count == len(train):
        return train
    return train.select(np.sort(np.random.default_rng(0).permutation(len(train))[:count]))
