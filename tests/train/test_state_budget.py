"""What is kept of the teacher: no data and no layer is dropped, more disk never gives less, bytes are as planned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.build.recipe import find_recipe, general_schedule, make_schedule
from edgepack.build.recipe_names import BUILT_IN
from edgepack.compress.distil.attention_maps import AttentionScores
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.objective import LOSSES, Objective
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.patience import Patience
from edgepack.compress.distil.relations import Relations
from edgepack.compress.distil.signals import Loss
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.console import Console
from edgepack.train import Course, Material, Phase, Place, Progress, Schedule, StageSettings, make_accelerator, train
from edgepack.train import loop as training_loop
from edgepack.train.batches import Reader
from edgepack.train.state_budget import (
    DISK,
    LEAST_STORED,
    LOOP,
    LOOP_TIME,
    NONE,
    Costs,
    KeptStates,
    StateChoice,
    StateNeeds,
    Views,
    choose_kept,
    count_views,
    find_needs,
)
from edgepack.train.state_file import LARGEST, from_int8, to_int8
from edgepack.train.teacher_outputs import HIDDEN_FILE, TeacherOutputs, load_teacher_outputs, save_teacher_outputs
from tests.train.made import CPU, EVERY, LAYERS, half, make_data, make_student

FOLLOWED = (0, 2)  # of four teacher layers
QUIET = Console(quiet=True)
TEXT = "text-classification"


def needs_of(*losses: Loss) -> StateNeeds:
    return find_needs(Schedule(10, 4, 1e-3, phases=(Phase(1.0, losses),)), FOLLOWED, 4, 8)


@pytest.mark.parametrize(
    ("losses", "states"),
    [
        ((SoftTargets(),), ()),
        ((HiddenStates(),), (0, 1, 3)),
        ((AttentionScores(),), (0, 2)),
        ((Relations(layer=-1),), (2,)),
        ((HiddenStates(), AttentionScores()), (0, 1, 2, 3)),
        ((Patience(layers="skip"),), (1,)),
        ((Patience(layers="last"),), (2, 3, 4)),
        ((OutputSpace(),), (0, 1, 2, 3, 4)),
    ],
)
def test_states_are_those_that_losses_look_at(losses: tuple[Loss, ...], states: tuple[int, ...]) -> None:
    assert needs_of(*losses).states == states


def test_first_tokens_are_enough_where_no_loss_looks_at_others() -> None:
    assert needs_of(SoftTargets(), Patience()).first_token
    assert not needs_of(Patience(), HiddenStates()).first_token
    for name, kind in LOSSES.items():  # a loss looks at states, or it is of predictions: the loop relies on it
        assert bool(kind().states_needed(FOLLOWED, 4)) != kind.is_prediction, name


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_recipes_phases_say_what_they_need(name: str) -> None:
    """States are needed in exactly the phases with a loss of states, for as many examples as these see."""
    recipe = replace(find_recipe(name), examples_seen=6_400)
    schedules = [make_schedule(recipe), *([general_schedule(recipe, recipe.general, 90)] if recipe.general else [])]
    for schedule in schedules:
        views = count_views(np.full(90, 5), schedule, 0)
        looking = [Objective(phase.losses).needs_states for phase in schedule.phases]
        assert bool(find_needs(schedule, FOLLOWED, 4, 8).states) == any(looking)
        shares = np.diff([0.0, *(phase.until for phase in schedule.phases)])
        seen = float(sum(share for share, looks in zip(shares, looking, strict=True) if looks))
        assert views.with_states.sum() / max(1, views.all_steps.sum()) == pytest.approx(seen, abs=0.03)
        assert views.passes <= 6_400 * 3 / 90


settings_of_data = st.tuples(
    st.lists(st.integers(2, 40), min_size=1, max_size=30),  # tokens
    st.lists(st.integers(0, 4), min_size=30, max_size=30),  # how often each is seen with states
    st.floats(0.05, 20.0),  # the teacher's cost by the student's
    st.booleans(),
)


def chosen(data: tuple[list[int], list[int], float, bool], disk_bytes: int) -> tuple[StateChoice, Views]:
    lengths, wanted = np.array(data[0]), np.array(data[1][: len(data[0])])
    views = Views(lengths, wanted + 1, wanted)
    needs = StateNeeds((0, 1, 3), 16, first_token=data[3])
    return choose_kept(needs, views, Costs(data[2], 1.0), disk_bytes, seed=3), views


@settings(deadline=None)
@given(settings_of_data, st.integers(0, 100_000))
def test_no_layer_and_no_example_is_dropped(data: tuple[list[int], list[int], float, bool], disk: int) -> None:
    choice, views = chosen(data, disk)
    kept, wanted, first = choice.kept, views.with_states, choice.kept.first_rows(views.lengths)
    if not wanted.any():
        assert kept.states == ()
        return
    assert kept.states == (0, 1, 3)
    if (first[wanted > 0] < 0).any():  # then the teacher runs for the others, for no longer than it may
        assert kept.loop_share > 0
        allowed = LOOP_TIME * views.tokens / data[2]
        assert choice.loop_tokens <= allowed * 1.001 + 1
        assert kept.loop_share == 1 or choice.loop_tokens >= 0.98 * allowed - 1
    else:
        assert (kept.loop_share, choice.known) == (0, 1)
    rows = np.where(first < 0, 0, 1 if kept.first_token else views.lengths)
    assert choice.bytes == (int(rows.sum()) > 0) * 128 + int(rows.sum()) * 3 * (32 if kept.form == "fp16" else 18)
    assert choice.bytes <= disk
    assert not rows[wanted == 0].any()


@settings(deadline=None)
@given(settings_of_data, st.integers(0, 60_000), st.integers(0, 60_000))
def test_more_disk_never_gives_less(data: tuple[list[int], list[int], float, bool], one: int, other: int) -> None:
    less, more = (chosen(data, disk)[0] for disk in sorted((one, other)))
    assert less.known <= more.known + 1e-3
    assert less.loop_tokens >= more.loop_tokens - 2 or less.kept.loop_share < 1
    assert less.stored <= more.stored or (less.kept.states == more.kept.states == ())


def test_the_order_of_choices() -> None:
    """All in fp16, all in int8, a part in int8, none where a part is not worth it; the most seen come first."""
    data = ([10] * 20, [1, 2] * 15, 4.0, False)
    whole = 128 + 200 * 96
    assert [(c.kept.form, c.stored) for c, _ in [chosen(data, whole), chosen(data, whole - 1)]] == [
        ("fp16", 20),
        ("int8", 20),
    ]
    part, _ = chosen(data, 128 + 50 * 54)
    assert part.kept.examples is not None
    assert len(part.kept.examples) == 5
    assert (part.kept.examples % 2 == 1).all()  # those seen twice
    assert chosen(data, 128 + int(200 * LEAST_STORED / 2) * 54)[0].stored == 0
    fast, _ = chosen((*data[:2], 0.5, False), 200)
    assert (fast.kept.loop_share, fast.known) == (1.0, 1.0)  # a teacher that costs less than the student


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 50), st.booleans())
def test_int8_is_off_by_half_a_step_at_most(seed: int, scale: float, zeros: bool) -> None:
    states = (np.random.default_rng(seed).normal(size=(3, 2, 16)) * scale).astype(np.float16)
    states[0] *= not zeros
    found = from_int8(to_int8(states))
    step = np.maximum(np.abs(states.astype(np.float32)).max(-1, keepdims=True) / LARGEST, 2.0**-14)
    assert found.shape == states.shape
    error = np.abs(found.astype(np.float32) - states.astype(np.float32))
    assert (error <= step * 0.51 + np.abs(states.astype(np.float32)) * 2.0**-9).all()


def outputs_of(kept: KeptStates, folder: Path, task: str = TEXT) -> TeacherOutputs:
    teacher = make_student(task)
    save_teacher_outputs(teacher, make_data(task), kept, folder, QUIET, device=CPU, bf16=False)
    return load_teacher_outputs(folder, range(LAYERS), teacher)


@pytest.mark.parametrize("form", ["fp16", "int8"])
@pytest.mark.parametrize("first_token", [False, True])
@pytest.mark.parametrize("some", [False, True])
def test_files_have_the_planned_bytes_and_the_planned_examples(
    form: str, first_token: bool, some: bool, tmp_path: Path
) -> None:
    lengths, examples = make_data(TEXT).lengths, np.array([2, 3, 11, 20])
    kept = KeptStates(EVERY.states, form, first_token, examples if some else None, 0.5 * some)  # type: ignore[arg-type]
    outputs = outputs_of(kept, tmp_path)
    stored = examples if some else np.arange(len(lengths))
    rows = len(stored) if first_token else int(lengths[stored].sum())
    row = (LAYERS + 1) * (2 * 16 if form == "fp16" else 16 + 2)
    assert (tmp_path / HIDDEN_FILE).stat().st_size == 128 + rows * row
    assert np.array_equal(np.flatnonzero(outputs.first_rows >= 0), stored)
    exact = outputs_of(EVERY, tmp_path / "all").batch_hidden(make_data(TEXT), examples)
    found = outputs.batch_hidden(make_data(TEXT), examples)
    expected = exact[:, :1] if first_token else exact
    assert found.shape == expected.shape
    error = (found.float() - expected.float()).abs().max() / expected.float().abs().max()
    assert error == 0 if form == "fp16" else 0 < error < 0.5 / LARGEST


def test_only_examples_that_are_seen_are_run(tmp_path: Path) -> None:
    data, seen = make_data(TEXT), np.array([1, 4, 9])
    teacher = make_student(TEXT)
    save_teacher_outputs(teacher, data, KeptStates(()), tmp_path, QUIET, device=CPU, bf16=False, seen=seen)
    outputs = load_teacher_outputs(tmp_path, range(LAYERS))
    assert np.array_equal(np.flatnonzero(np.abs(outputs.logits).sum(1)), seen)
    assert outputs.hidden is None
    assert not (tmp_path / HIDDEN_FILE).exists()


@pytest.mark.parametrize("task", [TEXT, "token-classification"])
@pytest.mark.parametrize("mapped", [False, True])
def test_the_teacher_in_the_loop_gives_the_batch_that_is_stored(task: str, mapped: bool, tmp_path: Path) -> None:
    data, indices = make_data(task), np.arange(3, 15)
    stored = Reader(data, outputs_of(EVERY, tmp_path / "disk", task), 0, 24, 10_000).read(indices)
    outputs = outputs_of(KeptStates(EVERY.states, "int8", False, np.zeros(0, np.int64), 1.0), tmp_path / "loop", task)
    assert outputs.in_loop is not None
    if mapped:  # the student has other numbers for the same tokens
        numbers = np.random.default_rng(0).permutation(40)
        data = replace(data, input_ids=np.argsort(numbers)[data.input_ids])
        outputs = replace(outputs, in_loop=replace(outputs.in_loop, token_map=torch.as_tensor(numbers)))
    found = Reader(data, outputs, 0, 24, 10_000).read(indices)
    assert [piece.share.source for piece in found] == [LOOP]
    assert torch.equal(found[0].teacher_logits, stored[0].teacher_logits)
    assert outputs.in_loop is not None
    assert stored[0].teacher_hidden is not None
    states = outputs.in_loop.run(found[0].inputs)
    torch.testing.assert_close(states, stored[0].teacher_hidden, rtol=2e-3, atol=2e-3)


def test_which_examples_the_teacher_runs_on_follows_from_the_step(tmp_path: Path) -> None:
    kept = KeptStates(EVERY.states, "int8", False, np.array([0, 5]), 0.3)
    outputs, indices = outputs_of(kept, tmp_path), np.arange(16)
    steps = [outputs.sources(indices, 7, step) for step in range(200)]
    again = outputs.sources(indices, 7, 3)
    assert steps[3] is not None
    assert again is not None
    assert np.array_equal(steps[3], again)
    for sources in steps:
        assert sources is not None
        assert [(sources == kind).sum() for kind in (DISK, LOOP, NONE)] == [2, 4, 10]
        assert (sources[[0, 5]] == DISK).all()
    run = np.stack([sources == LOOP for sources in steps if sources is not None]).mean(0)
    assert (run[[1, 2, 3, 4, *range(6, 16)]] > 0.15).all()  # each has its turn
    assert outputs.sources(np.array([0, 5]), 7, 3) is None
    alone = outputs.sources(np.array([1]), 7, 3)
    assert alone is not None
    assert alone.tolist() == [LOOP]  # a batch without any state would have no gradient for what losses learn


PHASES = (Phase(0.4, (HiddenStates(weight=2.0),)), Phase(1.0, (SoftTargets(), HiddenStates(weight=2.0))))


def run(outputs: TeacherOutputs, scratch: Path) -> Progress:
    schedule = Schedule(20, 4, 2e-3, phases=PHASES)
    material = Material(make_data(TEXT), outputs)
    place = Place(make_accelerator("cpu"), scratch, QUIET, "test")
    return train(Progress(half(TEXT), {}, 0, []), material, Course(schedule, StageSettings(0, 20), seed=0), place)


def weights(progress: Progress) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in progress.student.parameters()])


def test_training_with_the_teacher_in_the_loop_is_training_with_its_states(tmp_path: Path) -> None:
    whole = replace(EVERY, form="int8", examples=np.zeros(0, np.int64), loop_share=1.0)
    part = replace(whole, examples=np.array([1, 2]), loop_share=0.2)
    stored, loop, blind = (
        run(outputs_of(kept, tmp_path / name), tmp_path / f"{name} scratch")
        for name, kept in {"stored": EVERY, "loop": whole, "blind": part}.items()
    )
    np.testing.assert_allclose(loop.losses, stored.losses, rtol=5e-3)
    assert np.abs(np.array(blind.losses) / np.array(stored.losses) - 1).max() > 0.02  # its means are over fewer


def test_a_resumed_run_with_the_teacher_in_the_loop_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = outputs_of(KeptStates(EVERY.states, "int8", False, np.array([1, 2, 8]), 0.4), tmp_path / "teacher")
    unbroken = run(outputs, tmp_path / "unbroken")
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0.0)
    compute, calls = training_loop.compute_step, 0

    def killed(*values: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 13:
            raise KeyboardInterrupt
        return compute(*values)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "compute_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run(outputs, tmp_path / "broken")
    resumed = run(outputs, tmp_path / "broken")
    assert torch.equal(weights(resumed), weights(unbroken))
    assert resumed.losses == unbroken.losses
