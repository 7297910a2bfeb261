"""What messages quote out of files is bounded and cannot forge a line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.errors import shown

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.integers(min_value=20, max_value=200))
def test_any_value_is_one_printable_line(value: Any, limit: int) -> None:
    text = shown(value, limit)
    assert text.isprintable()
    assert len(text) <= limit


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "'plain'"),
        ("it's", '"it\'s"'),
        ("é中", "'é中'"),
        ("a\nb\x1b[31m\u202e\u2028", r"'a\nb\x1b[31m\u202e\u2028'"),
        (None, "None"),
        (type("Frame", (), {"__repr__": lambda _: "  text\n0    a"})(), "text 0 a"),
        pytest.param(10**5_000, "<int>", id="5,000 digits"),
        ("a" * 500 + "z", f"'{'a' * 52}…{'a' * 24}z'"),
    ],
)
def test_quoting(value: Any, expected: str) -> None:
    assert shown(value) == expected


def test_what_nests_without_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert len(shown(endless)) <= 80
