"""What a text of a data set has: one label, a set of labels, or a score. The words are transformers' own."""

from __future__ import annotations

from typing import Literal, get_args

Problem = Literal["single_label_classification", "multi_label_classification", "regression"]
PROBLEMS: tuple[Problem, ...] = get_args(Problem)
SINGLE_LABEL: Literal["single_label_classification"] = "single_label_classification"
MULTI_LABEL: Literal["multi_label_classification"] = "multi_label_classification"
REGRESSION: Literal["regression"] = "regression"
