"""The table of disk budgets: planned and measured side by side, and the record behind it."""

from __future__ import annotations

import json

import pytest

from benchmarks.data_budget import report


def test_planned_and_measured_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = {"stored_examples": 40, "examples": 128, "format": "int8", "loop_share": 0.25}
    one = {
        "chosen": chosen,
        "planned_disk": 10**8,
        "disk": 10**8 - 10**6,
        "planned_memory": 2 * 10**9,
        "peaks": {"carve": 2_100_000_000, "distil": 10**9},
        "planned_seconds": 100.0,
        "seconds": {"teacher": 10.0, "carve": 50.0, "distil": 60.0, "quantize": 70.0},
    }
    report({"100MB": one})
    *table, record = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in table[-1].split("  ") if cell.strip()]
    assert cells == ["100MB", "40 of 128, int8", "25%", "100.0 MB / 99.0 MB", "2.0 GB / 2.1 GB", "100 / 140 s"]
    assert json.loads(record)["builds"] == {"100MB": one}
