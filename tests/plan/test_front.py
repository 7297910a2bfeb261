"""The plan's front: its own choice is on it, each line falls with bytes, and no shape of the grid is better."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from edgepack.build.data_plan import DataPlan
from edgepack.build.results import PlanReport, front_lines
from edgepack.plan.front import find_front
from edgepack.plan.search import Plan, make_grid, search
from edgepack.plan.speed import teacher_time
from edgepack.plan.wanted import Wanted
from tests.plan.test_search import SPACE
from tests.plan.test_wanted import ALONE, profiled

BUDGET = 300_000


@pytest.fixture(scope="module")
def plan() -> Plan:
    return with_front(BUDGET)


def with_front(budget_bytes: int, wanted: Wanted | None = None) -> Plan:
    found = search(SPACE, budget_bytes, wanted or Wanted())
    return Plan(found.candidates, budget_bytes, None, found.wanted, front=find_front(SPACE, found))


def test_each_line_falls_with_bytes_and_keeps_its_speed(plan: Plan) -> None:
    speeds = sorted({point.at_least for point in plan.front})
    assert len(speeds) > 1
    for speed in speeds:
        line = [point.candidate for point in plan.front if point.at_least == speed]
        assert [c.largest_bytes for c in line] == sorted({c.largest_bytes for c in line})
        assert [c.estimated_loss for c in line] == sorted({c.estimated_loss for c in line}, reverse=True)
        assert min(c.estimated_speed for c in line) >= speed - 0.01
        assert max(c.largest_bytes for c in line) <= 2 * BUDGET


def test_the_choice_is_on_its_line_and_a_faster_shape_costs_more(plan: Plan) -> None:
    own = [p.candidate for p in plan.front if p.candidate.describe() == plan.chosen.describe()]
    assert own
    faster = [p for p in plan.front if p.at_least > plan.chosen.estimated_speed + 0.01]
    assert faster
    within = [p.candidate.estimated_loss for p in faster if p.candidate.largest_bytes <= plan.chosen.largest_bytes]
    assert min(within) > plan.chosen.estimated_loss


def test_no_shape_of_the_grid_is_better_than_the_front() -> None:
    """By a search through all pairs: none that is as fast has a lower score in the bytes of a point's weights."""
    found = search(ALONE, BUDGET)
    grid = make_grid(ALONE, None, found.wanted)
    for point in find_front(ALONE, found):
        fast = [b for b, body in enumerate(grid.bodies) if teacher_time(ALONE.full) / body.time >= point.at_least]
        losses, sizes = grid.losses[fast], grid.bytes[fast]
        equal = losses.round(9) == point.candidate.estimated_loss
        assert equal.any()
        assert losses[sizes < sizes[equal].min()].min(initial=9.0) > point.candidate.estimated_loss


def test_the_record_and_the_table_have_it(plan: Plan) -> None:
    report = PlanReport(plan, cast(DataPlan, SimpleNamespace(lines=list, to_record=dict)))
    record = report.to_record()["front"]
    assert len(record) == len(plan.front)
    assert record[0]["at_least"] < plan.chosen.estimated_speed
    assert set(record[0]) == {"at_least", *plan.chosen.describe()}
    said = re.search(r"score by shipped bytes, at ([\d.]+) x the teacher's speed or more: (.*)", report.table())
    assert said is not None
    assert float(said[1]) == pytest.approx(plan.chosen.estimated_speed, abs=0.06)
    assert f" {100 * plan.chosen.estimated_loss:.2f}" in said[2]
    without = PlanReport(search(SPACE, BUDGET), cast(DataPlan, SimpleNamespace(lines=list)))
    assert "score by shipped bytes" not in without.table()


def test_a_point_is_printed_where_the_printed_score_is_lower(plan: Plan) -> None:
    """946.8 kB and 1.0 MB with 0.65 both say the same twice."""
    first, *rest = (point for point in plan.front if point.at_least == plan.front[-1].at_least)
    near = replace(first, candidate=replace(first.candidate, estimated_loss=first.candidate.estimated_loss - 1e-7))
    lines = [front_lines(replace(plan, front=front)) for front in ((first, *rest), (first, near, *rest))]
    assert lines[0]
    assert lines[0] == lines[1]
    assert front_lines(replace(plan, front=(first, near))) == []


def test_with_a_profile_points_have_times() -> None:
    found = search(ALONE, BUDGET, profiled())
    assert all(point.candidate.estimated_ms for point in find_front(ALONE, found))
