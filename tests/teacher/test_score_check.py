"""Scores compared with a teacher's: turned round, contradicted, on another scale, no better than chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import BertConfig

from edgepack.errors import InputError
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task
from edgepack.teacher.labels import find_activation, find_problem
from edgepack.teacher.score_check import least_correlation, scale_note, score_problem

SCORE = Task("text-classification", ("score",), problem="regression")


def answered(n: int, noise: float, sign: float = 1.0, seed: int = 0) -> tuple[np.ndarray, Encoded]:
    """Logits and the data's scores, 0 to 5."""
    generator = np.random.default_rng(seed)
    truth = generator.random(n) * 5
    logits = 2.5 + sign * (truth - 2.5 + noise * generator.normal(size=n))
    encoded = Encoded(np.zeros(n, np.int32), np.zeros(n, np.int8), np.arange(n + 1), truth)
    return logits[:, None].astype(np.float32), encoded


def test_scores_that_mean_the_same_are_accepted() -> None:
    assert score_problem(SCORE, answered(500, 1.5), answered(100, 1.0, seed=1), "train.tsv") is None


def test_a_scale_that_is_turned_round_is_found() -> None:
    found = score_problem(SCORE, answered(100, 1.0, -1), answered(100, 1.0, -1), "train.tsv")
    assert found is not None
    assert "evaluation data: its scores fall" in found
    found = score_problem(SCORE, answered(100, 1.0, -1), answered(100, 1.0), "train.tsv")
    assert found is not None
    assert found.startswith("training data (train.tsv): its scores fall")


def test_training_data_of_other_scores_are_found() -> None:
    found = score_problem(SCORE, answered(500, 30.0), answered(100, 0.5), "train.tsv")
    assert found is not None
    assert found.startswith("training data (train.tsv): the teacher's scores")


def test_chance_is_not_an_alarm() -> None:
    alarms = [
        score_problem(SCORE, answered(60, 1e9, seed=seed), answered(60, 1e9, seed=500 + seed), "train.tsv")
        for seed in range(200)
    ]
    assert sum(alarm is not None for alarm in alarms) <= 2


def test_another_scale_is_said() -> None:
    logits, encoded = answered(100, 0.5)
    assert scale_note(SCORE, logits, encoded) is None
    found = scale_note(SCORE, logits / 5, encoded)
    assert found is not None
    assert "another scale" in found
    ranking = Task("text-classification", ("score",), pair=True, problem="regression", ranks=True)
    assert scale_note(ranking, logits / 5, encoded) is None


@pytest.mark.parametrize(("n", "least"), [(4, 0.99), (30, 0.53), (1_000, 0.1), (10_000, 0.1)])
def test_the_least_correlation_is_more_than_chance_gives(n: int, least: float) -> None:
    assert least_correlation(n) == pytest.approx(least, abs=0.01)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "sigmoid"),
        ({"problem_type": "regression"}, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, "sigmoid"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "identity"),
        (
            {
                "problem_type": "regression",
                "sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid",
            },
            "sigmoid",
        ),
        ({"sentence_transformers": {"version": "5.0.0"}}, "sigmoid"),
    ],
)
def test_what_turns_the_output_into_a_score(config: dict[str, Any], expected: str) -> None:
    assert find_activation(BertConfig(num_labels=1, **config), "checkpoint x")[0] == expected


def test_an_activation_that_apps_do_not_have_is_refused(tmp_path: Path) -> None:
    config = BertConfig(num_labels=1, sbert_ce_default_activation_function="torch.nn.modules.activation.Tanh")
    with pytest.raises(InputError, match="allowed: torch's Sigmoid, Identity"):
        find_activation(config, "checkpoint x")


@pytest.mark.parametrize(
    ("labels", "problem", "expected"),
    [
        (1, None, "regression"),
        (1, "regression", "regression"),
        (2, "regression", None),
        (1, "multi_label_classification", None),
        (3, None, "single_label_classification"),
    ],
)
def test_one_output_is_a_score_and_several_are_not(labels: int, problem: str | None, expected: str | None) -> None:
    config = BertConfig(num_labels=labels, problem_type=problem)
    if expected is not None:
        assert find_problem(config, "checkpoint x", "regression") == expected
        return
    with pytest.raises(InputError, match="or regression with one output"):
        find_problem(config, "checkpoint x", "single_label_classification")
