"""The report of a build or a sweep, `report.md` and `report.html`, from records. Measuring belongs to `evidence`.

The page is one file that loads nothing and runs no script; light or dark as the reader's system is. The Markdown fits
a pull request: what passed, what did not, the figures folded away. Nothing is measured here; a figure that is
missing was not measured, and the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from edgepack.bundle.sweep import SWEEP_NAME, SweepRecord, load_sweep
from edgepack.errors import InputError
from edgepack.report import answers, glance, sections, units
from edgepack.report.records import Facts, read_facts
from edgepack.report.sweep import sweep_context
from edgepack.workspace import write_atomic

KINDS = ("md", "html")


def write_report(folder: Path, device_reports: Sequence[Path] = ()) -> list[Path]:
    """Write the report of the build or the sweep in `folder`, where its record is; return the files.

    `device_reports`: JSON files with figures from phones, for a build.
    """
    if (folder / SWEEP_NAME).is_file():
        if device_reports:
            raise InputError(f"{folder} is a sweep; device reports go with the report of one build")
        pages = sweep_pages(load_sweep(folder))
    else:
        pages = filled("report", page_context(read_facts(folder, device_reports)))
    for name, text in pages.items():
        write_atomic(folder / name, text.encode(errors="replace"))
    return [folder / name for name in pages]


def sweep_pages(record: SweepRecord) -> dict[str, str]:
    """The report of a sweep: each file's name and text."""
    return filled("sweep", {**sweep_context(record), "style": style()})


def filled(template: str, context: Mapping[str, Any]) -> dict[str, str]:
    """Both files of a report."""
    return {f"report.{kind}": templates().get_template(f"{template}.{kind}.j2").render(context) for kind in KINDS}


def style() -> Markup:
    """The pages' style sheet."""
    return Markup(files("edgepack.report").joinpath("templates/report.css").read_text(encoding="utf-8"))


@cache
def templates() -> Environment:
    """The templates with all that they use."""
    environment = Environment(
        loader=PackageLoader("edgepack.report", "templates"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=presentable,
    )
    environment.filters |= {
        "cell": markdown_cell,
        "figure": units.figure,
        "metric": units.metric_name,
        "percent": units.percent,
        "size": units.size,
        "small": units.small,
    }
    return environment


def page_context(facts: Facts) -> dict[str, Any]:
    """All that the templates show."""
    bundles = facts.bundles
    return {
        "build": facts.build,
        "style": style(),
        "headline": glance.headline(facts),
        "words": glance.WORDS,
        "cards": glance.cards(facts),
        "checks": sections.check_tables(facts),
        "answers": [(bundle.name, answers.answers(bundle)) for bundle in bundles],
        "examples_open": answers.EXAMPLES,
        "bytes": sections.byte_sections(facts),
        "forms": sections.form_sections(facts),
        "training": sections.training_section(facts),
        "plan": sections.plan_section(facts),
        "targets": sections.target_section(facts),
        "records": sections.record_tables(facts),
        "task": bundles[0].manifest.task.replace("-", " ") if bundles else "",
        "teacher": bundles[0].manifest.teacher.name if bundles else "",
    }


def presentable(value: Any) -> Any:
    """A value as a template writes it: text without control characters."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return units.clean(value)


def markdown_cell(text: str) -> str:
    """Text that stays inside one cell: not read as HTML, as a table's bar, as a link, or as a mention of somebody."""
    escaped = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace("@", "@\u200b")
    for mark in "|`*_":
        escaped = escaped.replace(mark, f"\\{mark}")
    escaped = escaped.replace("](", "]\\(")  # brackets alone are part of `pip install "edgepack[build]"`
    return " ".join(escaped.split())
