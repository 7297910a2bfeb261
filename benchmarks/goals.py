"""Builds beside what they are to keep of their teacher: the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.building import Result
from benchmarks.cells import SHAPE_HEADER, build_time, shape_words, with_bounds
from benchmarks.runs import size_name
from benchmarks.tables import markdown_table
from edgepack.task.intervals import Interval


@dataclass(frozen=True)
class Goal:
    """A teacher on its task in a row's words; for each budget the least share of the teacher's metric to keep."""

    title: str
    goals: dict[int, float]


def goal_table(results: Sequence[Result], tasks: Mapping[str, Goal]) -> str:
    """Markdown: a row for each build, in the order of `tasks`, larger budgets first."""
    header = ["teacher and task", "budget", "effort", "shipped bytes", "metric (95 %)", "teacher", "retention (95 %)"]
    header += ["goal", SHAPE_HEADER, "build", "peak RSS"]
    order = sorted(results, key=lambda r: (list(tasks).index(r.run.task), -r.run.budget_bytes, r.run.effort))
    return markdown_table([header, *(goal_row(result, tasks[result.run.task]) for result in order)])


def goal_row(result: Result, task: Goal) -> list[str]:
    """One build."""
    run, metric, kept = result.run, result.metric, result.retention
    return [
        task.title,
        size_name(run.budget_bytes),
        run.effort,
        f"{result.shipped_bytes:,}",
        with_bounds(Interval(metric.value, metric.low, metric.high), ".4f"),
        f"{result.teacher.value:.4f}",
        with_bounds(Interval(kept.value, kept.low, kept.high), ".1%"),
        f"{task.goals[run.budget_bytes]:.1%}",
        shape_words(result.shape),
        build_time([result]),
        f"{result.peak_rss_bytes / 1e9:.2f} GB",
    ]
