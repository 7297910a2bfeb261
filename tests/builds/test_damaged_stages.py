"""Finished stages whose bytes a disk changed: made again and said so, or refused; never published."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepack.build.flow import build as run_build
from edgepack.build.single_stage import bundle_output, validate_output
from edgepack.build.stage_results import is_usable, make_stage
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.workspace import Stage, Workspace
from tests.builds.tiny import QUIET, Files, hashes, request


class Listening(Console):
    """Keeps what it is told to warn of."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def copy(unbroken: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(unbroken, tmp_path / "out")
    yield tmp_path / "out"
    shutil.rmtree(tmp_path / "out")


def damage(output: Path, pattern: str) -> str:
    """Change bytes in the middle of a stage's file; the line that must be said."""
    (path,) = (output / ".edgepack" / "stages").glob(pattern)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(255 - byte for byte in data[middle : middle + 8])
    path.write_bytes(data)
    stages = output / ".edgepack" / "stages"
    name = path.relative_to(stages).parts[0].rpartition("-")[0]
    file = path.relative_to(stages / path.relative_to(stages).parts[0]).as_posix()
    return f"stage {name} is damaged: {file} is not what was written; it is made again"


@pytest.mark.parametrize(
    "pattern",
    [
        "export-android-onnx-*/onnx/*.onnx",
        "export-android-torchscript-*/operators.json",
        "validate-android-onnx-*/verdict.json",
        "quantize-*/result/progress.safetensors",
        "teacher-*/logits.npy",
    ],
)
def test_a_build_makes_a_damaged_stage_again(files: Files, unbroken: Path, copy: Path, pattern: str) -> None:
    said, console = damage(copy, pattern), Listening()
    assert run_build(request(files, copy), console).passed
    assert console.warnings.count(said) == 1
    assert {warning for warning in console.warnings if "damaged" in warning} == {said}
    assert hashes(copy) == hashes(unbroken)


@pytest.mark.parametrize("command", [bundle_output, validate_output])
def test_commands_that_train_nothing_make_an_artifact_again(unbroken: Path, copy: Path, command: object) -> None:
    said, console = damage(copy, "export-android-onnx-*/onnx/*.onnx"), Listening()
    assert command(copy, console).passed  # type: ignore[operator]
    assert said in console.warnings
    assert hashes(copy) == hashes(unbroken)


@pytest.mark.parametrize("command", [bundle_output, validate_output])
def test_commands_that_train_nothing_refuse_a_damaged_student(copy: Path, command: object) -> None:
    damage(copy, "quantize-*/result/progress.safetensors")
    with pytest.raises(InputError, match="stage quantize is damaged; run `edgepack build` again"):
        command(copy, QUIET)  # type: ignore[operator]


def test_damaged_hidden_states_are_seen_before_training_reads_them(files: Files, unbroken: Path, copy: Path) -> None:
    stages = copy / ".edgepack" / "stages"
    shutil.rmtree(next(stages.glob("quantize-*")))
    run_build(request(files, copy, keep_states=True), QUIET)
    shutil.rmtree(next(stages.glob("quantize-*")))
    said, console = damage(copy, "teacher-*/hidden.npy"), Listening()
    assert run_build(request(files, copy), console).passed
    assert said in console.warnings
    assert hashes(copy) == hashes(unbroken)


def written(workspace: Workspace, name: str, after: str, text: str) -> Stage:
    """The finished stage, made again where its bytes are not `text`'s any more."""
    stage = workspace.stage(name, {"after": after})
    if not is_usable(stage, QUIET):
        make_stage(stage, lambda s: (s.scratch / "file").write_text(text) and None, workspace)
    return stage


def test_a_stage_that_comes_out_different_takes_along_what_was_made_from_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    first = written(workspace, "distil", "", "one")
    second = written(workspace, "export", first.key, "made from one")
    (first.folder / "file").write_text("eno")
    written(workspace, "distil", "", "one")
    assert second.done
    (first.folder / "file").write_text("eno")
    written(workspace, "distil", "", "two")
    assert not second.done
