"""Phases: each with its losses, and what these learn is trained, kept in checkpoints and dropped at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap, initial_mixture
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.units import keep_units
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train import (
    Course,
    Material,
    Phase,
    Place,
    Progress,
    Schedule,
    StageSettings,
    load_progress,
    loop,
    make_accelerator,
    train,
    training_record,
    write_result,
)
from edgepack.train.state_budget import KeptStates
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs, save_teacher_outputs
from edgepack.workspace import Workspace
from tests.noisy import noisy_student

STEPS = 20
PHASES = (Phase(0.4, (LearnedMap(),)), Phase(1.0, (SoftTargets(), LearnedMap(weight=3.0), HiddenStates(weight=2.0))))
SCHEDULE = Schedule(STEPS, 8, 2e-3, phases=PHASES)


def make_student() -> Student:
    config = StudentConfig(
        vocab_size=30,
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=2,
        num_heads=[4, 4],
        head_sizes=[4, 4],
        intermediate_sizes=[24, 24],
        max_position_embeddings=16,
        head_act="tanh",
        task="text-classification",
        id2label={0: "a", 1: "b"},
    )
    return noisy_student(config, 0.2)


@pytest.fixture(scope="module")
def data() -> Encoded:
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 13, 32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(offsets[-1])
    ids = generator.integers(0, 30, total).astype(np.int32)
    return Encoded(ids, np.zeros(total, np.int8), offsets, generator.integers(0, 2, 32))


@pytest.fixture(scope="module")
def outputs(data: Encoded, tmp_path_factory: pytest.TempPathFactory) -> TeacherOutputs:
    folder = tmp_path_factory.mktemp("teacher")
    save_teacher_outputs(
        make_student(),
        data,
        KeptStates((0, 1, 2)),
        folder,
        Console(quiet=True),
        device=torch.device("cpu"),
        bf16=False,
    )
    return load_teacher_outputs(folder, range(2))


def run(data: Encoded, outputs: TeacherOutputs, scratch: Path, *, start: Progress | None = None, last: int) -> Progress:
    """From a student of half the teacher's heads and units."""
    half = keep_units(make_student(), [torch.arange(2)] * 2, [torch.arange(12)] * 2)
    start = start or Progress(half, {}, 0, [])
    course = Course(SCHEDULE, StageSettings(start.step, last), seed=0)
    place = Place(make_accelerator("cpu"), scratch, Console(quiet=True), "test")
    return train(start, Material(data, outputs), course, place)


def test_learned_maps_belong_to_their_phase_and_go_at_the_end(
    data: Encoded, outputs: TeacherOutputs, tmp_path: Path
) -> None:
    first = run(data, outputs, tmp_path / "first", last=5)
    (name,) = first.learned
    assert name.startswith("0.0.")
    assert first.moments[f"learned.{name}.exp_avg"].abs().sum() > 0
    second = run(data, outputs, tmp_path / "second", start=first, last=12)
    (name,) = second.learned
    assert name.startswith("1.1.")
    assert not any(key.startswith("learned.0.") for key in second.moments)
    end = run(data, outputs, tmp_path / "end", start=second, last=STEPS)
    assert not end.learned
    assert not any(key.startswith("learned.") for key in end.moments)


def test_what_joins_in_a_later_phase_starts_with_fresh_moments_and_steps(
    data: Encoded, outputs: TeacherOutputs, tmp_path: Path
) -> None:
    """The second phase's map, and the head, which the first phase's loss does not reach."""
    first = run(data, outputs, tmp_path / "first", last=8)
    assert first.moments["head.classifier.weight.step"] == 0
    assert first.moments["attention.0.query.full.weight.step"] == 8
    (learned,) = run(data, outputs, tmp_path / "one", last=9).learned
    for last, steps in ((9, 1), (12, 4)):
        end = run(data, outputs, tmp_path / f"{last}", last=last)
        assert end.moments[f"learned.{learned}.step"] == steps
        assert end.moments["head.classifier.weight.step"] == steps
        assert end.moments["attention.0.query.full.weight.step"] == last
    one = run(data, outputs, tmp_path / "one", last=9)
    rate, moved = SCHEDULE.learning_rate(8), one.learned[learned] - initial_mixture(3, 3, LearnedMap().sharpness)
    # Adam's first step is as long as the rate where there is a gradient; without its correction it would be 0.7 of that
    assert float(moved.abs().max()) == pytest.approx(rate, rel=0.02)


def test_how_often_gradients_are_cut_is_counted_and_recorded(
    data: Encoded, outputs: TeacherOutputs, tmp_path: Path
) -> None:
    for number, (clip_norm, share) in enumerate(((1e-6, 1.0), (1e9, 0.0), (0.0, 0.0))):
        start = Progress(keep_units(make_student(), [torch.arange(2)] * 2, [torch.arange(12)] * 2), {}, 0, [])
        course = Course(replace(SCHEDULE, clip_norm=clip_norm), StageSettings(0, 5), seed=0)
        workspace = Workspace(tmp_path / f"{number}")
        stage = workspace.stage("distil", {})
        place = Place(make_accelerator("cpu"), stage.scratch, Console(quiet=True), "distil")
        end = train(start, Material(data, outputs), course, place)
        write_result(stage, end)
        stage.finish()
        assert training_record(stage) == {"steps": 5, "clipped": share}
    carved = Workspace(tmp_path / "carved").stage("carve", {})
    (carved.scratch / "stage.json").write_text("{}")  # by a build that was killed when it had made the result
    write_result(carved, start)
    assert [path.name for path in carved.scratch.iterdir()] == ["result"]
    carved.finish()
    assert training_record(carved) == {}
    bundle = Workspace(tmp_path / "bundle").stage("bundle", {})
    (bundle.scratch / "file").write_text("")
    bundle.finish()
    assert training_record(bundle) == {}


def test_learned_maps_are_trained(data: Encoded, outputs: TeacherOutputs, tmp_path: Path) -> None:
    early = run(data, outputs, tmp_path / "early", last=1)
    later = run(data, outputs, tmp_path / "later", last=6)
    (name,) = early.learned
    assert not torch.equal(early.learned[name], later.learned[name])


@pytest.mark.parametrize("steps", [4, 13])
def test_a_resumed_run_has_the_same_bits_in_every_phase(
    steps: int, data: Encoded, outputs: TeacherOutputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(data, outputs, tmp_path / "whole", last=STEPS)
    original, calls = loop._step, iter(range(steps))

    def interrupted(*arguments: object) -> object:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(data, outputs, tmp_path / "broken", last=STEPS)
    monkeypatch.undo()
    kept = load_progress(tmp_path / "broken" / "checkpoint")
    assert kept is not None
    assert kept.learned
    assert kept.step < STEPS
    resumed = run(data, outputs, tmp_path / "broken", last=STEPS)
    assert resumed.losses == whole.losses
    assert all(torch.equal(t, resumed.student.state_dict()[n]) for n, t in whole.student.state_dict().items())
    assert all(torch.equal(t, resumed.moments[n]) for n, t in whole.moments.items())


def test_a_phase_without_predictions_leaves_the_head_alone(
    data: Encoded, outputs: TeacherOutputs, tmp_path: Path
) -> None:
    start = keep_units(make_student(), [torch.arange(2)] * 2, [torch.arange(12)] * 2)
    first = run(data, outputs, tmp_path / "a", start=Progress(start, {}, 0, []), last=8)
    assert torch.equal(first.student.head.classifier.weight, start.head.classifier.weight)
    whole = run(data, outputs, tmp_path / "b", last=12)
    assert not torch.equal(whole.student.head.classifier.weight, start.head.classifier.weight)


def test_a_steps_phase() -> None:
    assert SCHEDULE.phase_ends() == [8, 20]
    assert [SCHEDULE.phase_index(step) for step in (0, 7, 8, 19, 20)] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("ends", [(), (0.5,), (0.5, 0.5, 1.0), (0.0, 1.0), (0.7, 0.3, 1.0)])
def test_phases_that_do_not_cover_the_training_are_refused(ends: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="phases end at"):
        Schedule(10, 8, 1e-3, phases=tuple(Phase(end, (SoftTargets(),)) for end in ends))
