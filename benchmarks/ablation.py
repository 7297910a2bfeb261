"""The default recipe at 2 MB with each of its parts taken away, on SNIPS, two seeds.

    python -m benchmarks ablation --shared ../shared --work WORK

A row of the table in docs/methods.md for each variant. A variant takes one part away and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks import methods
from benchmarks.runs import AS_IT_IS, DEFAULT, Variant

VARIANTS: dict[str, Variant] = {
    DEFAULT: AS_IT_IS,
    "no-hidden-states": Variant("hidden-state loss off", lambda recipe: replace(recipe, hidden_weight=0.0)),
    "late-quantization": Variant(
        "quantization-aware training in the last 2 % of the steps only",
        lambda recipe: replace(recipe, quantize_from=0.98),
    ),
}


def main(arguments: Sequence[str]) -> None:
    """Run what is left, print the table and put it into the page."""
    methods.compare("ablation", arguments, tasks=("snips",))
