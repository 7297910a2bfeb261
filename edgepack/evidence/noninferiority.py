"""The question that decides a release: is the artifact's metric at least `1 - margin` of the teacher's?

A measured ratio alone does not answer it. Of 1,000 examples with 10 % disagreement, an artifact that is exactly at
the margin measures above it half of the time. The answer is `passed` where the whole interval of the ratio is at or
above `1 - margin`, `failed` where all of it is below, and `undecided` in between: the data cannot tell, which is not a
pass, and the answer says how many examples probably could. The interval and its sources: `paired_ratio`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgepack.bundle.analysis import NonInferiority
from edgepack.bundle.verdict import Check
from edgepack.errors import InputError
from edgepack.evidence.paired_ratio import (
    PairedRows,
    PairedValues,
    differences,
    normal_quantile,
    null_variance,
    paired_values,
    ratio_interval,
    ratio_of,
    refused,
)
from edgepack.task.task import Task

POWER = 0.8  # with so many examples as are said to be needed, the data decide that often
MOST_COUNTED = 2**31  # in a row of a verdict
MOST_EXAMPLES = 10_000_000  # more are as good as none that would do


def judge_retention(rows: PairedRows, task: Task, margin: float, confidence: float) -> NonInferiority:
    """Whether the artifact keeps `1 - margin` of the teacher's metric, by the paired test."""
    found = NonInferiority(
        margin=margin,
        confidence=confidence,
        n=rows.n,
        value=0.0,
        lower=0.0,
        upper=0.0,
        decision="failed",
        discordant=int(rows.counts[(rows.artifact != rows.teacher).any(axis=1)].sum()),
        rows=recorded(rows),
    )
    if not task.metric(rows.teacher, rows.counts) > 0:  # nothing to keep, and no ratio
        return found
    values = paired_values(rows, task)
    lower, upper = ratio_interval(values, confidence)
    decision = decide(values, 1 - margin, confidence)
    needed = examples_needed(values, 1 - margin, confidence) if decision == "undecided" else None
    measured = {"value": ratio_of(values), "lower": lower, "upper": upper}
    return found.model_copy(update={**measured, "decision": decision, "needed": needed})


def decide(values: PairedValues, limit: float, confidence: float) -> Literal["passed", "failed", "undecided"]:
    """Whether the ratio is at or above a limit: the whole interval, none of it, or a part."""
    if limit <= 0:
        return "passed"
    answers: dict[str | None, Literal["passed", "failed", "undecided"]]
    answers = {"as too low": "passed", "as too high": "failed", None: "undecided"}
    return answers[refused(values, limit, confidence)]


def recorded(rows: PairedRows) -> list[list[int | float]]:
    """Rows as plain data: the artifact's statistics, the teacher's, and how often they are there."""
    sides = zip(rows.artifact.tolist(), rows.teacher.tolist(), rows.counts.tolist(), strict=True)
    return [[*artifact, *teacher, count] for artifact, teacher, count in sides]


def rows_of(found: NonInferiority, task: Task) -> PairedRows:
    """The statistics that a decision was made from, so that it can be made again with another margin."""
    return read_rows(found.rows, task)


def read_rows(recorded_rows: Sequence[Sequence[int | float]], task: Task) -> PairedRows:
    """What `recorded` wrote. It may be anybody's: an `InputError` where no two models could have answered so."""
    metric, k = task.scoring, task.scoring.columns
    if not recorded_rows or any(len(row) != 2 * k + 1 for row in recorded_rows):
        raise InputError(f"the verdict's rows are not of {2 * k + 1} numbers; build the bundle again")
    if not all(-MOST_COUNTED < value < MOST_COUNTED for row in recorded_rows for value in row):  # NaN is not
        raise InputError(f"the verdict's rows hold a number that is not below {MOST_COUNTED:,}; build the bundle again")
    table = np.array(recorded_rows, dtype=np.float64)
    whole = table if metric.counted else table[:, -1:]
    if (whole < 0).any() or (whole % 1).any():
        raise InputError("the verdict's counts are not whole numbers from 0; build the bundle again")
    statistics = table[:, :-1].astype(np.int64) if metric.counted else table[:, :-1]
    rows = PairedRows(statistics[:, :k], statistics[:, k:], table[:, -1].astype(np.int64))
    if not metric.possible(rows.artifact, rows.teacher) or not rows.counts.min() > 0:
        raise InputError("the verdict's counts are not those of two models on the same examples; build it again")
    return rows


def examples_needed(values: PairedValues, limit: float, confidence: float) -> int | None:
    """About how many examples would decide in 4 of 5 cases if both models are as they were measured; None: too many.

    The variance under the hypothesis sets the bar, the measured one how far a new sample may fall from it.
    """
    if limit >= 1 and ratio_of(values) <= 1:
        return None
    if values.artifact_safe and limit < 1:  # as many again without a loss
        share = values.artifact_safe / values.n
        return rounded_up(math.log((1 - confidence) / 2) / math.log(limit) / share, values.n)
    g = differences(values, limit)
    mean = float(values.weights @ g)
    if not mean:
        return None
    bar = normal_quantile(confidence) * math.sqrt(null_variance(values, limit))
    spread = math.sqrt(max(0.0, float(values.weights @ (g - mean) ** 2)))
    needed = ((bar + normal_quantile(2 * POWER - 1) * spread) / mean) ** 2
    needed += values.artifact_step / abs(mean)  # what the half step costs
    return rounded_up(needed, values.n)


def rounded_up(needed: float, n: int) -> int | None:
    """Two digits of a number of examples, more than the `n` that could not decide; None: out of reach."""
    if not needed < MOST_EXAMPLES:
        return None
    digits = 10 ** max(0, len(str(math.ceil(needed))) - 2)
    return max(math.ceil(needed / digits) * digits, n + 1)


def retention_check(
    found: NonInferiority, task_metric: str, name: str = "retention", whose: str = "the teacher's"
) -> Check:
    """The decision as a check: its value is the interval's lower end, which the limit is for."""
    limit = 1 - found.margin
    interval = f"{100 * found.confidence:g} % interval {found.lower:.4f} to {found.upper:.4f}"
    reason = (
        f"{task_metric} is {found.value:.4f} of {whose} on {found.n} examples, {interval}; "
        f"all of it must be at least {limit:.6g}"
    )
    if found.decision == "undecided":
        reason += f", and these examples cannot decide: {said_of_more(found)}"
    return Check(name=name, status=found.decision, value=found.lower, limit=limit, reason=reason)


def said_of_more(found: NonInferiority) -> str:
    """What would decide."""
    if found.needed is None:
        return "the models are too close to the limit for any number"
    likely = "passed" if found.value >= 1 - found.margin else "failed"
    return f"about {found.needed:,} would, probably as {likely}"
