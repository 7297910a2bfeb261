"""What is wrong with data whose every row is right: train and evaluation alike, a single class, texts that repeat."""

from __future__ import annotations

from edgepack.errors import InputError, shown
from edgepack.task.dataset import Dataset, Example
from edgepack.task.reading.table import Note, listed
from edgepack.task.task import Task
from edgepack.task.vector_data import check_vectors

Content = str | tuple[str, str]

MOST_SHARED = 0.9  # of evaluation examples that stand in the training data too: short texts repeat, whole files do not


def check_distinct(train: Dataset, evaluation: Dataset) -> int:
    """How many evaluation examples also stand in `train` (same texts); both being one file is an error."""
    if train.sha256 == evaluation.sha256 or train.source == evaluation.source:
        raise InputError(
            f"train and eval are the same data ({train.source}, {evaluation.source}); evaluate on examples held out"
        )
    held_out = [_content(e) for e in evaluation.examples]
    known = set(held_out)
    shared = {content for e in train.examples if (content := _content(e)) in known}
    return sum(content in shared for content in held_out)


def check_evaluation(evaluation: Dataset, task: Task) -> None:
    """Refuse evaluation data on which one constant answer is right: no figure on them says anything."""
    if task.embeds:
        check_vectors(evaluation, task)
        return
    if task.is_score:
        check_scores(evaluation, task)
        return
    found = {label for e in evaluation.examples for label in (e.label if isinstance(e.label, tuple) else (e.label,))}
    if task.finds_entities:
        if all(task.marks[int(label)].kind is None for label in found):
            raise InputError(
                f"{evaluation.source}: no entity in it, every tag is O; entities are needed to evaluate on"
            )
    elif task.is_multi_label:
        if len({e.label for e in evaluation.examples}) == 1:
            raise InputError(
                f"{evaluation.source}: all evaluation examples have the same set of labels; two different ones or more "
                "are needed: shuffle sorted data before a part of it is held out"
            )
    elif len(found) == 1:
        name = task.labels[int(found.pop())]
        raise InputError(
            f"{evaluation.source}: all evaluation examples have the same label, {shown(name)}; two classes or more are "
            "needed: shuffle sorted data before a part of it is held out"
        )


def check_scores(evaluation: Dataset, task: Task) -> None:
    """Refuse scores that are all alike, and of rankings queries of which none has a better and a worse candidate."""
    scores = {e.label for e in evaluation.examples}
    if len(scores) == 1:
        raise InputError(
            f"{evaluation.source}: all evaluation examples have the same score, {scores.pop()}; different ones are "
            "needed: shuffle sorted data before a part of it is held out"
        )
    if task.ranks:
        queries: dict[str, set[object]] = {}
        for example in evaluation.examples:
            queries.setdefault(example.text, set()).add(example.label)
        if all(len(found) == 1 for found in queries.values()):
            raise InputError(
                f"{evaluation.source}: no query of it has candidates of different scores; a ranking is judged on "
                "queries with a better and a worse one each"
            )


def absent_labels(data: Dataset, task: Task, training: bool) -> tuple[Note, ...]:
    """What is to be said of labels that no example of the data has; in training data it is a warning."""
    if task.embeds or task.is_score:
        return ()
    found = {label for e in data.examples for label in (e.label if isinstance(e.label, tuple) else (e.label,))}
    if task.finds_entities:
        present = {task.marks[int(label)].kind for label in found}
        absent, every = [name for name in task.class_names if name not in present], len(task.class_names)
    else:
        absent, every = [name for i, name in enumerate(task.labels) if i not in found], len(task.labels)
    if not absent:
        return ()
    so = "nothing here teaches them" if training else "no figure says how they fare"
    said = f"{data.source}: {len(absent)} of {every} labels do not occur ({listed(absent)}): {so}"
    return (Note(said, warning=training),)


def repeated_texts(train: Dataset) -> tuple[Note, ...]:
    """What is to be said of training texts that occur more than once."""
    labels: dict[Content, int | float | tuple[int, ...]] = {}
    contradicted: set[Content] = set()
    for example in train.examples:
        content = _content(example)
        if labels.setdefault(content, example.label) != example.label:
            contradicted.add(content)
    notes = []
    if len(labels) < len(train):
        notes.append(
            Note(f"{train.source}: {len(train) - len(labels)} of {len(train)} examples repeat an earlier text")
        )
    if contradicted:
        said = f"{train.source}: {len(contradicted)} texts stand in it with different labels"
        if all(isinstance(label, int) or (isinstance(label, tuple) and len(label) == 1) for label in labels.values()):
            said += ": if a text may have several, write them in one row, joined by a comma"
        notes.append(Note(said, warning=True))
    return tuple(notes)


def _content(example: Example) -> Content:
    """The text, or both; one alone stays a string, since there may be millions."""
    return example.text if example.pair is None else (example.text, example.pair)
