"""The simulated releases are what they claim, and the page shows what was recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.gate_statistics import (
    HEAVY,
    KINDS,
    LEVEL,
    NAME,
    PAGE,
    RESULT,
    TASKS,
    WHOLE,
    World,
    highest,
    is_false,
    section,
    share_passed,
    worlds,
)
from benchmarks.tables import with_table


@pytest.fixture(scope="module")
def recorded() -> dict[str, object]:
    found: dict[str, object] = json.loads(RESULT.read_text(encoding="utf-8"))
    return found


def test_the_page_shows_what_is_recorded(recorded: dict[str, object]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page, NAME, section(recorded)) == page


def test_nowhere_do_more_than_one_in_forty_pass_at_the_margin(recorded: dict[str, object]) -> None:
    rows = recorded["worlds"]
    assert isinstance(rows, list)
    for releases in {row["releases"] for row in rows}:
        error = np.sqrt(LEVEL * (1 - LEVEL) / releases)
        assert highest([row for row in rows if row["releases"] == releases]) <= LEVEL + 2 * error
    for form in {row["form"] for row in rows}:  # a single world may be high by chance, all of a form may not
        at = [row["passed"] for row in rows if row["form"] == form and is_false(row)]
        assert np.mean(at) <= 0.9 * LEVEL
    assert len([row for row in rows if is_false(row)]) > 100


@pytest.mark.parametrize(
    "world",
    [
        World("accuracy", 200_000, 0.9, 0.1, 0.95),
        World("entity_f1", 200_000, 0.9, 0.2, 0.95),
        World("entity_f1", 200_000, 0.8, 0.3, 1.0, form=WHOLE),
        World("pearson", 200_000, 0.8, 0.05, 0.95),
        World("pearson", 200_000, 0.8, 0.05, 0.95, form=HEAVY),
        World("spearman", 200_000, 0.85, 0.05, 0.95),
        World("ndcg_at_10", 200_000, 0.8, 0.3, 0.95),
    ],
)
def test_a_world_has_the_truth_that_was_set(world: World) -> None:
    rows, task = world.draw(np.random.default_rng(0)), TASKS[world.metric]
    assert rows is not None
    teacher, artifact = (task.metric(side, rows.counts) for side in (rows.teacher, rows.artifact))
    assert teacher == pytest.approx(world.level, abs=0.004)
    assert artifact / teacher == pytest.approx(world.retention, abs=0.005)
    assert rows.n == world.n


def test_a_world_that_cannot_be_is_left_out() -> None:
    assert share_passed(World("accuracy", 100, 0.99, 0.01, 0.9), 10) is None
    assert share_passed(World("entity_f1", 100, 0.9, 0.01, 0.5), 10) is None
    assert share_passed(World("pearson", 100, 0.95, 0.01, 0.8), 10) is None
    assert share_passed(World("ndcg_at_10", 100, 0.9, 0.01, 0.8), 10) is None


def test_the_truth_decides_what_passes() -> None:
    assert share_passed(World("accuracy", 1_000, 0.92, 0.1, 0.9), 200) == 0
    good = share_passed(World("accuracy", 2_000, 0.92, 0.1, 1.0), 200)
    assert good is not None
    assert good > 0.95
    assert share_passed(World("entity_f1", 1_000, 0.92, 0.15, 0.9), 100) == 0


def test_worlds_are_at_below_and_above_the_margin() -> None:
    every = list(worlds())
    assert {(w.metric, w.form) for w in every} == set(KINDS)
    assert {round(w.retention + w.margin - 1, 6) for w in every} >= {0.0, -0.01, -0.02, 0.04}
