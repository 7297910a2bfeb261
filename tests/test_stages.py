"""Stages of a workspace: found by their key, atomic, damaged, killed, forgotten; one build at a time."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import InputError
from edgepack.workspace import (
    Workspace,
    hash_json,
    sha256_file,
)


def start(code: str, root: Path) -> subprocess.Popen[str]:
    """A process that runs `code` with `root` and `Workspace` at hand, and says `ready` when it got there."""
    prelude = (
        "import sys, time\nfrom pathlib import Path\nfrom edgepack.workspace import Workspace\n"
        "root = Path(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", prelude + code, str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def locked(path: str, **_: Any) -> None:
    """Of a folder that one may not write to."""
    raise PermissionError(errno.EACCES, "Permission denied", path)


def test_a_finished_stage_is_found_again_and_only_by_its_key(tmp_path: Path) -> None:
    stage = Workspace(tmp_path / "out").stage("distil", {"seed": 1})
    assert not stage.done
    (stage.scratch / "sub").mkdir()
    (stage.scratch / "sub" / "weights").write_bytes(b"w")
    stage.finish()
    again = Workspace(tmp_path / "out").stage("distil", {"seed": 1})
    assert again.done
    assert (again.folder / "sub" / "weights").read_bytes() == b"w"
    assert again.record.files == {"sub/weights": {"bytes": 1, "sha256": sha256_file(again.folder / "sub" / "weights")}}
    assert again.record.key_parts == {"seed": 1}
    key = hash_json({"stage": "distil", "parts": {"seed": 1}})
    assert (again.name, again.key, again.record.stage, again.record.key) == ("distil", key, "distil", key)
    assert again.folder == tmp_path / "out" / ".edgepack" / "stages" / f"distil-{key[:16]}"
    assert again.scratch == tmp_path / "out" / ".edgepack" / "scratch" / f"distil-{key[:16]}"
    assert not Workspace(tmp_path / "out").stage("distil", {"seed": 2}).done
    assert not Workspace(tmp_path / "out").stage("prune", {"seed": 1}).done


def test_the_record_of_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 101.23456])
    monkeypatch.setattr("edgepack.workspace.time.monotonic", lambda: next(clock))
    stage = Workspace(tmp_path).stage("plan", {"b": 1, "a": [2]})
    (stage.scratch / "sub").mkdir()
    for name in ("stage.json", ".stage.json.7.tmp", "sub/stage.json", "x"):  # two of them of a run that was killed
        (stage.scratch / name).write_text("x")
    entry = {"bytes": 1, "sha256": sha256_file(stage.scratch / "x")}
    record = stage.finish()
    document = {
        "stage": "plan",
        "key": stage.key,
        "key_parts": {"b": 1, "a": [2]},
        "seconds": 1.235,
        "files": {"sub/stage.json": entry, "x": entry},
        "dropped": [],
    }
    assert vars(record) == document
    assert (stage.folder / "stage.json").read_text() == json.dumps(document, indent=2)
    assert stage.record == record


def test_a_dropped_file_is_gone_and_the_stage_still_finished(tmp_path: Path) -> None:
    stage = Workspace(tmp_path).stage("teacher", {})
    for name in ("hidden", "logits"):
        (stage.scratch / name).write_text(name)
    stage.finish()
    for _ in range(2):  # a second time finds nothing to do
        stage.drop("hidden")
        assert stage.done
        assert sorted(path.name for path in stage.folder.iterdir()) == ["logits", "stage.json"]
        assert (list(stage.record.files), stage.record.dropped) == (["logits"], ["hidden"])
    Workspace(tmp_path).forget(stage.folder.name)
    assert not stage.done


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "weights").unlink(),
        lambda folder: (folder / "one").unlink(),
        lambda folder: (folder / "weights").write_bytes(b"short"),
        lambda folder: (folder / "stage.json").unlink(),
        lambda folder: (folder / "stage.json").write_text(
            (folder / "stage.json").read_text().replace(folder.name.partition("-")[2], "0" * 16)
        ),  # the same first digits of another key
        lambda folder: (folder / "stage.json").write_text('{"stage": "distil"'),
        lambda folder: (folder / "stage.json").write_text("[]"),
    ],
)
def test_a_damaged_stage_is_not_a_result_and_can_be_made_again(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    def make() -> Path:
        stage = Workspace(tmp_path).stage("distil", {})
        (stage.scratch / "one").write_bytes(b"1")
        (stage.scratch / "weights").write_bytes(b"weights")
        stage.finish()
        return stage.folder

    damage(make())
    assert not Workspace(tmp_path).stage("distil", {}).done
    make()
    assert Workspace(tmp_path).stage("distil", {}).done


def make_stages(root: Path) -> dict[str, Any]:
    """A row of finished stages: b and c are made from a, d from c."""
    stages: dict[str, Any] = {}
    for name, key, source in (("a", "after", None), ("b", "after", "a"), ("c", "outputs", "a"), ("d", "after", "c")):
        stage = Workspace(root).stage(name, {key: stages[source].key if source else "inputs", "seed": 1})
        for file in ("small", "large"):
            (stage.scratch / file).write_text(f"{file} of {name}")
        stage.finish()
        stages[name] = stage
    return stages


@pytest.mark.parametrize("damage", ["other bytes", "unreadable"])
def test_damage_that_keeps_the_length_is_seen_when_the_bytes_are_looked_at(tmp_path: Path, damage: str) -> None:
    folder = make_stages(tmp_path)["a"].folder
    if damage == "other bytes":
        (folder / "large").write_text("large of b")
    else:
        (folder / "large").unlink()
        (folder / "large").mkdir()
    again = Workspace(tmp_path).stage("a", {"after": "inputs", "seed": 1})
    assert again.damaged(leave=("large",)) is None
    assert again.damaged() == "large"
    assert Workspace(tmp_path).stage("b", {"after": again.key, "seed": 1}).damaged() is None


def test_a_file_that_was_looked_at_or_left_out_hides_no_damage_of_the_others(tmp_path: Path) -> None:
    stage = make_stages(tmp_path)["a"]
    again = Workspace(tmp_path).stage("a", {"after": "inputs", "seed": 1})
    (stage.folder / "small").write_text("small of b")  # the second by name
    assert again.damaged(leave=("large",)) == "small"
    assert again.damaged() == "small"
    assert again.damaged() == "small"  # the first was looked at


def test_what_this_process_wrote_or_looked_at_is_not_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = make_stages(tmp_path)["a"]
    again = Workspace(tmp_path).stage("a", {"after": "inputs", "seed": 1})
    assert again.damaged() is None
    monkeypatch.setattr("edgepack.workspace.sha256_file", lambda path: pytest.fail(f"read {path}"))
    assert written.damaged() is None
    assert again.damaged() is None


def test_what_was_made_from_a_stage_is_forgotten_with_it(tmp_path: Path) -> None:
    stages = make_stages(tmp_path)
    (tmp_path / ".edgepack" / "stages" / "b-other").mkdir()
    (tmp_path / ".edgepack" / "stages" / "b-other" / "stage.json").write_text("[]")  # damaged: of nobody
    Workspace(tmp_path).forget_after(stages["a"].key)
    assert [stage.done for stage in stages.values()] == [True, False, False, False]
    stages = make_stages(tmp_path)
    Workspace(tmp_path).forget_after(stages["b"].key)
    assert all(stage.done for stage in stages.values())


def test_the_record_of_an_unfinished_stage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        _ = Workspace(tmp_path).stage("plan", {}).record
    assert str(error.value) == "stage plan of this workspace is not finished; run the build again"


def test_after_a_sigkill_the_scratch_is_there_and_no_result(tmp_path: Path) -> None:
    code = (
        "stage = Workspace(root).stage('distil', {'a': 1})\n"
        "(stage.scratch / 'checkpoint').write_text('step 7')\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    kill(start(code, tmp_path / "out"))
    stage = Workspace(tmp_path / "out").stage("distil", {"a": 1})
    assert not stage.done
    assert (stage.scratch / "checkpoint").read_text() == "step 7"


def test_a_sigkill_while_finishing_leaves_no_result(tmp_path: Path) -> None:
    code = (
        "import os\nstage = Workspace(root).stage('distil', {})\n(stage.scratch / 'weights').write_text('w')\n"
        "def hang(*_):\n    print('ready', flush=True)\n    time.sleep(60)\nos.rename = hang\nstage.finish()"
    )
    kill(start(code, tmp_path / "out"))
    stage = Workspace(tmp_path / "out").stage("distil", {})
    assert not stage.done
    stage.finish()
    assert stage.done
    assert (stage.folder / "weights").read_text() == "w"


def test_a_second_build_is_refused_with_the_pid_and_free_after_a_kill(tmp_path: Path) -> None:
    root = tmp_path / "out"
    process = start("with Workspace(root).lock():\n    print('ready', flush=True)\n    time.sleep(60)", root)
    with pytest.raises(InputError, match=f"process {process.pid};"), Workspace(root).lock():
        pytest.fail("two builds hold one workspace")
    kill(process)
    with Workspace(root).lock():
        assert (root / ".edgepack" / "lock").read_text() == f"{os.getpid()}\n"
    with Workspace(root).lock():
        pass


def test_clear_forgets_finished_and_unfinished_stages(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    done, begun = workspace.stage("plan", {}), workspace.stage("distil", {})
    (done.scratch / "x").write_text("x")
    done.finish()
    (begun.scratch / "checkpoint").write_text("x")
    workspace.clear()
    assert list(workspace.home.iterdir()) == []
    workspace.clear()
    assert not workspace.stage("plan", {}).done
    assert list(begun.scratch.iterdir()) == []


def test_folders_that_are_no_workspace_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("x")
    for root, said in (
        (tmp_path, "holds files of something else; give a new or empty folder with -o"),
        (tmp_path / "thesis.docx", "is a file; give a folder that is new, empty or an earlier build's"),
        (tmp_path / "thesis.docx" / "out", "cannot be made: Not a directory; give a folder you may write to"),
    ):
        with pytest.raises(InputError) as error:
            Workspace(root)
        assert str(error.value) == f"output {root} {said}"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_stage_that_cannot_be_forgotten_is_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages, workspace = make_stages(tmp_path), Workspace(tmp_path)
    monkeypatch.setattr(os, "unlink", locked)
    for forget in (workspace.clear, lambda: workspace.forget("b-"), lambda: workspace.forget_after(stages["a"].key)):
        with pytest.raises(PermissionError):
            forget()
