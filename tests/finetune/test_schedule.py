"""What is chosen from the data, the rate of every step, and when a training is over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.finetune.schedule import (
    Cycle,
    Evaluation,
    kept,
    last_step,
    learning_rate,
    next_cycle,
    settled,
    stale,
    starts_cool_down,
)
from edgepack.finetune.settings import (
    COOL_DOWN,
    EPOCHS,
    EVALUATE_STEPS,
    LEAST_EPOCHS,
    LEAST_STEPS,
    LONGER,
    PATIENCE,
    SETTLED,
    SMALL_BATCH_SIZE,
    TAGGING_RATE,
    Options,
    Settings,
    choose,
)
from edgepack.task.metric import Task


def settings(rows: int = 10_000, judged: bool = True, width: int = 384, classes: int = 77, **options: Any) -> Settings:
    task = Task("text-classification", tuple(map(str, range(classes))))
    return choose(Options(**options), task, width, rows, judged)


TAGGING = Task("token-classification", ("O", "B-x", "I-x"))


def history(*metrics: float, every: int = 400) -> list[Evaluation]:
    return [Evaluation(every * (i + 1), i + 1.0, 0.5, 1.0, metric, True) for i, metric in enumerate(metrics)]


LENGTHS = st.one_of(st.none(), st.integers(1, 30))


@given(
    st.integers(1, 200_000),
    LENGTHS,
    st.booleans(),
    st.integers(1, 128),
    st.one_of(st.none(), st.floats(0, 1)),
    st.integers(0, 10_000),
)
def test_every_schedule(
    rows: int, epochs: int | None, judged: bool, batch_size: int, cut: float | None, start: int
) -> None:
    """The rate is positive, at most the peak, never rises after it, and is near zero at the end, cut short or not."""
    chosen = settings(rows, judged, epochs=epochs, batch_size=batch_size)
    cycle = Cycle(start, chosen.steps, None if cut is None else start + int(cut * (chosen.steps - 1)))
    end = last_step(chosen, cycle)
    assert start < end <= start + chosen.steps
    shown = sorted({*range(start, end, max(1, chosen.steps // 97)), min(start + cycle.warm_up, end - 1), end - 1})
    rates = [learning_rate(step, chosen, cycle) for step in shown]
    assert all(0 < rate <= chosen.learning_rate * (1 + 1e-12) for rate in rates)
    fallen = rates[rates.index(max(rates)) :]
    assert fallen == sorted(fallen, reverse=True)
    if end - start > 40:
        assert rates[-1] < 0.2 * max(rates)
    if cut is None:
        assert max(rates) > 0.5 * chosen.learning_rate
    assert settled(end, chosen, cycle)
    low, high = EVALUATE_STEPS
    assert chosen.evaluate_steps <= max(high, low + chosen.epoch_steps)


def test_the_rate_falls_from_where_it_was() -> None:
    chosen = settings()
    whole, half = Cycle(0, chosen.steps), chosen.steps // 2
    cut = Cycle(0, chosen.steps, half)
    assert learning_rate(half, chosen, cut) == learning_rate(half, chosen, whole)
    assert learning_rate(half - 1, chosen, cut) == learning_rate(half - 1, chosen, whole)
    assert last_step(chosen, cut) == pytest.approx(half * (1 + COOL_DOWN), abs=1)
    assert last_step(chosen, Cycle(0, chosen.steps, chosen.steps - 3)) == chosen.steps


def test_it_goes_on_while_it_improves() -> None:
    chosen = settings()
    cycle = Cycle(0, chosen.steps)
    assert chosen.patience == PATIENCE
    improving = history(*(0.5 + i / 100 for i in range(15)))
    assert not any(starts_cool_down(chosen, cycle, improving[: i + 1]) for i in range(15))
    tired = history(*(evaluation.metric or 0 for evaluation in improving), *[0.6] * PATIENCE)
    assert not starts_cool_down(chosen, cycle, tired[:-1])
    assert starts_cool_down(chosen, cycle, tired)
    assert not starts_cool_down(chosen, Cycle(0, chosen.steps, 5_000), tired)  # it has begun
    assert not starts_cool_down(chosen, Cycle(tired[-2].step, chosen.steps), tired)  # a new cycle has its own time
    assert not starts_cool_down(settings(epochs=20), cycle, tired)  # exactly so long
    assert starts_cool_down(settings(epochs=20, patience=2), cycle, tired)


def losses(*values: float, cycle: Cycle) -> list[Evaluation]:
    """Evaluations at equal distances, the last at the cycle's end."""
    every = cycle.steps // len(values)
    return [Evaluation(cycle.start + every * (i + 1), i + 1.0, 0.5, value, 0.5, True) for i, value in enumerate(values)]


def test_it_is_trained_on_while_the_loss_falls() -> None:
    chosen = settings(classes=3)
    cycle = Cycle(0, 600)
    falling, flat = losses(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, cycle=cycle), losses(0.9, 0.5, 0.4, 0.4, 0.4, 0.4, cycle=cycle)
    following = next_cycle(chosen, cycle, falling)
    assert following == Cycle(600, 1_200, None, 1)
    assert learning_rate(600, chosen, following) < learning_rate(720, chosen, following) == chosen.learning_rate
    assert next_cycle(chosen, cycle, flat) is None
    begun = losses(1.099, 1.098, 1.096, 1.092, 1.082, 1.073, cycle=cycle)  # three classes, hardly told apart yet
    assert next_cycle(chosen, cycle, begun) == following
    overfitted = losses(0.5, 0.7, 0.9, 0.95, 0.92, 0.8, cycle=cycle)
    assert next_cycle(chosen, cycle, overfitted) is None
    assert next_cycle(chosen, Cycle(0, 600, 500), falling) is None  # cut short: no longer improving
    assert next_cycle(chosen, Cycle(0, 600, None, LONGER), falling) is None
    assert next_cycle(settings(epochs=6), cycle, falling) is None  # exactly so long
    assert next_cycle(settings(30, judged=False), cycle, falling) is None


def test_a_falling_loss_is_an_improvement() -> None:
    """A head that still answers with the commonest class is learning."""
    falling = [Evaluation(400 * (i + 1), i + 1.0, 0.5, 1 - i / 100, 0.57, True) for i in range(9)]
    assert stale(falling) == 0
    assert stale([]) == 0
    assert stale(history(0.5, 0.5, 0.5)) == 2
    assert stale([*falling, Evaluation(4_000, 10.0, 0.5, None, None, True)]) == 1  # nothing judged it


def test_few_steps_are_never_enough() -> None:
    chosen = settings(100, classes=2)
    cycle = Cycle(0, chosen.steps)
    assert chosen.batch_size == SMALL_BATCH_SIZE
    assert chosen.steps == LEAST_STEPS
    flat = [0.5] * 9
    assert not starts_cool_down(chosen, cycle, history(*flat, every=LEAST_STEPS // 2 // 9))
    assert starts_cool_down(chosen, cycle, history(*flat, every=LEAST_STEPS // 9))


def epochs_of(chosen: Settings) -> float:
    return chosen.steps / chosen.epoch_steps


def test_the_length_is_that_of_the_classes_and_the_rows() -> None:
    by_classes = [epochs_of(settings(5_000, classes=classes)) for classes in (2, 3, 4, 10, 30, 77, 300)]
    assert by_classes == sorted(by_classes)
    assert (by_classes[0], by_classes[-1]) == EPOCHS
    assert epochs_of(choose(Options(), TAGGING, 384, 5_000, True)) == EPOCHS[1]
    by_rows = [epochs_of(settings(rows)) for rows in (3_000, 10_000, 30_000, 67_349, 1_000_000)]
    assert by_rows == sorted(by_rows, reverse=True)
    assert by_rows[-1] == LEAST_EPOCHS
    assert settings(10_000, epochs=4).steps == 4 * 313


def test_only_settled_weights_are_kept() -> None:
    chosen = settings()
    cycle = Cycle(500, chosen.steps)
    for step in range(501, 500 + chosen.steps):
        low = learning_rate(step, chosen, cycle) <= SETTLED * chosen.learning_rate
        assert settled(step, chosen, cycle) == (low and step > 500 + cycle.warm_up)
    wild = Evaluation(100, 1.0, 0.5, 0.3, 0.99, False)
    assert kept([wild]) is None
    assert kept([wild, *history(0.8, 0.9, 0.85)]) == history(0.8, 0.9)[1]


def test_of_equal_ones_the_last_is_kept() -> None:
    same = history(0.8, 0.9, 0.9, 0.7)
    assert kept(same) is same[2]


def test_the_rate_is_that_of_the_model_the_batch_and_the_classes() -> None:
    own = settings().learning_rate
    assert own == pytest.approx(1e-4, rel=0.03)
    assert settings(classes=3).learning_rate == pytest.approx(5e-5, rel=0.03)
    assert settings(width=768).learning_rate == pytest.approx(own / 2, rel=0.01)
    assert settings(batch_size=128).learning_rate == pytest.approx(2 * own, rel=0.01)
    assert settings(learning_rate=0.01, width=768).learning_rate == 0.01
    tagging = choose(Options(), TAGGING, 384, 10_000, True)
    assert (tagging.learning_rate, tagging.label_smoothing) == (pytest.approx(TAGGING_RATE), 0.0)
    assert settings(label_smoothing=0.0).label_smoothing == 0


def test_large_data_is_judged_within_an_epoch() -> None:
    chosen = settings(67_349)
    assert chosen.epoch_steps == 2_105
    assert chosen.evaluate_steps == 702


def test_nothing_held_out_is_never_cut_short() -> None:
    assert settings(30, judged=False).patience is None
    assert settings(30, judged=False).longer == 0
