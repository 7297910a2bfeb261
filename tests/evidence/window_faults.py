"""Faults that only bundles which read long texts in windows can have: overlap, combination, windows in goldens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.evidence.planted import EVERYWHERE, NOT, Fault, Plant, goldens, put

M = "edgepack.json"
KIND = "windows"


def long_goldens(change: Callable[[dict[str, Any]], Any]) -> Plant:
    """Change each golden of a long text."""

    def each(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if "windows" in line:
                change(line)

    return goldens(each)


def no_windows(line: dict[str, Any]) -> None:
    """Cut the golden to its first window, as if there were none."""
    (_, end), *_ = line.pop("windows")
    for name in ("input_ids", "token_type_ids", "attention_mask", "offsets_utf16", "offsets_codepoint"):
        line[name] = [*line[name][:end], *line[name][-1:]]


def other_logits(line: dict[str, Any]) -> None:
    """Twice the logits."""
    line["logits"] = np.multiply(line["logits"], 2).tolist()


WINDOW_FAULTS = [
    Fault(KIND, name.replace("_", " "), plant, mend, caught_by)
    for mend, caught_by, plants in (
        (
            NOT,
            "goldens",
            {
                "no_windows_in_the_manifest": put(M, "windows", to=None),
                "the_maximum_of_the_windows": put(M, "windows", "combine", to="max"),
                "another_overlap": put(M, "windows", "overlap", to=5),
                "no_overlap": put(M, "windows", "overlap", to=0),
            },
        ),
        (NOT, "consistency", {"another_combination": put(M, "windows", "combine", to="max")}),
        (
            EVERYWHERE,
            "goldens",
            {
                "goldens_cut_at_the_first_window": long_goldens(no_windows),
                "logits_that_no_windows_give": long_goldens(other_logits),
                "windows_elsewhere": long_goldens(lambda line: line["windows"].reverse()),
                "a_window_less": long_goldens(lambda line: line["windows"].pop()),
            },
        ),
    )
    for name, plant in plants.items()
]
