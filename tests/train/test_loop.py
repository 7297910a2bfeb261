"""The training loop: learns, resumes to the bit, prunes physically; and what a step costs is deterministic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.units import keep_units
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.inference import torch_batch
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train import (
    Course,
    Material,
    Phase,
    Place,
    Progress,
    PruneTarget,
    Schedule,
    StageSettings,
    load_progress,
    make_accelerator,
    save_progress,
    train,
)
from edgepack.train import loop as module
from edgepack.train.state_budget import KeptStates
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs, save_teacher_outputs
from tests.noisy import noisy_student

QUIET = Console(quiet=True)
PHASES = (Phase(1.0, (SoftTargets(), HiddenStates(weight=10.0))),)
SCHEDULE = Schedule(total_steps=60, batch_size=8, peak_lr=2e-3, phases=PHASES)


def make_student(task: str = "text-classification") -> Student:
    config = StudentConfig(
        vocab_size=50,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_heads=[4, 4],
        head_sizes=[8, 8],
        intermediate_sizes=[48, 48],
        max_position_embeddings=16,
        head_act="tanh" if task == "text-classification" else None,
        task=task,
        id2label={0: "a", 1: "b", 2: "c"},
    )
    return noisy_student(config, 0.2)


def make_data(task: str = "text-classification") -> Encoded:
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 13, 64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(offsets[-1])
    labels = generator.integers(0, 3, total if task == "token-classification" else 64)
    if task == "token-classification":
        labels[offsets[:-1]] = -100
    return Encoded(generator.integers(0, 50, total).astype(np.int32), np.zeros(total, np.int8), offsets, labels)


@pytest.fixture(params=["text-classification", "token-classification"])
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def setting(task: str, tmp_path: Path) -> tuple[Student, Encoded, TeacherOutputs]:
    """A teacher, its outputs, and data."""
    teacher, data = make_student(task), make_data(task)
    cpu = torch.device("cpu")
    save_teacher_outputs(teacher, data, KeptStates((0, 1, 2)), tmp_path / "teacher", QUIET, device=cpu, bf16=False)
    return teacher, data, load_teacher_outputs(tmp_path / "teacher", range(2))


def run(
    start: Progress, setting: tuple[Student, Encoded, TeacherOutputs], stage: StageSettings, scratch: Path
) -> Progress:
    _, data, outputs = setting
    place = Place(make_accelerator("cpu"), scratch, QUIET, "test")
    return train(start, Material(data, outputs), Course(SCHEDULE, stage, seed=0), place)


def pruned(teacher: Student) -> Progress:
    half = [torch.arange(2)] * 2, [torch.arange(24)] * 2
    return Progress(keep_units(teacher, *half), {}, 0, [])


def state(progress: Progress) -> dict[str, torch.Tensor]:
    return {**progress.student.state_dict(), **progress.moments}


def same(a: Progress, b: Progress) -> bool:
    first, second = state(a), state(b)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_teacher_outputs_are_the_teachers_own(setting: tuple[Student, Encoded, TeacherOutputs], task: str) -> None:
    teacher, data, outputs = setting
    indices = np.array([5, 60, 17])
    batch = torch_batch(data, indices)
    with torch.no_grad():
        output = teacher(batch["input_ids"], batch["attention_mask"], output_hidden_states=True)
    real = batch["attention_mask"].bool()
    logits = output.logits[real] if task == "token-classification" else output.logits
    torch.testing.assert_close(outputs.batch_logits(data, indices), logits, atol=1e-4, rtol=1e-4)
    expected = torch.stack(output.hidden_states, dim=2) * real[:, :, None, None]
    torch.testing.assert_close(outputs.batch_hidden(data, indices).float(), expected, atol=4e-3, rtol=2e-3)


def test_the_teacher_itself_has_next_to_no_loss_and_half_of_it_learns(
    setting: tuple[Student, Encoded, TeacherOutputs], tmp_path: Path
) -> None:
    teacher = setting[0]
    own = run(Progress(teacher, {}, 0, []), setting, StageSettings(0, 1), tmp_path / "own")
    assert own.losses[0] < 1e-2
    trained = run(pruned(teacher), setting, StageSettings(0, 60), tmp_path / "half")
    assert np.mean(trained.losses[-8:]) < 0.5 * np.mean(trained.losses[:4])


@pytest.mark.parametrize("stage", [StageSettings(0, 60), StageSettings(0, 60, 4, 4)], ids=["full", "rounded"])
def test_a_resumed_run_ends_with_the_same_bits(
    stage: StageSettings,
    setting: tuple[Student, Encoded, TeacherOutputs],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    teacher = setting[0]
    whole = run(pruned(teacher), setting, stage, tmp_path / "whole")
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    interrupt_after(23, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(pruned(teacher), setting, stage, tmp_path / "broken")
    monkeypatch.undo()
    kept = load_progress(tmp_path / "broken" / "checkpoint")
    assert kept is not None
    assert 0 < kept.step < 60
    assert same(run(pruned(teacher), setting, stage, tmp_path / "broken"), whole)


def interrupt_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = module._step, iter(range(steps))

    def step(*arguments: object) -> object:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_step", step)


def test_pruning_ends_at_its_target_and_resumes_to_the_bit(
    setting: tuple[Student, Encoded, TeacherOutputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = StageSettings(0, 60, prune=PruneTarget((1, 3), (10, 48), events=4))
    start = Progress(setting[0], {}, 0, [])
    whole = run(start, setting, stage, tmp_path / "whole")
    assert whole.student.config.num_heads == [1, 3]
    assert whole.student.config.intermediate_sizes == [10, 48]
    assert whole.moments["feed_forward.0.up.full.weight.exp_avg"].shape == (10, 32)
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    interrupt_after(40, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(start, setting, stage, tmp_path / "broken")
    monkeypatch.undo()
    assert same(run(start, setting, stage, tmp_path / "broken"), whole)


def test_two_stages_are_one_run(setting: tuple[Student, Encoded, TeacherOutputs], tmp_path: Path) -> None:
    start = pruned(setting[0])
    whole = run(start, setting, StageSettings(0, 40), tmp_path / "whole")
    first = run(start, setting, StageSettings(0, 17), tmp_path / "first")
    save_progress(first, tmp_path / "handed on")
    handed_on = load_progress(tmp_path / "handed on")
    assert handed_on is not None
    assert same(run(handed_on, setting, StageSettings(17, 40), tmp_path / "second"), whole)


def test_the_callers_student_is_left_alone(setting: tuple[Student, Encoded, TeacherOutputs], tmp_path: Path) -> None:
    start = pruned(setting[0])
    before = {name: tensor.clone() for name, tensor in start.student.state_dict().items()}
    run(start, setting, StageSettings(0, 5, 8, 8), tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in start.student.state_dict().items())
    assert start.step == 0
    assert start.student.config.body_bits == 32


def test_a_checkpoint_set_aside_by_a_kill_is_found(tmp_path: Path) -> None:
    progress = Progress(make_student(), {}, 7, [0.5])
    save_progress(progress, tmp_path / "checkpoint")
    (tmp_path / "checkpoint").rename(tmp_path / ".checkpoint.old")
    found = load_progress(tmp_path / "checkpoint")
    assert found is not None
    assert found.step == 7
    assert load_progress(tmp_path / "nothing") is None


@pytest.mark.parametrize("name", ["progress.safetensors", "progress.json"])
def test_a_broken_checkpoint_is_one_line(tmp_path: Path, name: str) -> None:
    save_progress(Progress(make_student(), {}, 7, [0.5]), tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / name).write_bytes(b"junk")
    with pytest.raises(InputError, match=r"training is not readable: .*; remove it, and the same command trains"):
        load_progress(tmp_path / "checkpoint")


def test_tensors_of_any_layout_are_saved(tmp_path: Path) -> None:
    """The moments of a matrix in two factors lie in memory as a singular value decomposition left the factors."""
    laid_across = torch.arange(6.0).reshape(2, 3).T
    moments, learned = {"a.exp_avg": laid_across}, {"b": laid_across}
    progress = Progress(make_student(), moments, 1, [], learned=learned, hidden_map=laid_across)
    save_progress(progress, tmp_path / "checkpoint")
    found = load_progress(tmp_path / "checkpoint")
    assert found is not None
    assert found.hidden_map is not None
    for tensor in (found.moments["a.exp_avg"], found.learned["b"], found.hidden_map):
        assert torch.equal(tensor, laid_across)


def test_schedule_rises_and_falls_to_zero() -> None:
    rates = [SCHEDULE.learning_rate(step) for step in range(60)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(2e-3, rel=0.05)
    assert 2 <= peak <= 5
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[-1] < 1e-4


def test_cubic_counts_end_at_the_target() -> None:
    goal = replace(PruneTarget((2,), (10,)), events=3)
    counts = [goal.counts(([12], [100]), event) for event in (1, 2, 3)]
    assert counts == [([5], [37]), ([2], [13]), ([2], [10])]


def test_a_student_with_fewer_layers_is_matched_with_the_layers_it_came_from(tmp_path: Path) -> None:
    teacher, data = make_student(), make_data()
    save_teacher_outputs(teacher, data, KeptStates((0, 2)), tmp_path, QUIET, device=torch.device("cpu"), bf16=False)
    outputs = load_teacher_outputs(tmp_path, [1])
    assert [student for student, _ in outputs.pairs] == [0, 1]
    batch = torch_batch(data, [3])
    with torch.no_grad():
        states = teacher(batch["input_ids"], batch["attention_mask"], output_hidden_states=True).hidden_states
    expected = torch.stack([states[0], states[2]], dim=2)
    torch.testing.assert_close(outputs.batch_hidden(data, np.array([3])).float(), expected, atol=4e-3, rtol=2e-3)
