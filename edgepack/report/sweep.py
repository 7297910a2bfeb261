"""The report of a sweep: a table of its builds, means over seeds, retention. Each build has a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepack.bundle.sweep import BUILDS, SweepBuild, SweepMean, SweepRecord, SweepTarget
from edgepack.report.glance import WORDS, Headline
from edgepack.report.marks import Interval, Intervals, Reference, intervals
from edgepack.report.units import NOT_MEASURED, figure, metric_name, percent, size, three_digits

BUILD_COLUMNS = ["build", "target", "shipped bytes", "metric", "retention (95 %)", "p50 ms", "verdict"]
MEAN_COLUMNS = ["builds", "target", "seeds", "shipped bytes", "metric (95 %)", "retention (95 %)", "p50 ms", "passed"]
MOST_PICTURED = 40  # rows of one picture
ABOUT_MEANS = (
    "An interval holds what other seeds would change (Student's t) and what other evaluation examples would (the mean "
    "of the seeds' own intervals)."
)
STATES = {"waiting": "not built yet", "failed": "failed"}


def sweep_headline(record: SweepRecord) -> Headline:
    """How many builds passed; the worst status stands for the sweep."""
    builds = record.builds
    passed, waiting = sum(b.passed for b in builds), sum(b.status == "waiting" for b in builds)
    statuses = {result.status for build in builds for result in build.results}
    failed = any(build.status == "failed" for build in builds) or "failed" in statuses
    status = "passed" if passed == len(builds) else "failed" if failed else "not_run" if waiting else "undecided"
    rest = f", {waiting} not built yet" if waiting else ""
    return Headline(status, f"{passed} of {len(builds)} builds passed{rest}")


def sweep_context(record: SweepRecord) -> dict[str, Any]:
    """All that the templates show."""
    return {
        "record": record,
        "headline": sweep_headline(record),
        "words": WORDS,
        "build_columns": BUILD_COLUMNS,
        "builds": list(zip(links(record), build_rows(record), strict=True)),
        "mean_columns": MEAN_COLUMNS,
        "means": mean_rows(record),
        "pictures": pictures(record),
        "about_means": ABOUT_MEANS,
        "about_times": about_times(record),
        "failed": [(build.name, build.error) for build in record.builds if build.status == "failed"],
        "missing": [(b.name, target, why) for b in record.builds for target, why in b.missing.items()],
    }


def about_times(record: SweepRecord) -> str:
    """What the table's times were measured beside."""
    alone = not record.ray and record.jobs == 1
    beside = "no other build ran" if alone else "other builds ran, which lengthens them"
    return (
        f"Times are of one text on the machine that built, while {beside}; `edgepack validate` measures a build's "
        "again. A build's retention has the interval of its paired test."
    )


def links(record: SweepRecord) -> list[str]:
    """Each row's report, relative to the page; "" where there is none."""
    return [f"{BUILDS}/{b.name}/report.html" if b.status == "built" else "" for b, _ in rows_of(record)]


def rows_of(record: SweepRecord) -> list[tuple[SweepBuild, SweepTarget | None]]:
    """A pair for each build and target; one for a build without any."""
    none: list[SweepTarget | None] = [None]
    return [(build, result) for build in record.builds for result in [*build.results] or none]


def build_rows(record: SweepRecord) -> list[list[str]]:
    """Cells of `BUILD_COLUMNS`."""
    named = metric_names(record)
    return [build_row(build, result, named.get(build.teacher, "")) for build, result in rows_of(record)]


def metric_names(record: SweepRecord) -> dict[str, str]:
    """What each teacher's metric is called, behind its figures; empty where all have the same one."""
    found = {b.teacher: r.metric.name for b, r in rows_of(record) if r is not None and r.metric is not None}
    several = len(set(found.values())) > 1
    return {teacher: f" {metric_name(name)}" for teacher, name in found.items()} if several else {}


def build_row(build: SweepBuild, result: SweepTarget | None, named: str = "") -> list[str]:
    """One build and target; `named`: what stands behind the metric's figure."""
    if result is None:
        absent = "not built" if build.status == "built" else STATES[build.status]
        return [build.name, " ".join(build.targets), "-", "-", "-", "-", absent]
    metric = NOT_MEASURED if result.metric is None else figure(result.metric.name, result.metric.value) + named
    opened = f": {', '.join(result.open_checks)}" if result.open_checks else ""
    return [
        build.name,
        result.target,
        f"{result.shipped_bytes:,}",
        metric,
        with_interval(result.retention),
        times(result.p50_ms),
        f"{WORDS[result.status]}{opened}",
    ]


def mean_rows(record: SweepRecord) -> list[list[str]]:
    """Cells of `MEAN_COLUMNS`."""
    named = metric_names(record)
    return [
        [
            kind_of(mean, record),
            mean.target,
            " ".join(map(str, mean.seeds)),
            f"{mean.shipped_bytes:,}",
            with_interval(mean.metric) + (named.get(mean.teacher, "") if mean.metric is not None else ""),
            with_interval(mean.retention),
            times(mean.p50_ms),
            f"{mean.statuses.count('passed')} of {len(mean.statuses)}",
        ]
        for mean in record.means
    ]


def kind_of(mean: SweepMean, record: SweepRecord) -> str:
    """What a mean's builds have in common, in words; the targets where there are several lists of them."""
    several = len({tuple(build.targets) for build in record.builds}) > 1
    parts = [mean.teacher, size(mean.budget_bytes), mean.recipe]
    return ", ".join([*parts, *([f"built for {' and '.join(mean.targets)}"] if several else [])])


def with_interval(found: Any) -> str:
    """A share with its interval: `99.4 % (97.7 to 101 %)`."""
    if found is None:
        return NOT_MEASURED
    return f"{percent(found.value)} ({percent(found.low).removesuffix(' %')} to {percent(found.high)})"


def times(p50_ms: dict[int, float]) -> str:
    """Median times by token count, as `1.2 (16 tokens), 4.1 (64 tokens)`."""
    return ", ".join(f"{three_digits(ms)} ({count} tokens)" for count, ms in p50_ms.items()) or NOT_MEASURED


def pictures(record: SweepRecord) -> list[tuple[str, Intervals]]:
    """Retention with its interval, a picture for each teacher: means over seeds, else single builds."""
    found = []
    for number, teacher in enumerate(dict.fromkeys(build.teacher for build in record.builds)):
        rows = picture_rows(record, teacher)[:MOST_PICTURED]
        drawn = intervals(f"sweep-{number}", f"Retention of {teacher}'s students", rows, Reference(1.0, "the teacher"))
        if drawn is not None:
            found.append((teacher, drawn))
    return found


def picture_rows(record: SweepRecord, teacher: str) -> Sequence[Interval]:
    """One teacher's rows."""
    means = [mean for mean in record.means if mean.teacher == teacher and mean.retention is not None]
    if means:
        labelled = [(f"{kind_of(mean, record)}, {mean.target}", mean.retention) for mean in means]
    else:
        labelled = [
            (f"{build.name}, {result.target}", result.retention)
            for build, result in rows_of(record)
            if build.teacher == teacher and result is not None and result.retention is not None
        ]
    return [Interval(label, r.low, r.value, r.high, with_interval(r)) for label, r in labelled if r is not None]
