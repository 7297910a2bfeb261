"""Workspaces: keys, atomic results, resuming after a SIGKILL, one build at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack import workspace as workspace_module
from edgepack.errors import DiskFull, InputError
from edgepack.workspace import (
    Workspace,
    beside_folder,
    hash_json,
    publish_folder,
    sha256_file,
    source_hash,
    write_atomic,
    write_output,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
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


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_the_order_of_keys_does_not_change_a_hash(parts: dict[str, Any]) -> None:
    assert hash_json(parts) == hash_json(dict(reversed(parts.items())))


@given(JSON, JSON)
def test_different_values_have_different_hashes(one: Any, other: Any) -> None:
    assert (hash_json(one) == hash_json(other)) == (repr_json(one) == repr_json(other))


def repr_json(value: Any) -> str:
    """A text that is equal exactly when JSON values are, dicts sorted (1, 1.0 and True are three values)."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{k!r}:{repr_json(value[k])}" for k in sorted(value)) + "}"
    return "[" + ",".join(map(repr_json, value)) + "]" if isinstance(value, list) else repr(value)


def test_hash_of_known_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    for chunk in (1, 2, 3, 1 << 20):
        monkeypatch.setattr(workspace_module, "READ_CHUNK", chunk)
        assert sha256_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_hash_of_known_json() -> None:
    """Keys of stages are made of it: another spelling would forget every finished stage."""
    assert hash_json({"b": 1, "a": [1.5, "é"]}) == hashlib.sha256(rb'{"a":[1.5,"\u00e9"],"b":1}').hexdigest()


def test_the_sources_hash_is_of_every_python_file_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_module, "__file__", str(tmp_path / "workspace.py"))
    (tmp_path / "room").mkdir()
    for name in ("workspace.py", "room/b.py", "room/notes.txt"):
        (tmp_path / name).write_text(name)
    files = ("room/b.py", "workspace.py")
    assert source_hash() == hash_json({name: sha256_file(tmp_path / name) for name in files})


def test_nan_is_no_key() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        hash_json({"x": float("nan")})


@given(st.lists(st.binary(max_size=64), min_size=1, max_size=4))
def test_write_atomic_leaves_the_last_bytes_and_nothing_else(tmp_path_factory: Any, writes: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("atomic")
    for data in writes:
        write_atomic(folder / "f", data)
    assert (folder / "f").read_bytes() == writes[-1]
    assert [path.name for path in folder.iterdir()] == ["f"]


def test_a_failed_write_leaves_the_old_file_and_no_scrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "f", b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Bad file"):
        write_atomic(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_file_that_the_user_named_is_written_or_refused_in_one_line(tmp_path: Path) -> None:
    write_output(tmp_path / "f", b"data")
    assert (tmp_path / "f").read_bytes() == b"data"
    path = tmp_path / "absent" / "f"
    with pytest.raises(InputError) as error:
        write_output(path, b"data")
    assert str(error.value) == (
        f"{path} cannot be written: No such file or directory; give a file in a folder that exists"
    )


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced to the disk and what is renamed, in this order."""
    done: list[str] = []
    opened: dict[int, str] = {}
    real_open, real_sync, real_rename, real_replace = os.open, os.fsync, os.rename, os.replace

    def open_(path: Path, *mode: Any) -> int:
        descriptor = real_open(path, *mode)
        opened[descriptor] = path.relative_to(tmp_path).as_posix()
        return descriptor

    def fsync(descriptor: int) -> None:
        done.append(f"sync {opened.get(descriptor, 'a file')}")
        real_sync(descriptor)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", lambda old, new: done.append(f"rename to {new.name}") or real_rename(old, new))
    monkeypatch.setattr(os, "replace", lambda old, new: done.append(f"replace {new.name}") or real_replace(old, new))
    return done


def test_a_file_is_on_the_disk_before_it_takes_its_place_and_the_place_after(tmp_path: Path, done: list[str]) -> None:
    write_atomic(tmp_path / "f", b"data")
    assert done == ["sync a file", "replace f", "sync ."]


def test_a_folder_is_on_the_disk_before_it_is_renamed_and_the_rename_after(tmp_path: Path, done: list[str]) -> None:
    (tmp_path / "new" / "sub").mkdir(parents=True)
    (tmp_path / "new" / "sub" / "file").write_text("x")
    publish_folder(tmp_path / "new", tmp_path / "out")
    assert done == ["sync new/sub", "sync new/sub/file", "sync new", "rename to out", "sync ."]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "kept").write_text("x")

    (tmp_path / "new").mkdir()
    rename = os.rename

    def fail(old: Path, new: Path) -> None:
        if old == tmp_path / "new":
            raise OSError(errno.EBUSY, "Device or resource busy")
        rename(old, new)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="busy"):
        publish_folder(tmp_path / "new", tmp_path / "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["kept"]


@pytest.mark.parametrize("there", [True, False])
def test_what_killed_processes_left_beside_a_folder_is_removed(tmp_path: Path, there: bool) -> None:
    """Not what another folder's left, and not the old folder where it is all that is left."""
    destination = tmp_path / "a.b"
    if there:
        destination.mkdir()
    stale, others = (
        [".a.b.1.tmp", ".a.b.22.old"],
        [".axb.1.tmp", ".a.b.x.tmp", ".a.b.1.new", "a.b.1.tmp", ".a.b.1.tmp2"],
    )
    for name in (*stale, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    assert beside_folder(destination) == tmp_path / f".a.b.{os.getpid()}.tmp"
    left = {path.name for path in tmp_path.iterdir()} - {"a.b"}
    assert left == {*others, *([] if there else [".a.b.22.old"])}


def test_what_cannot_be_removed_beside_a_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".out.1.tmp").mkdir()
    (tmp_path / ".out.1.tmp" / "file").write_text("x")
    monkeypatch.setattr(os, "unlink", locked)
    assert beside_folder(tmp_path / "out").name == f".out.{os.getpid()}.tmp"
    assert [path.name for path in tmp_path.iterdir()] == [".out.1.tmp"]


def test_publish_replaces_a_folder_whole(tmp_path: Path) -> None:
    for name, file in (("old", "gone"), ("new", "kept")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(name)
    publish_folder(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["kept"]


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
    for name in ("stage.json", "sub/stage.json", "x"):
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


def test_a_disk_without_room_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        assert path == tmp_path / f".model.{os.getpid()}.tmp"  # no other process writes there
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    (tmp_path / "model").write_bytes(b"old")
    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(shutil, "disk_usage", {tmp_path: SimpleNamespace(free=12_000)}.__getitem__)
    with pytest.raises(DiskFull) as error:
        write_atomic(tmp_path / "model", bytes(2_500_000))
    assert str(error.value) == (
        f"{tmp_path / 'model'} takes 2.5 MB, and its disk has 12.0 kB free; make room, then give the same command again"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_bytes() == b"old"
