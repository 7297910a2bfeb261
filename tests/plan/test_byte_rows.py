"""Where bytes go: every byte of what ships stands in the table."""

from __future__ import annotations

from edgepack.plan.byte_rows import byte_rows


def test_tensors_structure_and_tokenizer_add_up_largest_first() -> None:
    plan = {
        "candidates": [{"bytes": {"a": 1000}}, {"bytes": {"a": 1}}],
        "tensors": {"a": {"small": 100, "large": 600}},
        "tokenizer_bytes": 250,
    }
    rows = byte_rows(plan, "a")
    assert rows == [
        ["large", "600", "60.0%"],
        ["(tokenizer)", "250", "25.0%"],
        ["small", "100", "10.0%"],
        ["(structure)", "50", "5.0%"],
        ["(shipped)", "1,000", "100.0%"],
    ]
