"""Passed, failed, undecided: the decision, how many examples would do, and counts that are not what they claim."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.bundle.analysis import NonInferiority
from edgepack.errors import InputError
from edgepack.evidence.noninferiority import judge_retention, retention_check, rows_of
from edgepack.evidence.paired_ratio import PairedRows
from edgepack.task.task import Task

TEXT = Task("text-classification", ("no", "yes"))


def rows(both: int, artifact_alone: int, teacher_alone: int, neither: int) -> PairedRows:
    table = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1], [0, 1, 0, 1]])
    counts = np.array([both, artifact_alone, teacher_alone, neither])
    there = counts > 0
    return PairedRows(table[there, :2], table[there, 2:], counts[there])


def judge(*counts: int, margin: float = 0.05, confidence: float = 0.95) -> NonInferiority:
    return judge_retention(rows(*counts), TEXT, margin, confidence)


@pytest.mark.parametrize(
    ("counts", "decision"),
    [
        ((850, 45, 55, 50), "passed"),  # 98.9 % kept, 1,000 examples, 10 % disagreement
        ((85, 4, 6, 5), "undecided"),  # the same on 100
        ((800, 20, 120, 60), "failed"),  # 89 % kept
        ((160, 0, 0, 0), "passed"),
        ((50, 0, 0, 0), "undecided"),  # both perfect, on too few
        ((0, 50, 0, 50), "failed"),  # a teacher with nothing right: nothing was kept
    ],
)
def test_decisions(counts: tuple[int, int, int, int], decision: str) -> None:
    found = judge(*counts)
    assert found.decision == decision
    assert (found.needed is None) == (decision != "undecided")
    check = retention_check(found, "accuracy")
    assert check.status == decision
    assert (check.value, check.limit) == (found.lower, 0.95)


def test_a_point_estimate_above_the_margin_does_not_pass() -> None:
    found = judge(178, 6, 10, 6)
    assert found.value > 0.95
    assert found.decision == "undecided"
    assert "interval 0.9" in retention_check(found, "accuracy").reason
    assert f"about {found.needed:,} would, probably as passed" in retention_check(found, "accuracy").reason


def test_below_the_margin_more_examples_would_probably_fail_it() -> None:
    found = judge(80, 3, 10, 7)
    assert found.decision == "undecided"
    assert "probably as failed" in retention_check(found, "accuracy").reason


def test_so_many_examples_as_are_said_to_be_needed_decide() -> None:
    """With the same shares on that many examples the test passes, and in 4 of 5 samples drawn from them."""
    shares = np.array([85, 4, 6, 5]) / 100
    needed = judge(85, 4, 6, 5).needed
    assert needed is not None
    generator = np.random.default_rng(0)
    drawn = [judge(*counts).decision == "passed" for counts in generator.multinomial(needed, shares, size=400)]
    assert 0.73 < np.mean(drawn) < 0.9


def test_without_a_loss_the_number_needed_is_exact() -> None:
    assert judge(50, 0, 0, 0).needed == 72
    assert judge(72, 0, 0, 0).decision == "passed"
    assert judge(71, 0, 0, 0).decision == "undecided"


def test_no_number_decides_what_is_at_the_limit() -> None:
    found = judge(50, 0, 0, 0, margin=0.0)
    assert (found.decision, found.needed) == ("undecided", None)
    assert "for any number" in retention_check(found, "accuracy").reason
    assert judge(10, 0, 5, 0, margin=1.0).decision == "passed"


def test_margin_and_confidence_move_the_decision() -> None:
    assert judge(880, 30, 45, 45).decision == "passed"
    assert judge(880, 30, 45, 45, margin=0.02).decision == "undecided"
    assert judge(880, 30, 45, 45, confidence=0.9999).decision == "undecided"


def test_the_counts_come_back_out_of_the_record() -> None:
    found = judge(440, 15, 25, 20)
    again = NonInferiority.model_validate_json(found.model_dump_json())
    assert judge_retention(rows_of(again, TEXT), TEXT, 0.05, 0.95) == found
    assert (found.n, found.discordant) == (500, 40)


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [[1, 1, 1, 1]],  # a number too few
        [[2, 1, 1, 1, 5]],  # more right than there are
        [[1, 2, 1, 2, 5]],  # two answers of one example
        [[1, 1, 1, 1, -5]],
        [[1, 1, 1, 1, 0]],
        [[1, 1, 1, 1, 10**30]],
    ],
)
def test_counts_of_no_two_models_are_refused(bad: list[list[int]]) -> None:
    found = judge(440, 15, 25, 20).model_copy(update={"rows": bad})
    with pytest.raises(InputError, match=r"the verdict's (counts are not|rows are not of 5|rows hold a number)"):
        rows_of(found, TEXT)
