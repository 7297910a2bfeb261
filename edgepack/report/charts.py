"""Charts by pygal: curves, the plan's candidates, a treemap. Pictures of rows belong to `report/marks.py`.

pygal writes an SVG with a script, a style sheet and remarks of its own. `finished` leaves the shapes, which the page's
style sheet colours by their classes, gives the picture a title and a text for who does not see it, and turns
pygal's descriptions into titles, which a browser shows under the pointer without a script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import pygal
from markupsafe import Markup
from pygal.style import Style

from edgepack.report.groups import Group, TargetBytes
from edgepack.report.records import Curve, PlanRecord
from edgepack.report.units import clean, percent, size, three_digits

WIDTH, FONT = 360, 11  # of the drawing, which a phone shows at about this size
CHARACTER, LINE = 7.1, 15  # pixels that a text takes in a cell of the treemap, at most
FRONTS = ("line-3", "line-0", "line-2")  # classes, none of which looks like the budget's
PLACES = re.compile(r"\d+\.\d{3,}")
SVG = "{http://www.w3.org/2000/svg}"  # before a tag


@dataclass(frozen=True)
class Chart:
    """A picture: its title, its text for who does not see it, and what its kinds of shapes mean."""

    key: str
    title: str
    text: str
    svg: Markup
    legend: tuple[tuple[str, str], ...] = ()  # class, meaning


def settings(height: float, **changes: object) -> dict[str, object]:
    """What all charts have in common; pygal measures its texts with the style's sizes."""
    sizes = {f"{part}_font_size": FONT for part in ("label", "major_label", "value", "value_label", "legend", "title")}
    common: dict[str, object] = {
        "style": Style(font_family="inherit", **sizes),
        "css": [],
        "js": [],
        "width": WIDTH,
        "height": height,
        "margin": 4,
        "show_legend": False,
        "show_x_guides": False,
        "max_scale": 6,
    }
    return common | changes


def shapes(chart: pygal.graph.graph.Graph, classes: Sequence[str]) -> ElementTree.Element:
    """What pygal draws and no more; series get `classes` in their order."""
    root = ElementTree.fromstring(chart.render(is_unicode=True, disable_xml_declaration=True))
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("defs", "title", "script", "style"):
                parent.remove(child)
    for group in root.iter("g"):
        name_series(group, classes)
        name_shape(group)
    return root


def finished(root: ElementTree.Element, key: str, title: str, text: str) -> Markup:
    """The shapes as a part of a page, with a name and a description."""
    for element in root.iter():
        for name in ("rx", "ry", "id"):
            element.attrib.pop(name, None)
        for name, value in element.attrib.items():
            element.set(name, PLACES.sub(lambda found: f"{float(found[0]):.1f}", value))
    names = {"title": f"{key}-title", "desc": f"{key}-text"}
    for place, (tag, words) in enumerate((("title", title), ("desc", text))):
        named = ElementTree.Element(tag, {"id": names[tag]})
        named.text = clean(words)
        root.insert(place, named)
    root.attrib |= {"class": "chart", "role": "img", "aria-labelledby": " ".join(names.values())}
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=True))


def name_series(group: ElementTree.Element, classes: Sequence[str]) -> None:
    """The class of a series instead of its number."""
    found = re.search(r"\b(?:serie|series)-(\d+)\b", group.get("class", ""))
    if found is not None and int(found[1]) < len(classes):
        group.set("class", classes[int(found[1])])


def name_shape(group: ElementTree.Element) -> None:
    """One title out of a shape's descriptions."""
    described = {each.get("class", ""): each for each in group.findall("desc")}
    words = [described[name].text or "" for name in ("label", "x_label", "value") if name in described]
    for each in described.values():
        group.remove(each)
    if words and any(words):
        title = ElementTree.Element("title")
        title.text = ": ".join(dict.fromkeys(word for word in words if word))
        group.insert(0, title)


def losses(key: str, curves: Sequence[Curve]) -> Chart:
    """The loss by step, a line for each training stage."""
    title = "Training loss by step"
    highest = max(loss for curve in curves for _, loss in curve.points)
    chart = pygal.XY(**settings(230, show_dots=False, x_title="step", range=(0, highest * 1.05 or 1)))
    chart.x_value_formatter = lambda step: f"{step:,.0f}"
    chart.value_formatter = three_digits
    for curve in curves:
        chart.add(clean(curve.name), list(curve.points))
    kinds = [f"line-{place % 4}" for place in range(len(curves))]
    ends = [
        f"{c.name}, {c.steps:,} steps: {three_digits(c.points[0][1])} → {three_digits(c.points[-1][1])}" for c in curves
    ]
    legend = tuple(zip(kinds, ends, strict=True))
    return Chart(key, title, "; ".join(ends), finished(shapes(chart, kinds), key, title, "; ".join(ends)), legend)


def candidates(key: str, plan: PlanRecord, target: str, shipped: int, measured_loss: float | None) -> Chart | None:
    """Bytes and estimated loss of the plan's candidates, the chosen one and what was measured of it marked."""
    places = [(each.bytes[target], each.estimated_loss) for each in plan.candidates if target in each.bytes]
    if not places or target not in plan.candidates[0].bytes:
        return None
    title = f"Candidates on {target}: bytes, loss of the metric after short training"
    series = [
        ("others", "other candidates, short training", places[1:]),
        ("chosen", "this build, short training", places[:1]),
    ]
    if measured_loss is not None:
        series.append(("measured", "this build, measured", [(shipped, measured_loss)]))
    series += front_lines(plan, target)
    known = [loss for _, _, points in series for _, loss in points]
    low, high = min(0.0, *known), max(known)
    room = 0.08 * (high - low or 0.01)
    edge = (low - room if low < 0 else 0.0, high + room)
    budget = plan.budget_bytes
    series.append(("budget", f"budget, {size(budget)}", [(budget, edge[0]), (budget, edge[1])]))
    chart = pygal.XY(**settings(240, stroke=False, dots_size=4, x_title="shipped bytes", range=edge))
    chart.x_value_formatter, chart.value_formatter = size, lambda loss: percent(loss, 1)
    for kind, meaning, points in series:
        line = kind not in ("others", "chosen", "measured")
        chart.add(meaning, points, stroke=line, show_dots=not line, dots_size=6 if kind == "chosen" else 4)
    estimate = f"after short training this build was estimated at {size(places[0][0])} and {percent(places[0][1])} loss"
    found = "" if measured_loss is None else f"; measured: {size(shipped)} and {percent(measured_loss)}"
    fronts = [f"; {meaning}: {described(points)}" for kind, meaning, points in series if kind.startswith("line")]
    text = f"{len(places)} candidates for a budget of {size(budget)}; {estimate}{found}{''.join(fronts)}"
    kinds = [kind for kind, _, _ in series]
    legend = tuple((kind, meaning) for kind, meaning, points in series if points)
    return Chart(key, title, text, finished(shapes(chart, kinds), key, title, text), legend)


def front_lines(plan: PlanRecord, target: str) -> list[tuple[str, str, list[tuple[int, float]]]]:
    """What other budgets would buy, a line for each speed: class, meaning, bytes and score."""
    speeds = sorted({point.at_least for point in plan.front})
    lines = []
    for number, speed in enumerate(speeds):
        own = [point for point in plan.front if point.at_least == speed and target in point.bytes]
        meaning = f"lowest loss at {speed:.1f} × the teacher's speed or more, short training"
        lines.append(
            (FRONTS[number % len(FRONTS)], meaning, sorted((each.bytes[target], each.estimated_loss) for each in own))
        )
    return [line for line in lines if line[2]]


def described(points: Sequence[tuple[int, float]]) -> str:
    """Both ends of a line."""
    ends = dict.fromkeys((points[0], points[-1]))
    return " to ".join(f"{percent(loss, 1)} at {size(place)}" for place, loss in ends)


def treemap(key: str, parts: TargetBytes) -> Chart:
    """Areas in proportion to bytes, one for each group."""
    title = f"Shipped bytes of {parts.target} by group"
    chart = pygal.Treemap(**settings(220))
    chart.value_formatter = size
    for group in parts.groups:
        chart.add(group.name, [{"value": group.size_bytes, "label": group.name}])
    text = "; ".join(f"{g.name}: {size(g.size_bytes)}, {percent(g.share, 1)}" for g in parts.groups)
    root = shapes(chart, [f"cell group-{group.key}" for group in parts.groups])
    plot = next(group for group in root.iter("g") if group.get("class") == "plot")
    cells = [rect for rect in plot.iter("rect") if "rect" in (rect.get("class") or "").split()]
    for group, cell in zip(parts.groups, cells, strict=True):
        plot.extend(cell_texts(cell, group))
    plot.attrib.pop("transform")
    root.set("viewBox", " ".join(f"{value:.1f}" for value in bounds(cells)))
    return Chart(key, title, text, finished(root, key, title, text))


def bounds(cells: Sequence[ElementTree.Element]) -> tuple[float, float, float, float]:
    """Left, top, width and height of all cells together: pygal leaves a margin around them."""
    places = [[float(cell.attrib[name]) for name in ("x", "y", "width", "height")] for cell in cells]
    left, top = min(x for x, *_ in places), min(y for _, y, *_ in places)
    right, bottom = max(x + width for x, _, width, _ in places), max(y + height for _, y, _, height in places)
    return left, top, right - left, bottom - top


def cell_texts(cell: ElementTree.Element, group: Group) -> list[ElementTree.Element]:
    """Name and bytes in the cell's upper left corner, where they fit; the list beside the picture has all."""
    left, top, width, height = (float(cell.attrib[name]) for name in ("x", "y", "width", "height"))
    figure = size(group.size_bytes)
    for lines in ([group.name, figure], [*group.name.split(), figure], [group.name], group.name.split(), [figure]):
        if len(lines) * LINE + 6 <= height and max(map(len, lines)) * CHARACTER + 10 <= width:
            break
    else:
        return []
    texts = []
    for place, line in enumerate(lines):
        kind = "figure" if line == figure else "name"
        at = {"x": f"{left + 6:.1f}", "y": f"{top + 4 + (place + 0.75) * LINE:.1f}", "class": kind}
        texts.append(ElementTree.Element("text", at))
        texts[-1].text = line
    return texts
