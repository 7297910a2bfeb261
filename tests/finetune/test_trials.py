"""Which trainings are tried, which are averaged, and that what is kept is what was judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from edgepack.console import Console
from edgepack.finetune import Options, loop, trials
from edgepack.finetune.checkpoint import Training
from edgepack.finetune.loop import DivergedError, Job, weights_of
from edgepack.finetune.schedule import Evaluation
from edgepack.finetune.settings import FEW_ROWS, LEAST_STEPS, PATIENCE, Settings, choose, choose_trials
from edgepack.finetune.trials import Member, average, settle, standard_error, train_trials
from edgepack.task.encoded import Encoded
from edgepack.task.task import Task
from tests.finetune.tiny import Files, run

ROWS = 100
TASK = Task("text-classification", ("a", "b", "c"))


def chosen(rows: int, judged: bool = True, **options: Any) -> tuple[Settings, ...]:
    return choose_trials(Options(**options), "text-classification", 384, rows, judged)


def test_few_rows_get_shorter_and_cooler_trainings_too() -> None:
    first, *others = chosen(3_000)
    assert first == choose(Options(), "text-classification", 384, 3_000, True)
    assert others
    assert all(other.steps < first.steps and other.learning_rate <= first.learning_rate for other in others)
    assert len({settings.seed for settings in (first, *others)}) == 1 + len(others)
    assert all(settings.steps >= LEAST_STEPS for settings in chosen(50))
    tags = choose_trials(Options(), "token-classification", 384, 3_000, True)
    assert min(settings.learning_rate for settings in tags) > min(settings.learning_rate for settings in others)


def test_who_sets_length_or_rate_gets_one_training() -> None:
    for options in ({"epochs": 3}, {"learning_rate": 1e-4}):
        assert len(chosen(3_000, **options)) == 1
    assert len(chosen(FEW_ROWS)) == len(chosen(3_000, judged=False)) == 1
    assert [each.patience for each in chosen(3_000, seed=7, patience=2)] == [2, 2, 2, 2]
    assert [each.patience for each in chosen(3_000)] == [PATIENCE, None, None, None]


@given(st.integers(1, 5), st.integers(0, 2**31))
def test_the_average_of_weights(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    states = [{"w": torch.randn(3, 4, generator=generator), "ids": torch.arange(3)} for _ in range(count)]
    mean = average(states)
    torch.testing.assert_close(mean["w"], torch.stack([state["w"] for state in states]).mean(0))
    assert torch.equal(mean["ids"], torch.arange(3))
    assert all(torch.equal(average([state, state])["w"], state["w"]) for state in states)


def model() -> PreTrainedModel:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return cast(PreTrainedModel, BertForSequenceClassification(BertConfig(vocab_size=9, num_labels=3, **shape)))


def job(scratch: Path | None = None) -> Job:
    ids = np.random.default_rng(0).integers(1, 9, 4 * ROWS).astype(np.int32)
    offsets = np.arange(0, 4 * ROWS + 1, 4, dtype=np.int64)
    data = Encoded(ids, np.zeros(4 * ROWS, dtype=np.int8), offsets, np.arange(ROWS, dtype=np.int64) % 3)
    return Job(TASK, data, data, chosen(ROWS)[0], frozenset(), torch.device("cpu"), False, scratch, Console(quiet=True))


def member(metric: float, shift: float) -> Member:
    """A finished training of which the head's bias has moved."""
    state = weights_of(model())
    state["classifier.bias"] = state["classifier.bias"] + shift
    kept = Evaluation(10, 1.0, 0.5, 1.0, metric, True)
    return Member(chosen(ROWS)[0], Training(step=10, history=[kept], best=state, best_step=10), kept, state)


def bias_after(monkeypatch: pytest.MonkeyPatch, members: list[Member], score: float) -> tuple[float, list[bool]]:
    """The bias that `settle` leaves where the average scores `score`, and which members are in it."""
    monkeypatch.setattr(trials, "held_out_score", lambda *arguments: (score, 0.5))
    settled, task = model(), job()
    before = float(weights_of(settled)["classifier.bias"][0])
    assert task.held_out is not None
    outcome = settle(settled, task, task.held_out, members)
    assert outcome.best is max(members, key=lambda m: m.rank).training
    return float(weights_of(settled)["classifier.bias"][0]) - before, [trial.averaged for trial in outcome.trials]


def test_what_the_slice_cannot_tell_from_the_best_is_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    error = standard_error(0.8, ROWS)
    assert error == pytest.approx(0.04)
    members = [member(0.8 - 0.9 * error, 1.0), member(0.8, 2.0), member(0.8 - 1.1 * error, 9.0)]
    shift, averaged = bias_after(monkeypatch, members, 0.8)
    assert averaged == [True, True, False]
    assert shift == pytest.approx(1.5, abs=1e-5)


def test_an_average_that_is_clearly_worse_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    shift, averaged = bias_after(monkeypatch, [member(0.79, 1.0), member(0.8, 2.0)], 0.5)
    assert averaged == [False, True]
    assert shift == pytest.approx(2.0, abs=1e-5)


def test_what_is_kept_is_what_was_judged(files: Files, tmp_path: Path) -> None:
    result = run(files, tmp_path / "a", epochs=None, learning_rate=None)
    assert result.to_record()["held_out"]["metric"] == result.held_out_metric
    assert result.held_out_metric is not None
    best = max(trial.metric for trial in result.trials)
    assert result.held_out_metric >= best - standard_error(best, result.held_out_rows)


def test_a_trial_that_diverges_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are averaged; where all diverge, so does the training."""

    def train(trained: PreTrainedModel, task: Job) -> Training:
        if task.settings.learning_rate >= limit:
            raise DivergedError("training diverged")
        kept = Evaluation(10, 1.0, 0.5, 1.0, 0.4, True)
        return Training(step=10, history=[kept], best=weights_of(trained), best_step=10)

    monkeypatch.setattr(trials, "train_teacher", train)
    monkeypatch.setattr(trials, "held_out_score", lambda *arguments: (0.4, 1.0))
    tried = chosen(ROWS)
    limit = tried[0].learning_rate
    assert len(train_trials(model(), job(), tried).trials) == sum(s.learning_rate < limit for s in tried) > 0
    limit = 0.0
    with pytest.raises(DivergedError):
        train_trials(model(), job(), tried)


def test_a_diverged_loss_says_so() -> None:
    training = Training(step=50)
    with pytest.raises(DivergedError, match="give a lower --learning-rate"):
        loop._judge(model(), training, job(), float("nan"))
