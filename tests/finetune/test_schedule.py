"""What is chosen from the data, the rate of every step, and when a training is over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.finetune.schedule import Evaluation, best, last_step, learning_rate, stale, starts_cool_down, stops_early
from edgepack.finetune.settings import (
    EVALUATE_STEPS,
    LEAST_STEPS,
    MOST_EPOCHS,
    PATIENCE,
    RATE,
    SMALL_BATCH_SIZE,
    Options,
    Settings,
    choose,
)


def settings(rows: int = 10_000, judged: bool = True, width: int = 384, **options: Any) -> Settings:
    return choose(Options(**options), "text-classification", width, rows, judged)


def history(*metrics: float, every: int = 100) -> list[Evaluation]:
    return [Evaluation(every * (i + 1), i + 1.0, 0.5, 1.0, metric) for i, metric in enumerate(metrics)]


LENGTHS = st.one_of(st.none(), st.integers(1, 30))


@given(st.integers(1, 200_000), LENGTHS, st.booleans(), st.integers(1, 128))
def test_every_schedule(rows: int, epochs: int | None, judged: bool, batch_size: int) -> None:
    """The rate is positive, at most the peak, reached unless the training is a step or two, near zero at the end."""
    chosen = settings(rows, judged, epochs=epochs, batch_size=batch_size)
    cool_down = chosen.most_steps if chosen.steps is None else None
    end = last_step(chosen, cool_down)
    assert end == chosen.last_step
    shown = sorted({*range(0, end, max(1, end // 97)), min(chosen.warm_up_steps, end - 1), end - 1})
    rates = [learning_rate(step, chosen, cool_down) for step in shown]
    assert all(0 < rate <= chosen.learning_rate * (1 + 1e-12) for rate in rates)
    assert max(rates) > 0.49 * chosen.learning_rate
    if end > 20:
        assert rates[-1] < 0.2 * chosen.learning_rate
    assert chosen.most_steps % chosen.evaluate_steps == 0
    low, high = EVALUATE_STEPS
    assert chosen.evaluate_steps <= max(high, low + chosen.epoch_steps)


def test_the_rate_falls_from_where_it_was() -> None:
    chosen = settings(10_000)
    start = 10 * chosen.evaluate_steps
    before, after = learning_rate(start - 1, chosen, None), learning_rate(start, chosen, start)
    assert before == after == chosen.learning_rate
    steps = [learning_rate(step, chosen, start) for step in range(start, last_step(chosen, start))]
    assert steps == sorted(steps, reverse=True)
    assert len(steps) == pytest.approx(start / 2, abs=1)


def test_it_goes_on_while_it_improves() -> None:
    chosen = settings(10_000)
    improving = history(*(0.5 + i / 100 for i in range(15)), every=chosen.evaluate_steps)
    assert not any(starts_cool_down(e.step, chosen, improving[: i + 1]) for i, e in enumerate(improving))
    tired = [*improving, *history(*[0.6] * PATIENCE)]
    assert not starts_cool_down(5_000, chosen, tired[:-1])
    assert starts_cool_down(5_000, chosen, tired)
    assert starts_cool_down(chosen.most_steps, chosen, improving)


def test_few_steps_are_never_enough() -> None:
    chosen = settings(100)
    assert chosen.batch_size == SMALL_BATCH_SIZE
    flat = history(*[0.5] * 9)
    assert not starts_cool_down(LEAST_STEPS - 1, chosen, flat)
    assert starts_cool_down(LEAST_STEPS, chosen, flat)
    assert chosen.most_steps >= LEAST_STEPS


def test_a_length_that_is_given_is_kept() -> None:
    chosen = settings(10_000, epochs=4)
    assert chosen.steps == 4 * 313
    flat = history(*[0.5] * 20)
    assert not starts_cool_down(1_000, chosen, flat)
    assert not stops_early(chosen, flat)
    impatient = settings(10_000, epochs=4, patience=2)
    assert [stops_early(impatient, flat[:n]) for n in (1, 2, 3)] == [False, False, True]
    assert not stops_early(settings(10_000, patience=2), flat)


def test_nothing_held_out_has_a_length() -> None:
    assert settings(30, judged=False).steps is not None
    assert settings(30, judged=True).steps is None


def test_ties_go_to_the_lower_loss_and_then_to_the_first() -> None:
    same = [Evaluation(step, 1.0, 0.1, loss, 0.9) for step, loss in ((1, 0.5), (2, 0.4), (3, 0.4))]
    assert best(same).step == 2
    assert stale(same) == 1
    assert stale([]) == 0


def test_the_rate_is_that_of_the_model_and_the_batch() -> None:
    assert settings(10_000).learning_rate == pytest.approx(RATE)
    assert settings(10_000, width=768).learning_rate == pytest.approx(RATE / 2)
    assert settings(10_000, batch_size=128).learning_rate == pytest.approx(2 * RATE)
    assert settings(10_000, learning_rate=0.01, width=768).learning_rate == 0.01
    assert choose(Options(), "token-classification", 384, 10_000, True).learning_rate > settings(10_000).learning_rate
    assert choose(Options(), "token-classification", 384, 10_000, True).label_smoothing == 0
    assert settings(10_000, label_smoothing=0.0).label_smoothing == 0


def test_large_data_is_judged_within_an_epoch() -> None:
    chosen = settings(67_349)
    assert chosen.epoch_steps == 2_105
    assert chosen.evaluate_steps == 702
    assert chosen.most_steps >= MOST_EPOCHS * chosen.epoch_steps
