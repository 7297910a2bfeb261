"""A trace's events added up by kind. The trace itself needs ExecuTorch."""

from __future__ import annotations

import pytest

from benchmarks.executorch_profile import BETWEEN, REST, by_kind

EVENTS = [
    ("Fully Connected #1", 0.2),
    ("Fully Connected #2", 0.1),
    ("GELU (NC) #1", 0.05),
    ("DELEGATE_CALL", 0.25),
    ("DELEGATE_CALL", 0.15),
    ("native_call_embedding.out", 0.06),
    ("OPERATOR_CALL", 0.07),
    ("Method::execute", 0.5),
]


def test_kinds_are_counted_and_add_up_to_the_whole() -> None:
    found = by_kind(EVENTS)
    counts = {"Fully Connected": 2, "native_call_embedding.out": 1, "GELU (NC)": 1, BETWEEN: 2, REST: 1}
    assert {kind: count for kind, (count, _) in found.items()} == counts
    assert next(iter(found)) == "Fully Connected"
    assert found["Fully Connected"][1] == pytest.approx(0.3)
    assert found[BETWEEN][1] == pytest.approx(0.05)  # calls of 0.4, operators of 0.35
    assert found[REST][1] == pytest.approx(0.04)
    assert sum(milliseconds for _, milliseconds in found.values()) == pytest.approx(0.5)
