"""What is chosen from the data, the rate of every step, and when a training is over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.finetune.schedule import (
    Evaluation,
    kept,
    last_step,
    learning_rate,
    settled,
    stale,
    starts_cool_down,
)
from edgepack.finetune.settings import (
    COOL_DOWN,
    EPOCHS,
    EVALUATE_STEPS,
    LEAST_STEPS,
    PATIENCE,
    RATE,
    SETTLED,
    SMALL_BATCH_SIZE,
    Options,
    Settings,
    choose,
)


def settings(rows: int = 10_000, judged: bool = True, width: int = 384, **options: Any) -> Settings:
    return choose(Options(**options), "text-classification", width, rows, judged)


def history(*metrics: float, every: int = 400) -> list[Evaluation]:
    return [Evaluation(every * (i + 1), i + 1.0, 0.5, 1.0, metric, True) for i, metric in enumerate(metrics)]


LENGTHS = st.one_of(st.none(), st.integers(1, 30))


@given(st.integers(1, 200_000), LENGTHS, st.booleans(), st.integers(1, 128), st.one_of(st.none(), st.floats(0, 1)))
def test_every_schedule(rows: int, epochs: int | None, judged: bool, batch_size: int, cut: float | None) -> None:
    """The rate is positive, at most the peak, never rises after it, and is near zero at the end, cut short or not."""
    chosen = settings(rows, judged, epochs=epochs, batch_size=batch_size)
    cool_down = None if cut is None else int(cut * (chosen.steps - 1))
    end = last_step(chosen, cool_down)
    assert end <= chosen.steps
    shown = sorted({*range(0, end, max(1, end // 97)), min(chosen.warm_up_steps, end - 1), end - 1})
    rates = [learning_rate(step, chosen, cool_down) for step in shown]
    assert all(0 < rate <= chosen.learning_rate * (1 + 1e-12) for rate in rates)
    fallen = rates[rates.index(max(rates)) :]
    assert fallen == sorted(fallen, reverse=True)
    if end > 40:
        assert rates[-1] < 0.2 * max(rates)
    if cut is None:
        assert max(rates) > 0.5 * chosen.learning_rate
    assert settled(end, chosen, cool_down)
    low, high = EVALUATE_STEPS
    assert chosen.evaluate_steps <= max(high, low + chosen.epoch_steps)


def test_the_rate_falls_from_where_it_was() -> None:
    chosen = settings(10_000)
    start = chosen.steps // 2
    assert learning_rate(start, chosen, start) == learning_rate(start, chosen, None)
    assert learning_rate(start - 1, chosen, start) == learning_rate(start - 1, chosen, None)
    assert last_step(chosen, start) == pytest.approx(start * (1 + COOL_DOWN), abs=1)
    assert last_step(chosen, chosen.steps - 3) == chosen.steps


def test_it_goes_on_while_it_improves() -> None:
    chosen = settings(10_000)
    assert chosen.patience == PATIENCE
    improving = history(*(0.5 + i / 100 for i in range(15)))
    assert not any(starts_cool_down(chosen, improving[: i + 1]) for i in range(15))
    tired = history(*(evaluation.metric or 0 for evaluation in improving), *[0.6] * PATIENCE)
    assert not starts_cool_down(chosen, tired[:-1])
    assert starts_cool_down(chosen, tired)
    assert not starts_cool_down(settings(10_000, epochs=20), tired)  # exactly so long
    assert starts_cool_down(settings(10_000, epochs=20, patience=2), tired)


def test_a_falling_loss_is_an_improvement() -> None:
    """A head that still answers with the commonest class is learning."""
    falling = [Evaluation(400 * (i + 1), i + 1.0, 0.5, 1 - i / 100, 0.57, True) for i in range(9)]
    assert stale(falling) == 0
    assert stale([]) == 0
    assert stale(history(0.5, 0.5, 0.5)) == 2
    assert stale([*falling, Evaluation(4_000, 10.0, 0.5, None, None, True)]) == 1  # nothing judged it


def test_few_steps_are_never_enough() -> None:
    chosen = settings(100)
    assert chosen.batch_size == SMALL_BATCH_SIZE
    assert chosen.steps == LEAST_STEPS
    flat = [0.5] * 9
    assert not starts_cool_down(chosen, history(*flat, every=LEAST_STEPS // 2 // 9))
    assert starts_cool_down(chosen, history(*flat, every=LEAST_STEPS // 9))


def test_few_rows_are_passed_over_more_often() -> None:
    lengths = {rows: settings(rows).steps / settings(rows).epoch_steps for rows in (1_000, 10_000, 67_349, 1_000_000)}
    assert lengths[1_000] == EPOCHS[1]
    assert list(lengths.values()) == sorted(lengths.values(), reverse=True)
    assert lengths[1_000_000] == EPOCHS[0]
    assert settings(10_000, epochs=4).steps == 4 * 313


def test_only_settled_weights_are_kept() -> None:
    chosen = settings(10_000)
    rates = {step: learning_rate(step, chosen, None) for step in range(1, chosen.steps)}
    for step, rate in rates.items():
        low = rate <= SETTLED * chosen.learning_rate and step > chosen.warm_up_steps
        assert settled(step, chosen, None) == low
    wild = Evaluation(100, 1.0, 0.5, 0.3, 0.99, False)
    assert kept([wild]) is None
    assert kept([wild, *history(0.8, 0.9, 0.85)]) == history(0.8, 0.9)[1]


def test_of_equal_ones_the_last_is_kept() -> None:
    same = history(0.8, 0.9, 0.9, 0.7)
    assert kept(same) is same[2]


def test_the_rate_is_that_of_the_model_and_the_batch() -> None:
    assert settings(10_000).learning_rate == settings(1_000).learning_rate == pytest.approx(RATE)
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


def test_nothing_held_out_is_never_cut_short() -> None:
    assert settings(30, judged=False).patience is None
