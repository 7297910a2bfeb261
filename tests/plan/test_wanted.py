"""Plans by a machine's times: prices found again from made-up times, limits kept, the least of what is wanted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import cast

import pytest

from edgepack.build.data_plan import DataPlan
from edgepack.build.results import PlanReport
from edgepack.errors import InputError
from edgepack.evidence.speed_profile import read_speed_profile
from edgepack.parameters import LatencyLimit, parse_latency
from edgepack.plan.search import Plan, search
from edgepack.plan.speed import BUILT_IN, BodyShape, Prices
from edgepack.plan.speed_fit import Timed, body_weights, errors_left_out, fit_memory, fit_prices, time_of
from edgepack.plan.wanted import Machine, Wanted
from tests.plan.test_search import SPACE

ALONE = replace(SPACE, targets=SPACE.targets[:1])
NAME = ALONE.targets[0].name
PARTS = {"fixed": 50.0, "layer": 40.0, "head": 30.0, "weight": 1e-5, "row": 0.5, "norm": 0.003, "element": 0.002}
TRUE = Prices({8: 5e-6, 4: 9e-6}, **PARTS, score=1e-4)
SHAPES = [
    (1, 4, 32, 512, 384, 0, 128),
    (2, 2, 32, 256, 128, 0, 64),
    (6, 2, 32, 256, 384, 0, 64),
    (3, 12, 32, 1536, 384, 0, 64),
    (6, 6, 32, 768, 384, 9, 64),
    (4, 8, 32, 1024, 256, 9, 64),
    (2, 4, 64, 1024, 768, 0, 64),
    (6, 1, 32, 64, 256, 0, 128),
]


def timed(prices: Prices, memory: bool = True) -> list[Timed]:
    """Models whose times are what these prices say."""
    found = []
    for number, (*size, embedding) in enumerate(SHAPES):
        for bits in (8, 4):
            body, vocabulary = BodyShape(*size, bits), 2_000 * (1 + number)
            empty = Timed(body, embedding, vocabulary, bits, {})
            peak = 5e6 + {8: 1, 4: 3}[bits] * body_weights(body, embedding) + 2 * vocabulary * embedding
            times = {tokens: time_of(empty, prices, tokens) for tokens in (16, 32, 64, 128)}
            found.append(replace(empty, p50_us=times, peak_bytes=round(peak) if memory else None))
    return found


def test_prices_are_found_again_and_one_disturbed_time_does_not_move_them() -> None:
    models = timed(TRUE)
    assert max(errors_left_out(models)) < 1e-6
    found = fit_prices(models)
    assert found.products == pytest.approx(dict(TRUE.products), rel=1e-4)
    disturbed = [replace(models[0], p50_us={**models[0].p50_us, 32: 5 * models[0].p50_us[32]}), *models[1:]]
    prices = fit_prices(disturbed)
    assert max(abs(time_of(m, prices, 64) / m.p50_us[64] - 1) for m in models) < 0.02


def test_times_of_a_real_machine_are_estimated_within_a_tenth() -> None:
    """Of a recorded profile, each shape from the others."""
    recorded = Path(__file__).parents[2] / "benchmarks/results/speed-profile/epyc-linux-onnx.json"
    errors = errors_left_out(read_speed_profile(recorded).runtimes[0].timed())
    assert median(errors) < 0.02
    assert sum(error > 0.1 for error in errors) <= 0.02 * len(errors)


def test_memory_is_found_again_and_is_unknown_where_a_model_has_none() -> None:
    prices = fit_memory(timed(TRUE))
    assert prices is not None
    assert prices.body == pytest.approx({8: 1.0, 4: 3.0}, rel=0.01)
    assert prices.table == pytest.approx({8: 2.0, 4: 2.0}, rel=0.01)
    assert fit_memory(timed(TRUE, memory=False)) is None


def profiled(**changes: object) -> Wanted:
    machine = Machine(TRUE, fit_memory(timed(TRUE)), 16, 128)
    return replace(Wanted(machines={NAME: machine}), **changes)  # type: ignore[arg-type]


def times(plan: Plan) -> list[float]:
    return [ms for each in plan.candidates if (ms := each.estimated_ms) is not None]


def test_a_limit_is_kept_at_its_own_length_of_text() -> None:
    free = search(ALONE, 300_000, profiled())
    assert len(times(free)) == len(free.candidates)
    at_16, at_32 = (search(ALONE, 300_000, profiled(latency=LatencyLimit(9.0, n))) for n in (16, 32))
    assert times(at_16)[0] < times(at_32)[0]
    limit = 0.7 * min(times(free))
    plan = search(ALONE, 300_000, profiled(latency=LatencyLimit(limit, 32)))
    assert max(times(plan)) <= limit
    assert plan.chosen.estimated_loss >= free.chosen.estimated_loss - free.chosen.price
    assert plan.chosen.describe()["estimated_ms"] == round(times(plan)[0], 4)


def test_a_large_budget_is_used_where_time_is_allowed_and_else_the_note_says_what_it_would_buy() -> None:
    large = 3_000_000
    free = search(ALONE, large)
    said = re.search(r"gain in the metric: ([\d.]+) % of it, at ([\d.]+) x the teacher's speed", free.note or "")
    assert said is not None, free.note
    allowed = search(ALONE, large, profiled(latency=LatencyLimit(1e6, 32)))
    gain = free.chosen.estimated_loss - free.chosen.price - allowed.chosen.estimated_loss
    assert float(said[1]) == pytest.approx(100 * gain, abs=0.006)
    assert float(said[2]) == pytest.approx(allowed.chosen.estimated_speed, abs=0.06)
    assert allowed.chosen.shipped_bytes[NAME] > free.chosen.shipped_bytes[NAME]
    assert "no shape within it is estimated to lose less" in (allowed.note or "")


def test_a_limit_that_nothing_reaches_names_the_fastest_that_fits() -> None:
    with pytest.raises(InputError, match=r"no shape within 300,000 bytes is estimated so fast") as caught:
        search(ALONE, 300_000, profiled(latency=LatencyLimit(0.001, 32)))
    said = re.search(r"give at least --max-latency (\S+)$", str(caught.value))
    assert said is not None
    limit = parse_latency(said[1])
    assert times(search(ALONE, 300_000, profiled(latency=limit)))
    with pytest.raises(InputError, match="is estimated so fast"):
        search(ALONE, 300_000, profiled(latency=replace(limit, ms=limit.ms - 0.002)))
    with pytest.raises(InputError, match="no shape fits; the smallest needs"):
        search(ALONE, 5_000, profiled(latency=LatencyLimit(0.001, 32)))


def test_an_objective_takes_the_least_of_it_within_the_loss() -> None:
    most = 1.5 * search(ALONE, 300_000).chosen.estimated_loss
    plans = {name: search(ALONE, 300_000, profiled(objective=name, max_loss=most)) for name in
             ("loss", "bytes", "latency", "memory")}  # fmt: skip
    chosen = {name: plan.chosen for name, plan in plans.items()}
    assert all(each.estimated_loss <= most for plan in plans.values() for each in plan.candidates[:1])
    assert chosen["loss"].estimated_loss == min(each.estimated_loss for each in chosen.values())
    assert chosen["bytes"].shipped_bytes[NAME] == min(each.shipped_bytes[NAME] for each in chosen.values())
    assert times(plans["latency"])[0] == min(times(plan)[0] for plan in plans.values())
    memory = {name: each.estimated_memory or 0 for name, each in chosen.items()}
    assert memory["memory"] == min(memory.values()) > 0
    assert chosen["bytes"].shipped_bytes[NAME] < chosen["loss"].shipped_bytes[NAME]
    assert "--objective bytes takes the least of it" in (plans["bytes"].note or "")


def test_an_objective_that_would_lose_too_much_says_the_least_that_it_could() -> None:
    with pytest.raises(InputError, match=r"has a score of at most 0\.01 \(--max-drop\)") as caught:
        search(ALONE, 200_000, Wanted(objective="bytes", max_loss=0.0001))
    said = re.search(r"give --max-drop ([\d.]+)%", str(caught.value))
    assert said is not None
    assert search(ALONE, 200_000, Wanted(objective="bytes", max_loss=float(said[1]) / 100)).candidates


def test_what_a_profile_cannot_tell_is_refused() -> None:
    with pytest.raises(InputError, match="inputs of this build have at most 32"):
        search(ALONE, 300_000, profiled(latency=LatencyLimit(2.0, 64)))
    longer = replace(ALONE, max_length=512)
    with pytest.raises(InputError, match="the speed profile is of 16 to 128"):
        search(longer, 300_000, profiled(latency=LatencyLimit(2.0, 256)))
    with pytest.raises(InputError, match="the built-in figures are of 32 to 32"):
        search(longer, 300_000, Wanted(latency=LatencyLimit(2.0, 64)))
    short = replace(ALONE, max_length=24)  # no number behind the @ would do
    for tokens in (16, 32):
        with pytest.raises(InputError, match=r"--speed-profile with shorter texts than 32 tokens .* a larger --max"):
            search(short, 300_000, Wanted(latency=LatencyLimit(2.0, tokens)))
    with pytest.raises(InputError, match="memory needs --speed-profile"):
        search(ALONE, 300_000, Wanted(objective="memory"))
    without = Wanted(objective="memory", machines={NAME: Machine(TRUE, None, 16, 128)})
    with pytest.raises(InputError, match="no peak_bytes of the runtime of android-onnx"):
        search(ALONE, 300_000, without)


def test_times_without_a_limit_need_no_texts_as_long_as_those_of_the_figures() -> None:
    """They only rank shapes."""
    short = replace(ALONE, max_length=12)
    assert search(short, 300_000, Wanted(objective="latency")).candidates
    assert search(short, 300_000, profiled()).candidates
    long_only = Wanted(machines={NAME: Machine(TRUE, None, 64, 128)})
    with pytest.raises(InputError, match="times are estimated at 32 tokens: the speed profile is of 64 to 128; give"):
        search(short, 300_000, long_only)


def test_the_table_says_what_times_are_by() -> None:
    nothing = cast(DataPlan, SimpleNamespace(lines=list))
    by_profile = PlanReport(search(ALONE, 300_000, profiled(latency=LatencyLimit(9.0, 16))), nothing).table()
    assert "ms@16" in by_profile
    assert "estimated by the speed profile, of the target that takes most; at most 9ms@16 is allowed" in by_profile
    built_in = PlanReport(search(ALONE, 300_000, Wanted(latency=LatencyLimit(9.0, 32))), nothing).table()
    assert "by figures of another machine" in built_in
    assert "memory" not in built_in
    assert "ms@" not in PlanReport(search(ALONE, 300_000), nothing).table()


def test_the_slowest_target_counts() -> None:
    names = [target.name for target in SPACE.targets]
    machines = {names[0]: Machine(BUILT_IN), names[1]: Machine(replace(BUILT_IN, fixed=5_000.0))}
    both = search(SPACE, 300_000, Wanted(machines=machines))
    assert min(times(both)) > 5.0


@pytest.mark.parametrize("text", ["2ms", "2@32", "0ms@32", "2ms@0", "2s@32", "-2ms@32", "nanms@32", "2ms@99999"])
def test_a_limit_says_time_and_tokens(text: str) -> None:
    assert parse_latency("2.5 ms @ 64") == LatencyLimit(2.5, 64)
    with pytest.raises(ValueError, match="write 2ms@32"):
        parse_latency(text)
