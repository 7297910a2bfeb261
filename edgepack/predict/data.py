"""A bundle on a whole data set: each text as an app would ask it, the metric of labelled ones, a teacher's answers too.

Every text goes through the bundle's own tokenizer asset and runtime once. Words of tagged data are joined by spaces,
and the tag that counts for a word is that of its first token, as in the gate, so the metric is the gate's. The teacher
needs torch and is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np

from edgepack.console import Console
from edgepack.errors import InputError, shown
from edgepack.evidence.answers import Labelled
from edgepack.evidence.differing import worst_first
from edgepack.evidence.forms import Both, FormLogits, pair_decisions
from edgepack.evidence.metric_check import TEACHER_ANSWERS, TRAINED, Given, is_training
from edgepack.evidence.other_metrics import measures_of
from edgepack.machine.extras import import_package, one_line_errors
from edgepack.parameters import AnyPath, as_text, check_options
from edgepack.predict.answer import Answer
from edgepack.predict.bundle import Bundle
from edgepack.predict.data_answers import Compared, DataAnswers, Disagreement, Truth
from edgepack.task.column_options import ColumnOptions, columns_of
from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.examples import Columns, check_scope, show_notes
from edgepack.task.intervals import metric_interval, retention
from edgepack.task.task import NO_LABELS, Task
from edgepack.task.tokenize import query_numbers
from edgepack.task.unlabelled import read_to_answer
from edgepack.task.words import Offsets, Test, first_tokens


@one_line_errors("predict_data")
def predict_data(
    bundle: Bundle | AnyPath,
    data: AnyPath,
    *,
    compare_teacher: AnyPath | None = None,
    threads: int = 1,
    quiet: bool = False,
    **columns: Unpack[ColumnOptions],
) -> DataAnswers:
    """A bundle's answers on a data set, with its metric where the data have labels.

    `compare_teacher` is where the teacher is: it answers the same texts, and the result holds where the two differ.
    `threads` are for a bundle that is loaded here.
    """
    given = columns_of(check_options(predict_data, ColumnOptions, columns))
    if isinstance(bundle, Bundle) and threads != 1:
        raise InputError(f"predict_data: threads is {shown(threads)}, and the bundle is loaded: give it to Bundle.load")
    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle, threads)
    teacher = None if compare_teacher is None else as_text("compare_teacher", compare_teacher)
    return answer_data(opened, as_text("data", data), given, teacher, Console(quiet))


def answer_data(
    bundle: Bundle, source: str, columns: Columns, teacher: str | None = None, console: Console | None = None
) -> DataAnswers:
    """The answers of `bundle` to every text of `source`, and of the teacher where there is one."""
    console = console or Console(quiet=True)
    if teacher is not None:  # before the work
        import_package(TEACHER_ANSWERS, "predict's --compare-teacher")
    manifest = bundle.manifest
    recorded = manifest.evaluation.columns.get("label") if manifest.evaluation else None
    told = replace(Given(source, columns).columns_for(manifest), label=columns.label)
    task, data, labelled = read_to_answer(source, bundle.task, told, recorded)
    if labelled:
        check_scope(columns, data)
    elif columns.names or columns.outside is not None:
        flag = "--labels" if columns.names else "--out-of-scope"
        raise InputError(f"{data.source}: {flag} goes with labels, and it has no column of them: leave {flag} out")
    outside = [bundle.answer(e.text if e.pair is None else (e.text, e.pair)) for e in data.outside]
    show_notes(console, data)
    if labelled and is_training(manifest, task, data):
        console.warn(f"{data.source}: {TRAINED}")
    ran, encoded = run_data(bundle, data, task, console), None
    if teacher is not None:
        theirs = import_package(TEACHER_ANSWERS, "predict's --compare-teacher").teacher_logits(
            teacher, manifest, task, data
        )
        encoded = task.referenced(ran.encoded, theirs[0])
    if task.judged == "teacher" and encoded is None:  # whose vectors are the measure
        labelled = False
    form = Labelled(FormLogits("bundle", ran.logits, encoded or ran.encoded).read(task), task)
    return DataAnswers(
        source=source,
        answers=ran.answers,
        truths=tuple(truth_of(example, task) for example in data.examples) if labelled and task.labels else (),
        outside=tuple(outside),
        metric_name=task.metric_name,
        metric=metric_interval(form.statistics, task) if labelled else None,
        others={name: measure(form) for name, measure in measures_of(task).items()} if labelled else {},
        teacher=None if teacher is None else compare((teacher, *theirs), bundle, form, ran, data, labelled, console),
    )


@dataclass(frozen=True, eq=False)
class Ran:
    """A data set through a bundle, in the flat layout; `words`: which word each labelled row is of."""

    encoded: Encoded
    logits: np.ndarray
    answers: tuple[Answer, ...]
    words: np.ndarray


def run_data(bundle: Bundle, data: Dataset, task: Task, console: Console) -> Ran:
    """Every text of the data through the bundle, one at a time."""
    ids: list[int] = []
    types: list[int] = []
    offsets, labels, words, logits, answers = [0], [], [], [], []
    is_space = bundle.tokenizer.classes.is_space
    with console.progress("predict", len(data)) as advance:
        for example in data.examples:
            run = bundle.run(example.text if example.pair is None else (example.text, example.pair))
            ids += run.encoding.input_ids
            types += run.encoding.token_type_ids
            offsets.append(len(ids))
            logits.append(np.atleast_2d(run.logits))
            answers.append(run.answer)
            found, places = token_labels(example, run.encoding.own_offsets, is_space)
            labels += found
            words += places
            advance(1)
    flat = np.array(labels, np.int64) if task.is_tagging else task.label_rows(labels)
    queries = query_numbers(data) if task.ranks else None
    encoded = Encoded(np.array(ids, np.int32), np.array(types, np.int8), np.array(offsets, np.int64), flat, queries)
    return Ran(encoded, np.concatenate(logits), tuple(answers), np.array(words, np.int64))


def token_labels(example: Example, offsets: Offsets, is_space: Test) -> tuple[list[Any], list[int]]:
    """Labels of tokens, and the word of each that counts; of a text its label or set."""
    if not isinstance(example.label, tuple) or example.words is None:
        return [example.label], [0]
    labels, words = [IGNORED] * len(offsets), []
    for word, place in first_tokens(example.words or (), offsets, is_space):
        labels[place] = example.label[word]
        words.append(word)
    return labels, words


def truth_of(example: Example, task: Task) -> Truth:
    """The example's label, those of its set, the tags of its words, or its score."""
    if isinstance(example.label, float):
        return task.shown(np.array(example.label))
    if isinstance(example.label, int):
        return task.labels[example.label]
    return tuple(task.labels[tag] for tag in example.label)


def compare(
    theirs: tuple[str, np.ndarray, Encoded, str],
    bundle: Bundle,
    form: Labelled,
    ran: Ran,
    data: Dataset,
    labelled: bool,
    console: Console,
) -> Compared:
    """The teacher's answers beside the bundle's. `theirs`: where it is, its logits, their encoding, its hash."""
    manifest, task = bundle.manifest, form.task
    source, logits, encoded, sha256 = theirs
    if sha256 != manifest.teacher.sha256:
        console.warn(f"teacher {source} is not the one that the bundle was made from (its sha256 is another one)")
    own = replace(task, thresholds=tuple(manifest.teacher.thresholds or ()))
    teacher = Labelled(FormLogits("teacher", logits, encoded, own.scoring), own)
    both = pair_decisions(form.form, teacher.form)
    if not len(both.owners):
        raise InputError(f"{data.source}: no text of it has a token that both models read; give data with texts")
    return Compared(
        name=source,
        metric=metric_interval(teacher.statistics, task) if labelled else None,
        retention=retention(form.statistics, teacher.statistics, task) if labelled else None,
        decisions=len(both.owners),
        differing=int(both.differs.sum()),
        disagreements=tuple(disagreements(bundle, both, ran, data, task, labelled)),
    )


def disagreements(
    bundle: Bundle, both: Both, ran: Ran, data: Dataset, task: Task, labelled: bool
) -> Iterator[Disagreement]:
    """Each decision that differs, the example of the largest divergence first; its words in their order.

    Vectors are counted and not shown.
    """
    if task.embeds:
        return
    order, flipped, _ = worst_first(both, len(data))
    after, before, differs, words = both.after, both.before, both.differs, ran.words[both.kept]
    given, shown = both.scorings[1].probabilities(before), bundle.probabilities(after)
    answered = [s.decide(logits) for s, logits in zip(both.scorings, (after, before), strict=True)]
    for number in map(int, order[: int(flipped.sum())]):
        example = data.examples[number]
        for row in map(int, np.flatnonzero(differs & (both.owners == number))):
            truth: Truth | None = truth_of(example, task) if labelled else None
            if task.is_multi_label and truth is not None:
                truth = ", ".join(truth) or NO_LABELS
            yield Disagreement(
                example=number,
                text=example.text,
                pair=example.pair,
                word=None if example.words is None else example.words[words[row]],
                truth=truth if truth is None or isinstance(truth, str) else truth[words[row]],
                teacher=task.shown(answered[1][row]),
                teacher_probability=certainty(given[row], answered[1][row]),
                bundle=task.shown(answered[0][row]),
                bundle_probability=certainty(shown[row], answered[0][row]),
            )


def certainty(probabilities: np.ndarray, decided: np.ndarray) -> float:
    """The probability of the label decided for; of a set of its least probable; of none that none is there."""
    if not decided.ndim:
        return float(probabilities.max())
    return float(probabilities[decided > 0].min() if decided.any() else (1 - probabilities).min())
