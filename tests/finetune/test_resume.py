"""A killed run goes on, and ends with the same bits as one that was never interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from edgepack import workspace
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.finetune import loop, settings
from edgepack.finetune.loop import Step
from edgepack.finetune.result import FinetuneResult
from edgepack.workspace import Workspace
from tests.finetune.tiny import Files, read_rows, run, weights, write_rows

Unbroken = Callable[..., tuple[FinetuneResult, Path]]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of edgepack may catch it."""


def stop_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Kill the run when it has taken so many steps."""
    taken = 0
    take: Callable[..., Tensor] = Step.take

    def counting(*arguments: Any) -> Tensor:
        nonlocal taken
        if taken == steps:
            raise Killed
        taken += 1
        return take(*arguments)

    patch.setattr(Step, "take", counting)


def kill(files: Files, output: Path, steps: int, **changes: Any) -> None:
    """Fine-tune with a checkpoint after each step, and kill it when it has taken so many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
        stop_after(patch, steps)
        with pytest.raises(Killed):
            run(files, output, **changes)


CHOSEN = {"epochs": None, "learning_rate": 0.02, "patience": 2}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen is a training of at most 160 steps, evaluated every 8."""
    monkeypatch.setattr(settings, "LEAST_STEPS", 48)
    monkeypatch.setattr(settings, "EVALUATE_STEPS", (8, 1_000))


@pytest.fixture(scope="module")
def unbroken(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """A run that nothing interrupts, and its folder; made once for equal settings."""
    kept: dict[str, tuple[FinetuneResult, Path]] = {}

    def whole(**changes: Any) -> tuple[FinetuneResult, Path]:
        key = repr((changes, settings.LEAST_STEPS, settings.EVALUATE_STEPS))
        if key not in kept:
            folder = tmp_path_factory.mktemp("unbroken") / "out"
            kept[key] = run(files, folder, **changes), folder
        return kept[key]

    return whole


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("share", [0.02, 0.5, 0.7, 0.95])
def test_a_killed_run_goes_on_to_the_same_weights(
    files: Files, unbroken: Unbroken, tmp_path: Path, share: float
) -> None:
    """Killed twice: at a share of its steps, and three steps on; before, at and after the rate began to fall."""
    whole, folder = unbroken(**CHOSEN)
    assert 40 < whole.steps < 160  # cut short
    for steps in (int(share * whole.steps), 3):
        kill(files, tmp_path / "out", steps, **CHOSEN)
        assert [entry.name for entry in (tmp_path / "out").iterdir()] == [".edgepack"]
    result = run(files, tmp_path / "out", **CHOSEN)
    assert weights(tmp_path / "out") == weights(folder)
    assert result.history == whole.history
    assert result.kept_step == whole.kept_step
    assert not (tmp_path / "out" / ".edgepack").exists()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_run_killed_in_any_of_its_trials_goes_on(
    files: Files, unbroken: Unbroken, tmp_path: Path, share: float
) -> None:
    options = {"epochs": None, "learning_rate": None, "patience": 2}
    whole, folder = unbroken(**options)
    kill(files, tmp_path / "out", int(share * sum(trial.steps for trial in whole.trials)), **options)
    result = run(files, tmp_path / "out", **options)
    assert weights(tmp_path / "out") == weights(folder)
    assert (result.trials, result.history) == (whole.trials, whole.history)


def test_what_is_done_is_not_done_again(
    files: Files, unbroken: Unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken()  # before training is to stop
    kill(files, tmp_path / "out", 10)
    stop_after(monkeypatch, 6)  # 2 epochs of 64 examples, 8 at a time: 16 steps
    run(files, tmp_path / "out")
    assert weights(tmp_path / "out") == weights(unbroken()[1])


@pytest.mark.parametrize("renames", range(1, 7))
def test_a_kill_inside_a_checkpoint_leaves_a_whole_one(
    files: Files, unbroken: Unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    _, folder = unbroken(epochs=4)
    done = 0

    def replace(source: Path, destination: Path) -> None:
        nonlocal done
        if done == renames:
            raise Killed
        done += 1
        os.rename(source, destination)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
        patch.setattr(os, "replace", replace)
        with pytest.raises(Killed):
            run(files, tmp_path / "out", epochs=4)
    run(files, tmp_path / "out", epochs=4)
    assert weights(tmp_path / "out") == weights(folder)


@pytest.mark.parametrize("content", [b"", b"junk" * 100, None])
def test_a_broken_checkpoint_is_one_line(files: Files, tmp_path: Path, content: bytes | None) -> None:
    """Also one that was cut off (None), as a disk that lost power leaves it."""
    kill(files, tmp_path / "out", 10)
    (path,) = (tmp_path / "out").rglob("training.safetensors")
    path.write_bytes(path.read_bytes()[:3_000] if content is None else content)
    with pytest.raises(InputError, match=r"training is not readable: .*; remove .*, and the same command begins anew"):
        run(files, tmp_path / "out")


def test_other_settings_or_data_begin_anew(files: Files, unbroken: Unbroken, tmp_path: Path) -> None:
    kill(files, tmp_path / "out", 5)
    other = write_rows(tmp_path / "other.tsv", read_rows(files.train)[:70])
    kill(files, tmp_path / "out", 5, train=other)
    assert len(list((tmp_path / "out" / ".edgepack" / "scratch").iterdir())) == 1
    run(files, tmp_path / "out")
    assert weights(tmp_path / "out") == weights(unbroken()[1])


def test_another_evaluation_file_goes_on(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(files, tmp_path / "out", 10)
    evaluation = write_rows(tmp_path / "eval.tsv", read_rows(files.evaluation)[:9])
    stop_after(monkeypatch, 6)
    assert run(files, tmp_path / "out", evaluation=evaluation).n == 9


def test_a_failed_save_leaves_the_workspace_alone(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(workspace, "publish_folder", fail)
        with pytest.raises(OSError, match="disk full"):
            run(files, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".edgepack"]
    stop_after(monkeypatch, 0)  # nothing is left to train
    assert run(files, tmp_path / "out").n == 28


def test_one_at_a_time(files: Files, tmp_path: Path) -> None:
    with Workspace(tmp_path / "out").lock(), pytest.raises(InputError, match="in use by process"):
        run(files, tmp_path / "out")


def test_it_says_where_it_goes_on(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kill(files, tmp_path / "out", 10)
    run(files, tmp_path / "out", console=Console())
    assert "going on after step 10" in capsys.readouterr().err
