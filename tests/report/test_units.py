"""Figures as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.parameters import format_duration
from edgepack.report import units
from edgepack.report.groups import GROUPS, group_of
from edgepack.report.marks import Interval, Reference, gauge, intervals, spans


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (54_631, "54.6 kB"),
        (3_875_190, "3.88 MB"),
        (4_000_000, "4 MB"),
        (4_194_304, "4.19 MB"),
        (999_999, "1,000 kB"),
        (1_200_000_000, "1.2 GB"),
        (3e12, "3,000 GB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (units.percent, 1.0013513, "100.14 %"),
        (units.percent, 0.98, "98 %"),
        (units.percent, -0.002, "−0.2 %"),
        (units.percent, -1e-9, "0 %"),
        (units.points, -0.06, "−6.0"),
        (units.points, 0.0201, "+2.0"),
        (units.points, -0.0001, "0"),
        (units.milliseconds, 0.2171, "0.217 ms"),
        (units.milliseconds, 1234.5, "1,234 ms"),
        (format_duration, 0.001, "less than 0.1 s"),
        (format_duration, 52.14, "52.1 s"),
        (format_duration, 134.4, "2 min 14 s"),
        (format_duration, 3840, "1 h 4 min"),
        (units.small, 7e-8, "less than 0.000001"),
        (units.small, 0.000255, "0.000255"),
        (units.times, 9.19, "9.19 ×"),
        (units.times, 33.7, "34 ×"),
        (units.metric_name, "entity_f1", "entity F1"),
    ],
)
def test_figures(function: object, value: object, text: str) -> None:
    assert callable(function)
    assert function(value) == text


@given(st.floats())
def test_no_figure_has_an_exponent_or_fails(value: float) -> None:
    for function in (units.size, units.percent, units.points, format_duration, units.three_digits, units.times):
        text = function(value)
        assert "e+" not in text
        assert "e-" not in text


@given(st.text())
def test_text_of_a_page_has_no_control_characters(text: str) -> None:
    assert not units.CONTROLS.search(units.clean(text))


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_gauge_stays_within_its_width(shipped: int, budget: int) -> None:
    drawn = gauge("k", shipped, budget)
    assert 0 <= drawn.used <= 100
    assert 0 <= drawn.limit <= 100
    assert drawn.over == (shipped > budget)


numbers = st.floats(-1e3, 1e3)


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1), st.none() | numbers)
def test_intervals_keep_their_order(rows: list[tuple[float, float, float]], limit: float | None) -> None:
    ordered = [Interval("row", *sorted(row), "text") for row in rows]
    drawn = intervals("k", "title", ordered, None if limit is None else Reference(limit, "limit"))
    assert drawn is not None
    for row in drawn.rows:
        assert 0 <= row.low <= row.value <= row.high <= 100
    if limit is not None:
        assert drawn.reference is not None
        place = drawn.reference[0]
        for row, given_row in zip(drawn.rows, ordered, strict=True):  # a limit is never drawn on the wrong side
            assert (row.value >= place) if given_row.value >= limit else (row.value <= place)


def test_intervals_of_nothing() -> None:
    assert intervals("k", "title", []) is None
    assert intervals("k", "title", [Interval("row", math.nan, 0, 1, "text")]) is None


def test_spans_fill_the_width() -> None:
    drawn = spans("k", "title", "text", [("a", "1 s", "artifact", 0.0, 1.0), ("b", "3 s", "artifact", 1.0, 3.0)])
    assert [(row.start, row.width) for row in drawn.rows] == [(0.0, 25.0), (25.0, 75.0)]
    assert spans("k", "title", "text", [("a", "0 s", "artifact", 0.0, 0.0)]).rows[0].width > 0


@pytest.mark.parametrize(
    ("tensor", "group"),
    [
        ("embeddings.word.scale", "words"),
        ("embeddings.position.codes", "embeddings"),
        ("attention.0.qkv.codes", "attention"),
        ("attention_norms.1.gain", "scales"),
        ("feed_forward.0.up.bias", "scales"),
        ("feed_forward.1.down.codes", "feed-forward"),
        ("head.dense.codes", "head"),
        ("vectors", "scales"),
        ("scales, biases and norms", "scales"),
        ("body weights", "layers"),
        ("word embeddings", "words"),
        ("relative buckets", "embeddings"),
        ("i0", "other"),
        ("(tokenizer)", "tokenizer"),
        ("(structure)", "structure"),
    ],
)
def test_tensors_have_groups(tensor: str, group: str) -> None:
    assert group_of(tensor) == group
    assert group in GROUPS
