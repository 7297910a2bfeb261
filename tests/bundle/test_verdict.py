"""Checks and verdicts as data: limits at their edges, figures in full, what is not there was not run."""

from __future__ import annotations

import math

import pytest

from edgepack.bundle.analysis import Analysis, Calibration, NonInferiority
from edgepack.bundle.verdict import (
    Check,
    Status,
    Verdict,
    all_passed,
    faults_check,
    in_full,
    limit_check,
    summarize,
)


@pytest.mark.parametrize(
    ("value", "limit", "at_most", "status"),
    [
        (100, 100, True, "passed"),
        (101, 100, True, "failed"),
        (99, 100, True, "passed"),
        (0.95, 0.95, False, "passed"),
        (0.9499, 0.95, False, "failed"),
        (0.96, 0.95, False, "passed"),
        (math.inf, 1.0, True, "failed"),
        (-math.inf, 1.0, False, "failed"),
        (math.nan, 1.0, True, "failed"),
        (math.nan, 1.0, False, "failed"),
    ],
)
def test_a_figure_at_its_limit_passes_and_one_beyond_it_fails(
    value: float, limit: float, at_most: bool, status: Status
) -> None:
    assert limit_check("size", value, limit, at_most, "bytes").status == status


def test_a_check_of_a_limit_says_value_and_limit() -> None:
    assert limit_check("size", 2_000_000, 1_500_000, True, "shipped bytes") == Check(
        name="size", status="failed", value=2_000_000, limit=1_500_000,
        reason="shipped bytes: 2,000,000, must be at most 1,500,000",
    )  # fmt: skip
    assert limit_check("parity", 0.99512345, 0.99, False, "agreement") == Check(
        name="parity",
        status="passed",
        value=0.99512345,
        limit=0.99,
        reason="agreement: 0.995123, must be at least 0.99",
    )
    assert limit_check("parity", math.nan, 0.05, True, "error") == Check(
        name="parity", status="failed", value="nan", limit=0.05, reason="error: nan, must be at most 0.05"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1_234_567, "1,234,567"),
        (-1_234_567.0, "-1,234,567"),
        (0.123456789, "0.123457"),
        (1_234_567.5, "1.23457e+06"),
        (10**15 - 1, "999,999,999,999,999"),
        (10**15, "1e+15"),
        (-(10**15), "-1e+15"),
        (math.inf, "inf"),
    ],
)
def test_whole_numbers_are_written_in_full(value: float, text: str) -> None:
    assert in_full(value) == text


def test_a_line_names_the_first_failures_and_counts_the_rest() -> None:
    named = [f"f{i}" for i in range(7)]
    assert summarize([]) == ""
    assert summarize(named[:5]) == "f0; f1; f2; f3; f4"
    assert summarize(named[:6]) == "f0; f1; f2; f3; f4; and 1 more"
    assert summarize(named) == "f0; f1; f2; f3; f4; and 2 more"


def test_a_check_of_faults_passes_where_there_are_none() -> None:
    assert faults_check("files", [], "all are as recorded") == Check(
        name="files", status="passed", value=0, limit=0, reason="all are as recorded"
    )
    assert faults_check("files", ["a is missing", "b is new"], "all are as recorded") == Check(
        name="files", status="failed", value=2, limit=0, reason="a is missing; b is new"
    )


def a_check(name: str, status: Status = "passed") -> Check:
    return Check(name=name, status=status, reason=f"of {name}")


@pytest.mark.parametrize("status", ["failed", "not_run", "undecided"])
def test_only_passed_is_passed(status: Status) -> None:
    assert all_passed([a_check("size"), a_check("parity")])
    assert not all_passed([a_check("size"), a_check("parity", status)])
    assert not all_passed([a_check("size", status), a_check("parity")])


def test_a_check_that_a_verdict_does_not_mention_was_not_run() -> None:
    checks = [a_check("size"), a_check("parity", "failed")]
    verdict = Verdict(target="t", passed=False, checks=checks, metrics={}, shipped_bytes=1, budget_bytes=1)
    assert verdict.check("size") is checks[0]
    assert verdict.check("parity") is checks[1]
    assert verdict.check("goldens") == Check(name="goldens", status="not_run", reason="the verdict does not mention it")


def test_what_a_verdict_has_of_its_analysis() -> None:
    verdict = Verdict(target="t", passed=False, checks=[], metrics={}, shipped_bytes=1, budget_bytes=1)
    assert (verdict.temperature, verdict.noninferiority) == (None, None)
    empty = verdict.model_copy(update={"analysis": Analysis()})
    assert (empty.temperature, empty.noninferiority) == (None, None)
    calibration = Calibration(
        teacher_ece=0.1,
        artifact_ece=0.2,
        temperature=1.5,
        scaled_ece=0.1,
        teacher_confidence=0.9,
        artifact_confidence=1,
    )
    test = NonInferiority(
        margin=0.05, confidence=0.95, n=9, value=1, lower=0.9, upper=1.1, decision="undecided", discordant=0
    )
    full = verdict.model_copy(update={"analysis": Analysis(calibration=calibration, noninferiority=test)})
    assert (full.temperature, full.noninferiority) == (1.5, test)
