"""Shapes that are drawn and timed beside a profile's own."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest

from benchmarks.speed_estimates import MOST_WEIGHTS, draw_probes, errors_of
from edgepack.evidence.profile_machine import probes_of
from edgepack.evidence.speed_profile import ProfiledModel
from edgepack.target import load_target

RECORDED = Path(__file__).parents[2] / "benchmarks/results/speed-profile/epyc-linux-onnx-drawn-seed1.json"
TARGET = load_target("linux-onnx")


def test_drawn_shapes_are_new_and_follow_the_seed() -> None:
    drawn = draw_probes(30, 1, TARGET)
    assert drawn == draw_probes(30, 1, TARGET)
    assert drawn != draw_probes(30, 2, TARGET)
    assert len(set(drawn)) == 30
    assert not set(drawn) & set(probes_of(TARGET))
    assert {bits for _, bits in drawn} == set(TARGET.body_bits)
    assert all(probe.layers * probe.hidden * 4 * probe.heads * probe.head_size <= MOST_WEIGHTS for probe, _ in drawn)


def test_the_recorded_figures_come_from_the_recorded_times() -> None:
    record = json.loads(RECORDED.read_text(encoding="utf-8"))
    profile, drawn = ([ProfiledModel(**each).timed() for each in record[name]] for name in ("profile", "drawn"))
    sizes = [abs(error) for errors in errors_of(profile, drawn) for error in errors]
    assert len(sizes) == record["times"] == 120
    assert median(sizes) == pytest.approx(record["median_error"], abs=1e-3)
    assert max(sizes) == pytest.approx(record["largest_error"], abs=1e-3)
    assert sum(size <= 0.1 for size in sizes) == record["within_tenth"]
