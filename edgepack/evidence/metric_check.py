"""The gate's check of a metric: measured again on evaluation data, in the bundle's own runtime.

What the figure is compared with depends on the data, which are known by a hash of the examples and not by their number:

- the data of the build: the recorded figure must come out again;
- other data, with the teacher (`--teacher`) or an earlier bundle (`--baseline`): both answer them, and the paired test
  of retention decides (`noninferiority.py`);
- other data alone: how hard they are is not known, so no figure from elsewhere is a measure. The check can only show
  that the model does better than a constant answer; a policy that requires `metric` takes that for not run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np

from edgepack.bundle.analysis import NonInferiority
from edgepack.bundle.manifest import BundleManifest, task_of
from edgepack.bundle.verdict import Check, Status, limit_check
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.noninferiority import judge_retention, retention_check
from edgepack.evidence.opened import OpenBundle
from edgepack.evidence.paired_ratio import difference_interval, paired_rows
from edgepack.evidence.policy import Policy
from edgepack.evidence.sure import calibration_fault
from edgepack.machine.extras import missing_package
from edgepack.runtime.predict import predict_session, with_outputs
from edgepack.task.checks import MOST_SHARED, check_evaluation
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Columns, check_scope, read_evaluation, show_notes
from edgepack.task.identity import count_different, examples_sha256
from edgepack.task.reading.columns import Recorded
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.windows import Longest

TRAINED = "these are the examples that the model was trained on, so no figure on them says anything of other texts"
MOST_REPEATED = 2  # times that an example may stand there, on average
METRIC_SLACK = 0.005  # re-measured on another CPU, whose int8 kernels round differently
TEACHER_ANSWERS = "edgepack.evidence.teacher_answers"  # imported by name: it needs the extra `build`


@dataclass(frozen=True, eq=False)
class Answers:
    """One bundle's answers on data: flat logits, and the statistics that the metric is a function of."""

    logits: np.ndarray
    encoded: Encoded
    statistics: np.ndarray
    task: Task

    @property
    def metric(self) -> float:
        """The metric on these data."""
        return self.task.metric(self.statistics)

    @property
    def scored(self) -> np.ndarray:
        """At which rows of the logits a label stands."""
        return self.encoded.scored


@dataclass(frozen=True, eq=False)
class Given:
    """The data that the gate was given, and what a bundle's answers on them may be compared with.

    Data and answers are kept: most bundles of a release share their task, and a baseline is compared with each.
    """

    evaluation: str
    columns: Columns = field(default_factory=Columns)
    teacher: str | None = None
    console: Console | None = None
    data: dict[tuple[Task, str], tuple[Task, Dataset]] = field(default_factory=dict)
    teachers: dict[tuple[str, Task, str, Longest], np.ndarray] = field(default_factory=dict)
    answers: dict[Path, Answers] = field(default_factory=dict)

    def read(self, manifest: BundleManifest) -> tuple[Task, Dataset]:
        """The bundle's task as the data measure it, and the examples, by the columns that were given or else recorded.

        Notes of the reader are printed once.
        """
        task, columns = task_of(manifest), self.columns_for(manifest)
        key = (task, repr(columns))
        if key not in self.data:
            self.data[key] = read_evaluation(self.evaluation, task, columns)
            refuse_training(manifest, *self.data[key])
            check_scope(self.columns, self.data[key][1])
            if self.console is not None:
                show_notes(self.console, self.data[key][1])
        return self.data[key]

    def answers_of(self, bundle: OpenBundle) -> Answers:
        """A bundle's answers in its own runtime; each bundle answers once."""
        if bundle.folder not in self.answers:
            manifest = bundle.manifest
            task, data = self.read(manifest)
            encoded = encode(data, task, bundle.tokenizer, manifest.longest)
            if task.judged == "teacher":
                encoded = task.referenced(encoded, self.teacher_vectors(manifest))
            with (self.console or Console(quiet=True)).progress(bundle.folder.name, len(encoded)) as advance:
                found = with_outputs(predict_session(bundle.session, encoded, advance), task.outputs)
                logits = task.read(found, encoded)
            self.answers[bundle.folder] = Answers(logits, encoded, task.statistics(logits, encoded), task)
        return self.answers[bundle.folder]

    def columns_for(self, manifest: BundleManifest) -> Columns:
        """Each column as the user names it, else as the build was told."""
        recorded = manifest.evaluation
        names = {part: Recorded(name) for part, name in recorded.columns.items()} if recorded else {}
        given = self.columns
        return Columns(
            text=given.text or names.get("text"),
            pair=given.pair or names.get("pair"),
            label=given.label or names.get("label"),
            names=tuple(given.names or (recorded.labels if recorded else ())),
            outside=given.outside or names.get("outside"),
        )

    def teacher_vectors(self, manifest: BundleManifest) -> np.ndarray:
        """The teacher's vectors of the data's texts, which a bundle may be measured by."""
        if self.teacher is None:
            raise InputError(
                f"{self.evaluation}: has texts alone, which are measured by the teacher's vectors, and there is no "
                "teacher; pass --teacher"
            )
        return self._ask_teacher("teacher_vectors", manifest)

    def teacher_statistics(self, manifest: BundleManifest, answers: Answers) -> np.ndarray:
        """What the teacher has right on the data of these answers."""
        if answers.task.judged == "teacher":  # its vectors are the labels
            return answers.task.statistics(self.teacher_vectors(manifest), answers.encoded)
        return self._ask_teacher("teacher_statistics", manifest)

    def _ask_teacher(self, question: str, manifest: BundleManifest) -> np.ndarray:
        """What a function of `teacher_answers.py` gives; each is asked once."""
        task, data = self.read(manifest)
        key = (question, task, manifest.teacher.sha256, manifest.teacher_longest)
        if key not in self.teachers:
            answer = cast(Callable[..., np.ndarray], getattr(import_module(TEACHER_ANSWERS), question))
            self.teachers[key] = answer(self.teacher, manifest, task, data)
        return self.teachers[key]


def given_data(evaluation: str | None, columns: Columns, teacher: str | None, console: Console | None) -> Given | None:
    """What the gate was given; `MissingDependency` where there is a teacher and nothing to run it with."""
    if evaluation is None and columns != Columns():
        raise InputError("columns are named and no data set is given; add --eval")
    if teacher is not None:
        if evaluation is None:
            raise InputError("--teacher goes with --eval: the teacher answers the same examples")
        try:
            import_module(TEACHER_ANSWERS)
        except ModuleNotFoundError as e:
            raise missing_package(e, "the gate's --teacher") or e from e
    return None if evaluation is None else Given(evaluation, columns, teacher, console)


def refuse_training(manifest: BundleManifest, task: Task, data: Dataset) -> None:
    """`InputError` for the very examples that the bundle's model was trained on."""
    if is_training(manifest, task, data):
        raise InputError(f"{data.source}: {TRAINED}; give examples held out from it")


def is_training(manifest: BundleManifest, task: Task, data: Dataset) -> bool:
    """Whether these are the examples of the build's training data, whatever their file and order."""
    known = manifest.training
    return known is not None and len(data) == known.n and examples_sha256(data, task) == known.sha256


def metric_check(bundle: OpenBundle, given: Given | None, policy: Policy, baseline: Path | None = None) -> Check:
    """Measure the metric again, and compare it with what can be compared."""
    if given is None:
        return Check(name="metric", status="not_run", reason="no evaluation data was given; pass --eval")
    manifest = bundle.manifest
    task, data = given.read(manifest)
    if task.judged == "teacher" and given.teacher is None:
        reason = f"{task.metric_name} is measured by the teacher's vectors; pass --teacher"
        return Check(name="metric", status="not_run", reason=reason)
    check_evaluation(data, task)
    answers = given.answers_of(bundle)
    recorded = manifest.evaluation
    if recorded is not None and examples_sha256(data, task) == recorded.sha256:
        again = teacher_again(measured_again(answers, manifest), given, answers, manifest)
        return held_out_check(calibrated_again(again, answers, bundle), manifest)
    refuse_repeats(data, task)
    others = f"{task.observations(data)} " + (
        "other examples than the recorded ones" if recorded else "examples that no record knows"
    )
    margin, confidence = policy.retention_test(bundle.verdict.noninferiority)
    if given.teacher is not None:
        rows = paired_rows(answers.statistics, given.teacher_statistics(manifest, answers))
        return paired_check(judge_retention(rows, task, margin, confidence), task, f"on {others}, the teacher's too")
    if baseline is not None:
        reason = f"{task.metric_name} is {answers.metric:.4f} on {others}; compared with the baseline, see there"
        return Check(name="metric", status="passed", value=answers.metric, reason=reason)
    return better_than_constant(answers, others, confidence, "metric" in policy.require)


def measured_again(answers: Answers, manifest: BundleManifest) -> Check:
    """On the recorded data the recorded figure has to come out, to within the rounding of another CPU."""
    recorded = manifest.metrics.get("artifact")
    if recorded is None:
        return Check(name="metric", status="not_run", value=answers.metric, reason="the manifest holds no metric")
    n, value = len(answers.statistics), answers.metric
    slack = METRIC_SLACK + 1 / n  # one decision, whatever its share
    what = f"{answers.task.metric_name} measured again on the recorded {n} examples ({recorded.value:.4f} recorded)"
    if value > recorded.value + slack:
        return limit_check("metric", value, recorded.value + slack, True, what)
    return limit_check("metric", value, recorded.value - slack, False, what)


def teacher_again(check: Check, given: Given, answers: Answers, manifest: BundleManifest) -> Check:
    """The check, failed where a teacher is given that is another one, or whose recorded figure does not come out again.

    Where the teacher's vectors are what the data are judged by, it was asked already.
    """
    recorded = manifest.metrics.get("teacher")
    if given.teacher is None or recorded is None or answers.task.judged == "teacher" or check.status != "passed":
        return check
    value, n = answers.task.metric(given.teacher_statistics(manifest, answers)), len(answers.statistics)
    said = f"the teacher's is {value:.4f} ({recorded.value:.4f} recorded)"
    if abs(value - recorded.value) <= METRIC_SLACK + 1 / n:
        return check.model_copy(update={"reason": f"{check.reason}; {said}"})
    return check.model_copy(update={"status": "failed", "value": value, "limit": recorded.value, "reason": said})


def refuse_repeats(data: Dataset, task: Task) -> None:
    """`InputError` where most examples stand there again: a repeated one is no observation of its own."""
    different = count_different(data, task)
    if different * MOST_REPEATED < len(data):
        raise InputError(
            f"{data.source}: of {len(data):,} examples only {different:,} are different ones, and a repeated example "
            "says nothing new; give each once"
        )


def held_out_check(check: Check, manifest: BundleManifest) -> Check:
    """The check, failed where most of the recorded examples stand in the training data as well."""
    shared = manifest.training.shared if manifest.training else 0.0
    if not shared:
        return check
    reason = f"{100 * shared:.1f} % of the examples also stand in the training data"
    if shared <= MOST_SHARED:
        return check.model_copy(update={"reason": f"{check.reason}; {reason}"})
    reason = f"{reason}, so the figure says little of other texts: build with examples held out from it"
    return check.model_copy(update={"status": "failed", "reason": f"{reason}; {check.reason}"})


def calibrated_again(check: Check, answers: Answers, bundle: OpenBundle) -> Check:
    """The check, failed where the answers are not as well calibrated as the verdict recorded."""
    fault = calibration_fault(answers.logits[answers.scored], answers.encoded.labels[answers.scored], bundle.verdict)
    if check.status != "passed" or fault is None:
        return check
    return check.model_copy(update={"status": "failed", "reason": f"{fault}; {check.reason}"})


def paired_check(found: NonInferiority, task: Task, where: str) -> Check:
    """A paired test on data of the gate's user as the check `metric`."""
    check = retention_check(found, task.metric_name, "metric")
    return check.model_copy(update={"reason": f"{check.reason}; {where}"})


def better_than_constant(answers: Answers, others: str, confidence: float, required: bool) -> Check:
    """Whether the model does better than the best constant answer, by more than chance; all that can be known here."""
    task = answers.task
    said = (
        f"{task.metric_name} is {answers.metric:.4f} on {others}; how the teacher does on them is not known, "
        "so retention cannot be judged; pass --teacher or --baseline"
    )
    if required:
        return Check(name="metric", status="not_run", value=answers.metric, reason=said)
    constant = task.constant_statistics(answers.encoded)
    best = task.metric(constant)
    rows = paired_rows(answers.statistics, constant)
    sure, better = difference_interval(rows, task, confidence)[0] > 0, answers.metric > best
    status: Status = "passed" if sure else "undecided" if better else "failed"
    than = "better than" if sure else "perhaps better than" if better else "no better than"
    reason = f"{said}. It is {than} one constant answer ({best:.4f})"
    return Check(name="metric", status=status, value=answers.metric, limit=best, reason=reason)


def refuse_other_task(old: BundleManifest, new: BundleManifest) -> None:
    """`InputError` where two bundles do not answer the same question."""
    one, other = task_of(old), task_of(new)
    if one.embeds and other.embeds and one.vector_size != other.vector_size:
        raise InputError(
            f"the two bundles give vectors of {one.vector_size} and of {other.vector_size} numbers, which are not "
            "compared; an app has to compute its stored vectors anew for such a release"
        )
    if _asked(one) != _asked(other):
        raise InputError(
            "the two bundles are for different tasks or labels: "
            f"{old.task} with {len(old.labels)} labels, {new.task} with {len(new.labels)}; compare releases of one task"
        )
    if one.tag_scheme != other.tag_scheme:
        raise InputError(
            f"the tags of the two bundles mean different things: {one.tag_scheme} and {other.tag_scheme}; compare "
            "releases of one task"
        )


def _asked(task: Task) -> tuple[object, ...]:
    """What has to be the same for two bundles to answer one question."""
    return task.name, task.problem, task.pair, set(task.labels), task.activation, task.ranks
