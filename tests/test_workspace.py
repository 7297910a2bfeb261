"""What a workspace stands on: hashes that are keys, files and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack import workspace as workspace_module
from edgepack.errors import DiskFull, InputError
from edgepack.workspace import (
    beside_folder,
    hash_json,
    named_output,
    publish_folder,
    sha256_file,
    source_hash,
    write_atomic,
    write_output,
    written_folder,
)
from tests.test_stages import locked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


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


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a place that nobody may write to: Linux's /proc")
@pytest.mark.parametrize("place", ["/proc/absent", "/proc/absent/deeper"])
def test_a_folder_that_the_user_named_is_written_or_refused_in_one_line(place: str) -> None:
    with pytest.raises(InputError) as error, written_folder(Path(place)) as beside:
        beside.mkdir()
    assert str(error.value).startswith(f"output {place} cannot be written: No such file or directory; give a folder")


def test_a_file_that_cannot_be_read_is_not_told_as_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), named_output(tmp_path / "out"):
        (tmp_path / "absent").read_bytes()


def test_a_pipe_takes_the_bytes_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for path in (pipe, link):
        write_output(path, b"data")
        assert os.read(reader, 100) == b"data"
    os.close(reader)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_pipe_that_nobody_reads_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match=r"cannot be written: No such device|is no file that can be written"):
            write_output(path, b"data")
    assert (tmp_path / "pipe").is_fifo()


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
