"""The frontier as a plot and a table, from recorded runs alone.

    python -m benchmarks plot

Writes docs/images/frontier.svg (the same bytes from the same results), the tables of docs/results.md and the short one
of README.md, each between its markers.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.building import Result
from benchmarks.cells import with_bounds
from benchmarks.frontier import (
    TITLES,
    Alternative,
    Alternatives,
    Point,
    frontier_table,
    means_table,
    points,
    read_alternatives,
)
from benchmarks.other_tools import NAME, OtherResult, other_table, speed_ratio
from benchmarks.runs import FRONTIER, REPOSITORY, size_name
from benchmarks.store import RESULTS, Store
from benchmarks.tables import markdown_table, write_table
from edgepack.errors import InputError, MissingDependency
from edgepack.task.intervals import Interval
from edgepack.workspace import write_atomic

IMAGE, PAGE = REPOSITORY / "docs" / "images" / "frontier.svg", REPOSITORY / "docs" / "results.md"
README, SUMMARY = REPOSITORY / "README.md", "results"
TOOL_NAMES = {"int8": "ONNX Runtime int8", "4-bit": "ONNX Runtime 4-bit"}  # in the short table, in this order
OURS, THEIRS, CHEAP = "#1560bd", "#6b6b6b", "#b35900"
PANELS_IN_ROW = 3
TICKS_MB = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)
# text as outlines: looks alike everywhere; the salt and the missing date make the bytes repeat
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "edgepack",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
}


def draw(found: Sequence[Point], others: Sequence[OtherResult], alternatives: Alternatives) -> bytes:
    """The SVG: shipped bytes (log) against retention, a panel for each task."""
    try:
        import matplotlib
    except ImportError as e:
        raise MissingDependency('matplotlib is not installed; run: pip install "edgepack[plot]"') from e
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    tasks = [task for task in TITLES if any(p.task == task for p in found) or any(o.task == task for o in others)]
    if not tasks:
        raise InputError("no result to draw; run `python -m benchmarks frontier` first")
    with matplotlib.rc_context({**STYLE, "axes.spines.top": False, "axes.spines.right": False}):
        columns = min(len(tasks), PANELS_IN_ROW)
        rows = math.ceil(len(tasks) / columns)
        figure = Figure(figsize=(4.8 * columns, 4.2 * rows), facecolor="white", layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for panel, task in zip(panels.flat, tasks, strict=False):
            own = [p for p in found if p.task == task]
            draw_task(panel, task, own, [o for o in others if o.task == task])
            cheap = [alternatives[key] for p in own if (key := (task, p.budget_bytes)) in alternatives]
            if cheap:
                draw_cheap(panel, cheap, own[0].results[0].teacher.value)
        for panel in panels.flat[len(tasks) :]:
            panel.set_axis_off()
        for row in panels:
            row[0].set_ylabel("share of the teacher's metric kept, dev")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def draw_task(panel: Any, task: str, found: Sequence[Point], others: Sequence[OtherResult]) -> None:
    """One panel: edgepack's points joined, other tools' apart, each with its name and interval."""
    panel.set_xscale("log")
    panel.axhline(1.0, color="#c8c8c8", linewidth=1, zorder=0)
    ours = sorted(found, key=lambda p: p.shipped_bytes)
    if ours:
        kept = [p.retention for p in ours]
        sizes, values = [p.shipped_bytes / 1e6 for p in ours], [k.value for k in kept]
        # two rows, below and above; a percentile interval need not hold the value, and NaN is no bound
        bars = [[max(0.0, k.value - k.low) for k in kept], [max(0.0, k.high - k.value) for k in kept]]
        panel.errorbar(sizes, values, yerr=bars, color=OURS, marker="o", markersize=5, capsize=2, linewidth=1.6)
        for point, size, value in zip(ours, sizes, values, strict=True):
            name = "edgepack\n" if point is ours[-1] else ""
            label(panel, f"{name}{size_name(point.budget_bytes)}\n{value:.1%}", size, value, OURS, (6, -4))
    for number, other in enumerate(sorted(others, key=lambda o: o.shipped_bytes)):
        size, kept_there = other.shipped_bytes / 1e6, other.retention
        value = kept_there.value
        bars = [[max(0.0, value - kept_there.low)], [max(0.0, kept_there.high - value)]]
        panel.errorbar([size], [value], yerr=bars, color=THEIRS, marker="s", markersize=4.5, capsize=2, linewidth=1)
        # neighbours are close on the axis: names below and above their bars in turn
        end, offset = (kept_there.high, 5) if number % 2 else (kept_there.low, -5)
        label(panel, f"{other.tool}\n{value:.1%}", size, value if math.isnan(end) else end, THEIRS, (0, offset))
    panel.set_xlim(0.06, 180)
    panel.set_xticks(TICKS_MB, [f"{tick:g}" for tick in TICKS_MB], minor=False)
    panel.minorticks_off()
    panel.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    panel.set_xlabel("shipped bytes, MB (model file and tokenizer)")
    panel.set_title(TITLES[task], loc="left", weight="bold")
    panel.grid(axis="y", color="#ececec", linewidth=0.8)
    panel.set_axisbelow(True)


def draw_cheap(panel: Any, cheap: Sequence[Alternative], teacher: float) -> None:
    """The best cheap classifier at each budget of edgepack's points, as shares of the teacher's metric."""
    best = sorted(cheap, key=lambda each: each.bytes)
    sizes, values = [each.bytes / 1e6 for each in best], [each.metric / teacher for each in best]
    panel.plot(sizes, values, color=CHEAP, marker="^", markersize=4.5, linewidth=1)
    label(panel, f"{best[0].name}\n{values[0]:.1%}", sizes[0], values[0], CHEAP, (6, 4))


def label(panel: Any, text: str, size: float, value: float, color: str, offset: tuple[float, float]) -> None:
    """A name next to a point, `offset` points from it, on the side that the offset goes to."""
    side = "left" if offset[0] > 0 else "right" if offset[0] < 0 else "center"
    height = "bottom" if offset[1] > 0 else "top"
    place = {"xytext": offset, "textcoords": "offset points", "ha": side, "va": height, "multialignment": side}
    panel.annotate(text, (size, value), color=color, fontsize=8, linespacing=1.1, **place)


def summary(found: Sequence[Point], others: Sequence[OtherResult], alternatives: Alternatives) -> str:
    """All tables, in Markdown."""
    parts = [means_table(found), frontier_table(found, alternatives)] if found else []
    parts += [f"Other tools, the same teachers:\n\n{other_table(others)}"] if others else []
    return "\n\n".join(parts)


def short_table(found: Sequence[Point], others: Sequence[OtherResult]) -> str:
    """For a newcomer: a row for each task, its models from the largest to the smallest."""
    tools = [tool for tool in TOOL_NAMES if any(other.tool == tool for other in others)]
    budgets = sorted({point.budget_bytes for point in found}, reverse=True)
    ours = [f"edgepack, {size_name(budget).replace('MB', ' MB')}" for budget in budgets]
    rows = [["task", "teacher", *(TOOL_NAMES[tool] for tool in tools), *ours]]
    for task, title in TITLES.items():
        points_of = {point.budget_bytes: point for point in found if point.task == task}
        others_of = {other.tool: other for other in others if other.task == task}
        teachers = [point.results[0].teacher.value for point in points_of.values()]
        teachers += [other.teacher.value for other in others_of.values()]
        if teachers:
            cells = [*map(others_of.get, tools), *map(points_of.get, budgets)]
            rows.append([title, f"{teachers[0]:.4f}", *("" if each is None else cell(each) for each in cells)])
    return markdown_table(rows)


def cell(model: Point | OtherResult) -> str:
    """A model's share of the teacher's metric, its speed, and the bytes of a model that has no budget."""
    kept = Interval(model.retention.value, model.retention.low, model.retention.high)
    if isinstance(model, OtherResult):
        return f"{with_bounds(kept, '.1%')}, {times(speed_ratio(model))}, {model.shipped_bytes / 1e6:.0f} MB"
    speed = f", {times(sum(model.ratios) / len(model.ratios))}" if model.ratios else ""
    return f"{with_bounds(kept, '.1%')}{speed}"


def times(ratio: float) -> str:
    """A ratio of speeds in two digits, or as many as it has before the point."""
    return f"{ratio:.2g} ×" if ratio < 99.5 else f"{ratio:.0f} ×"


def main(arguments: Sequence[str]) -> None:
    """Write the plot, put the tables into their pages and print the full ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plot")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--image", type=Path, default=IMAGE)
    parser.add_argument("--page", type=Path, default=PAGE, help="the page with all figures")
    parser.add_argument("--readme", type=Path, default=README, help="the page with the short table")
    parser.add_argument("--effort", default="standard", help="which effort's runs")
    options = parser.parse_args(arguments)
    found = points(list(Store(options.results / FRONTIER).load_all(Result).values()), options.effort)
    others = list(Store(options.results / NAME).load_all(OtherResult).values())
    alternatives = read_alternatives(options.results)
    image, tables = draw(found, others, alternatives), summary(found, others, alternatives)
    options.image.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(options.image, image)
    write_table(options.page, FRONTIER, tables)
    write_table(options.readme, SUMMARY, short_table(found, others))
    print(tables)
