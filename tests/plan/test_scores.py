"""docs/plan.md says what the plan's score is; its table holds every recorded build with the figures of the record."""

from __future__ import annotations

import json
import re

from edgepack.build.results import LEGEND
from tests.pages import REPOSITORY

PAGE = (REPOSITORY / "docs" / "plan.md").read_text(encoding="utf-8")
RECORDED = {path.stem: path for path in (REPOSITORY / "benchmarks" / "results" / "frontier").glob("*.json")}


def rows() -> dict[str, tuple[float, float]]:
    """Recorded build → its score, and % of the teacher's metric that it lost."""
    table = PAGE.split("<!-- scores -->")[1].split("<!-- end -->")[0]
    found = re.findall(r"^\| ([\w.-]+) \| ([\d.]+) \| (−?[\d.]+) % \|$", table, re.MULTILINE)
    return {name: (float(score), float(lost.replace("−", "-"))) for name, score, lost in found}


def test_every_recorded_build_is_in_the_table_with_its_loss() -> None:
    lost = {name: 100 * (1 - json.loads(path.read_text())["retention"]["value"]) for name, path in RECORDED.items()}
    assert {name: measured for name, (_, measured) in rows().items()} == {
        name: round(value, 1) + 0.0 for name, value in lost.items()
    }


def test_all_but_two_lost_less_than_their_score_as_the_plan_says() -> None:
    assert "recorded `standard` builds all but two lost less" in LEGEND.replace("\n", " ")
    more = [name for name, (score, measured) in rows().items() if measured >= score]
    assert more == ["tweeteval-emotion-4MB-standard-seed0", "sick-entailment-2MB-standard-seed0"]
