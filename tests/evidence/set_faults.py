"""Faults that only bundles of label sets can have: thresholds, the problem, label sets in goldens."""

from __future__ import annotations

import json
from pathlib import Path

from tests.evidence.planted import EVERYWHERE, NOT, Fault, Plant, both, each_golden, put, read

M, C, V = "edgepack.json", "config.json", "verdict.json"
KIND = "label sets"


def no_key(name: str, *place: str) -> Plant:
    """Remove a key from a JSON file."""

    def plant(bundle: Path) -> None:
        document = read(bundle, name)
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
        (bundle / name).write_text(json.dumps(document))

    return plant


SET_FAULTS = [
    Fault(KIND, name.replace("_", " "), plant, mend, caught_by)
    for mend, caught_by, plants in (
        (
            NOT,
            "consistency",
            {
                "one_threshold": put(M, "thresholds", to=[0.5]),
                "no_thresholds": no_key(M, "thresholds"),
                "a_threshold_of_1": put(M, "thresholds", to=[0.5, 1.0]),
                "a_threshold_of_0": put(M, "thresholds", to=[0.0, 0.5]),
                "other_thresholds": put(M, "thresholds", to=[0.2, 0.8]),  # the card has the right ones
                "no_thresholds_of_the_teacher": no_key(M, "teacher", "thresholds"),
                "thresholds_of_the_teacher": put(M, "teacher", "thresholds", to=[2.0, 0.5]),
                "a_temperature": put(M, "temperature", to=2.0),
                "no_problem": no_key(M, "problem"),
            },
        ),
        (
            EVERYWHERE,
            "consistency",
            {
                "problem_of_config_json": no_key(C, "problem_type"),
                "another_problem_in_config_json": put(C, "problem_type", to="regression"),
                "agreement_of_no_sets": put(V, "agreement", to=0.0),
                "exact_matches": put(V, "analysis", "others", 1, "artifact", "value", to=0.5),
                "macro_f1_above_1": put(V, "analysis", "others", 0, "artifact", "value", to=1.5),
                "an_interval_upside_down": put(V, "analysis", "others", 0, "teacher", "low", to=1.0 + 1e-3),
                "no_macro_f1": put(V, "analysis", "others", to=[]),
                "one_metric_twice": put(V, "analysis", "others", 1, "name", to="macro_f1"),
            },
        ),
        (
            EVERYWHERE,
            "goldens",
            {
                "one_label_for_each_golden": both(each_golden(labels=None), each_golden(label="negative")),
                "no_label_sets": each_golden(labels=None),
                "empty_label_sets": each_golden(labels=[]),
                "unknown_labels": each_golden(labels=["neutral"]),
                "labels_a_text": each_golden(labels="negative"),
                "three_logits": each_golden(logits=[1.0, 2.0, 3.0]),
            },
        ),
    )
    for name, plant in plants.items()
]
