"""Gate and compare as Python calls them: the options of `edgepack gate` and `edgepack compare` as keywords."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from edgepack.console import Console
from edgepack.evidence.compare import Comparison, compare
from edgepack.evidence.gate import gate
from edgepack.evidence.outcome import GateResult
from edgepack.machine.extras import one_line_errors
from edgepack.parameters import AnyPath, as_list, as_path, as_text, check_options
from edgepack.task.column_options import ColumnOptions, columns_of

FILES = ("baseline", "student", "junit", "markdown", "public_key")


class GateOptions(ColumnOptions, total=False):
    """What else a gate may be given; the same options as on the command line."""

    teacher: AnyPath | None  # where the teacher is: it answers `eval` too
    baseline: AnyPath | None  # an earlier bundle, which must not be better on `eval`
    device_report: AnyPath | Sequence[AnyPath] | None  # JSON files with phones' figures
    student: AnyPath | None  # the build's student/ folder; needs torch
    junit: AnyPath | None  # file to write the checks to, as JUnit XML
    markdown: AnyPath | None  # file to write the checks to, as Markdown
    public_key: AnyPath | None  # PEM file: bundles must be signed by its owner


@one_line_errors("gate_bundles")
def gate_bundles(
    bundles: AnyPath | Sequence[AnyPath],
    *,
    policy: AnyPath | None = None,
    eval: AnyPath | None = None,
    quiet: bool = False,
    **options: Unpack[GateOptions],
) -> GateResult:
    """Check one bundle or several again under a policy, a TOML file of limits; without it under the bundles' own.

    `eval` is labelled data to measure the metric on. A check that did not pass is in the result and raises nothing.
    """
    given: dict[str, Any] = check_options(gate_bundles, GateOptions, options)
    files = {name: as_path(name, given[name]) for name in FILES if name in given}
    return gate(
        [as_path("bundles", each) for each in as_list(bundles)],
        None if policy is None else as_path("policy", policy),
        evaluation=None if eval is None else as_text("eval", eval),
        columns=columns_of(given),
        teacher=as_text("teacher", given["teacher"]) if "teacher" in given else None,
        device_reports=[as_path("device_report", each) for each in as_list(given.get("device_report", ()))],
        console=Console(quiet),
        **files,
    )


@one_line_errors("compare_bundles")
def compare_bundles(
    old: AnyPath,
    new: AnyPath,
    *,
    eval: AnyPath | None = None,
    policy: AnyPath | None = None,
    quiet: bool = False,
    **columns: Unpack[ColumnOptions],
) -> Comparison:
    """What has changed between two releases of one model, and whether the new one is worse than a policy allows.

    With `eval`, labelled data, both answer it, and their metrics are compared.
    """
    given: Mapping[str, Any] = check_options(compare_bundles, ColumnOptions, columns)
    return compare(
        as_path("old", old),
        as_path("new", new),
        evaluation=None if eval is None else as_text("eval", eval),
        columns=columns_of(given),
        policy=None if policy is None else as_path("policy", policy),
        console=Console(quiet),
    )
