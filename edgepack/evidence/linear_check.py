"""The gate's check `linear`: does the artifact gain enough over the linear model of its build to be worth shipping?

Both answered the same examples, so their accuracies differ by those that one alone has right. The interval of that
difference is Agresti and Min's (2005, Statistics in Medicine 24:729-740): half an example is added to each of the four
counts, so that it has a width where the two differ on none. Of label sets and scores, whose metrics are no counts of
what is right, it is that of the difference of their linear terms in each text, or query; so of tags in each sentence.
"""

from __future__ import annotations

import math

from edgepack.bundle.linear import reached
from edgepack.bundle.manifest import LinearRecord
from edgepack.bundle.verdict import Check, Status, Verdict
from edgepack.errors import InputError, bare
from edgepack.evidence.noninferiority import read_rows
from edgepack.evidence.paired_ratio import PairedRows, difference_interval, normal_quantile
from edgepack.evidence.policy import Policy
from edgepack.task.scoring import MULTI_LABEL, REGRESSION
from edgepack.task.task import Task

ADDED = 0.5  # to each count
CLOSE = 1e-9
KINDS = (  # one task of each metric that is recorded by rows: of any labels it is the same
    Task("text-classification", ("a", "b"), problem=MULTI_LABEL),
    Task("text-classification", ("score",), problem=REGRESSION),
    Task("text-classification", ("score",), pair=True, problem=REGRESSION, ranks=True),
    Task("token-classification", ("O", "B-a", "I-a")),
    Task("token-classification", ("a", "b"), scheme="plain"),
)
TASKS = {task.metric_name: task for task in KINDS}


def linear_check(verdict: Verdict, policy: Policy, least: float) -> Check:
    """Whether the artifact's accuracy is at least `least` above the linear model's: all of the interval, or none."""
    record = verdict.linear
    if record is None:
        return Check(
            name="linear",
            status="not_run",
            reason="the verdict holds no linear model; builds have one of labels, tags and scores",
        )
    if not record.counts and not record.rows:
        return Check(name="linear", status="not_run", reason="the artifact was not compared with the linear model")
    confidence = policy.retention_test(verdict.noninferiority)[1]
    n, gain = gained(record)
    low, high = gain_interval(record, confidence)
    status: Status = "passed" if low >= least else "failed" if high < least else "undecided"
    reason = (
        f"{reached(record)}; this model gains {100 * gain:.2f} points, {100 * confidence:g} % interval "
        f"{100 * low:.2f} to {100 * high:.2f}; all of it must be at least {100 * least:g}"
    )
    if status == "undecided":
        reason += f", and these {n:,} examples cannot decide"
    return Check(name="linear", status=status, value=low, limit=least, reason=reason)


def gained(record: LinearRecord) -> tuple[int, float]:
    """Examples, and the artifact's metric less the linear model's on them."""
    if record.rows:
        rows, task = recorded_rows(record)
        return rows.n, task.metric(rows.artifact, rows.counts) - task.metric(rows.teacher, rows.counts)
    _, own, other, _ = recorded_counts(record)
    return sum(record.counts), (own - other) / sum(record.counts)


def recorded_counts(record: LinearRecord) -> list[int]:
    """The four counts; `InputError` where they are not four, or not of the examples of the linear model's metric."""
    if len(record.counts) != 4 or min(record.counts) < 0 or not sum(record.counts) == record.metric.n > 0:
        raise InputError(f"the linear model's counts are not four of {record.metric.n} examples; build it again")
    return record.counts


def recorded_rows(record: LinearRecord) -> tuple[PairedRows, Task]:
    """Recorded statistics of artifact and linear model, and a task of their metric; `InputError` if they are none."""
    task = TASKS.get(record.metric.name)
    if task is None:
        raise InputError(f"rows are of {', '.join(TASKS)}, the linear model's metric is {bare(record.metric.name)}")
    return read_rows(record.rows, task), task


def gain_interval(record: LinearRecord, confidence: float) -> tuple[float, float]:
    """The artifact's metric less the linear model's, as a two-sided interval."""
    if record.rows:
        return difference_interval(*recorded_rows(record), confidence)
    _, own, other, _ = (count + ADDED for count in recorded_counts(record))
    n = sum(record.counts) + len(record.counts) * ADDED
    gain = (own - other) / n
    half = normal_quantile(confidence) * math.sqrt(max(0.0, (own + other) / n - gain**2) / n)
    return gain - half, gain + half


def linear_faults(verdict: Verdict) -> list[str]:
    """What the verdict's record of the linear model contradicts."""
    record = verdict.linear
    if record is None:
        return []
    figure, faults = record.metric, ["the linear model has no bytes"] if record.bytes < 1 else []
    if figure.n < 1 or not 0 <= figure.low <= figure.value <= figure.high <= 1:
        faults.append("the linear model's metric is not inside its interval")
    if record.rows:
        return faults + row_faults(record, verdict)
    if not record.counts:
        return faults
    try:
        both, own, other, _ = recorded_counts(record)
    except InputError as e:
        return [*faults, str(e)]
    artifact = verdict.metrics.get("artifact")
    known = [("the linear model", both + other, record.metric), ("the artifact", both + own, artifact)]
    for whose, right, metric in known:
        if metric is None or metric.n != record.metric.n or abs(right / metric.n - metric.value) > 1e-9:
            faults.append(f"the linear model's counts give {whose} {right} right, its metric says otherwise")
    return faults


def row_faults(record: LinearRecord, verdict: Verdict) -> list[str]:
    """What the recorded rows of label sets or scores contradict."""
    if record.counts:
        return ["the linear model has counts and rows; it has either"]
    try:
        rows, task = recorded_rows(record)
    except InputError as e:
        return [f"the linear model's rows are not those of two models on the same examples: {e}"]
    faults, artifact = [], verdict.metrics.get("artifact")
    known = [("the linear model", rows.teacher, record.metric), ("the artifact", rows.artifact, artifact)]
    for whose, side, metric in known:
        if metric is None or metric.n != rows.n or abs(task.metric(side, rows.counts) - metric.value) > CLOSE:
            faults.append(f"the linear model's rows give {whose} another metric than is recorded")
    return faults
