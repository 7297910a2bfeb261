"""Faults that only bundles of scores can have: rows of floats, the activation, scores in goldens, a worse model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.evidence.planted import EVERYWHERE, NOT, Fault, Plant, each_golden, put, read
from tests.evidence.set_faults import no_key

M, C, V = "edgepack.json", "config.json", "verdict.json"
KIND = "scores"


def each_row(change: Callable[[int, list[Any]], list[Any]]) -> Plant:
    """Change every row of the verdict's paired test."""

    def plant(bundle: Path) -> None:
        verdict = read(bundle, V)
        test = verdict["analysis"]["noninferiority"]
        test["rows"] = [change(number, row) for number, row in enumerate(test["rows"])]
        (bundle / V).write_text(json.dumps(verdict))

    return plant


PLANTS: list[tuple[str, str, dict[str, Plant]]] = [
    (
        NOT,
        "consistency",
        {
            "no_problem": no_key(M, "problem"),
            "two_labels": put(M, "labels", to=["score", "other"]),
            "an_activation": put(M, "activation", to="sigmoid"),
            "a_ranking": put(M, "ranks", to=True),
            "a_temperature": put(M, "temperature", to=2.0),
        },
    ),
    (
        EVERYWHERE,
        "consistency",
        {
            "another_problem_in_config_json": put(C, "problem_type", to=None),
            "agreement": put(V, "agreement", to=0.5),
            "rank_correlation": put(V, "analysis", "others", 0, "teacher", "value", to=0.5),
            "errors": put(V, "analysis", "others", 1, "artifact", "value", to=1e-3),
            "errors_below_0": put(V, "analysis", "others", 1, "artifact", "low", to=-1.0),
        },
    ),
    (
        EVERYWHERE,
        "goldens",
        {
            "no_score": each_golden(score=None),
            "another_score": each_golden(score=1e6),
            "a_label": each_golden(label="score"),
            "two_logits": each_golden(logits=[0.1, 0.2]),
        },
    ),
    (
        EVERYWHERE,
        "retention",
        {
            "a_constant_artifact": each_row(lambda _, row: [0.5, *row[1:]]),
            "a_worse_artifact": each_row(lambda i, row: [row[0] if i % 2 else -row[0], *row[1:]]),
            "a_turned_scale": each_row(lambda _, row: [-row[0], *row[1:]]),
        },
    ),
]
SCORE_FAULTS = [
    Fault(KIND, name.replace("_", " "), plant, mend, caught_by)
    for mend, caught_by, plants in PLANTS
    for name, plant in plants.items()
]
