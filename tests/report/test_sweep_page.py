"""The report of a sweep: every build and target, means over seeds, what was not built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgepack.bundle.manifest import MetricRecord, write_model
from edgepack.bundle.sweep import SWEEP_NAME
from edgepack.report import sweep_pages, write_report
from edgepack.report.sweep import sweep_headline
from tests.sweep.made import made_build, made_record, made_target

OTHER = {"name": "one-1MB-standard-seed0", "budget_bytes": 1_000_000}


def test_the_page_has_every_build_and_loads_nothing(tmp_path: Path) -> None:
    failed = made_build(2, [], status="failed", error="no | room <b>left</b>")
    missing = made_build(3, missing={"ios-coreml": "coremltools is not installed"})
    record = made_record(made_build(0), made_build(1), failed, missing)
    write_model(tmp_path / SWEEP_NAME, record)
    paths = write_report(tmp_path)
    assert [path.name for path in paths] == ["report.md", "report.html"]
    markdown, page = (path.read_text() for path in paths)
    assert page.count('href="builds/one-2MB-standard-seed') == 3
    assert re.findall(r'(?:src|href)="(?!#|builds/)', page) == []
    assert "<script" not in page
    assert "no | room &lt;b&gt;left&lt;/b&gt;" in page
    assert r"no \| room &lt;b>left&lt;/b>" in markdown
    assert "coremltools is not installed" in page
    assert "98 % (96.5 to 99.2 %)" in page
    assert "other builds ran" in page
    mean = record.means[0]
    assert mean.seeds == [0, 1, 3]
    assert "one, 2 MB, standard" in markdown
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_one_seed_has_no_means_and_one_job_no_neighbours() -> None:
    pages = sweep_pages(made_record(made_build(0), made_build(0, **OTHER), jobs=1))
    assert "Means over seeds" not in pages["report.html"]
    assert "no other build ran" in pages["report.md"]
    assert "<details>" not in pages["report.md"]


def test_metrics_are_named_where_tasks_differ() -> None:
    metric = MetricRecord(name="pearson", value=0.9, n=10, low=0.8, high=0.95)
    pearson: dict[str, Any] = {"teacher": "two", "results": [made_target(metric=metric)]}
    scores = [made_build(seed, name=f"two-{seed}", **pearson) for seed in (0, 1)]
    both = sweep_pages(made_record(made_build(0), made_build(1), *scores))["report.md"]
    assert both.count("% Pearson's correlation |") == 2
    assert both.count("%) Pearson's correlation |") == 1
    assert "% accuracy |" in both
    assert "accuracy" not in sweep_pages(made_record(made_build(0), made_build(1)))["report.md"]


@pytest.mark.parametrize(
    ("status", "changes", "said"),
    [
        ("passed", {}, "2 of 2 builds passed"),
        ("failed", {"results": [made_target(status="failed")]}, "1 of 2 builds passed"),
        ("failed", {"results": [], "status": "failed"}, "1 of 2 builds passed"),
        ("undecided", {"results": [made_target(status="undecided")]}, "1 of 2 builds passed"),
        ("not_run", {"results": [], "status": "waiting"}, "1 of 2 builds passed, 1 not built yet"),
    ],
)
def test_the_headline_is_the_worst(status: str, changes: dict[str, object], said: str) -> None:
    found = sweep_headline(made_record(made_build(0), made_build(1, **changes)))
    assert (found.status, found.text) == (status, said)
