"""A build is a folder: finished stages under content keys, one writer, nothing half-written.

    OUT/.edgepack/lock                     held by the build that runs now; its pid inside
    OUT/.edgepack/scratch/<stage>-<key>/   work in progress; survives a SIGKILL, so checkpoints resume
    OUT/.edgepack/stages/<stage>-<key>/    finished: what the stage made, and stage.json

A key is the sha256 of the canonical JSON of everything that decides a stage's result. The same inputs give
the same key, so a build that is run again finds its finished stages; any change gives another key, so
nothing stale is found. A result appears by one rename of a folder whose files are already on disk
(write beside, fsync, rename), as in Pillai et al. 2014 ("All File Systems Are Not Created Equal").

A finished stage is used again only if its files still have the hashes that they were written with: a disk that gives
other bytes back must not ship them. What was made from a stage that comes out different the second time is forgotten.

The lock is `flock`: the kernel drops it with the process that held it, so the lock of a dead process is
simply free. It is advisory, for one machine, and needs Linux or macOS. Old keys stay until `clear`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgepack.errors import FULL, DiskFull, InputError
from edgepack.parameters import format_size

HIDDEN_FOLDER = ".edgepack"
RECORD_NAME = "stage.json"
KEY_LENGTH = 16  # hex digits in a folder's name; stage.json has the whole key, which is compared
READ_CHUNK = 1 << 20


def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_json(value: Any) -> str:
    """sha256 of canonical JSON (sorted keys, no spaces): the order of a dict's keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def source_hash() -> str:
    """Hash of edgepack's own code: after a change of it every stage runs again."""
    root = Path(__file__).parent
    return hash_json({path.relative_to(root).as_posix(): sha256_file(path) for path in sorted(root.rglob("*.py"))})


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a reader, or a restart after a crash, sees all of it or what was there before."""
    try:
        with written_beside(path) as beside:
            beside.write_bytes(data)
    except OSError as e:
        if e.errno not in FULL:
            raise
        free = format_size(shutil.disk_usage(path.parent).free)
        raise DiskFull(
            f"{path} takes {format_size(len(data))}, and its disk has {free} free; make room, then give the same "
            "command again"
        ) from e


def write_output(path: Path, data: bytes) -> None:
    """Write a file that the user named; `InputError` where it cannot be.

    A device or pipe, such as /dev/null or /dev/stdout, takes the bytes and stays what it is: whoever may write to /dev
    would replace it by a file.
    """
    if not path.name:
        raise InputError(f"{path} names no file; give one")
    try:
        if path.exists() and not path.is_file():
            _write_into(path, data)
        else:
            write_atomic(path, data)
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e.strerror}; give a file in a folder that exists") from e


def _write_into(path: Path, data: bytes) -> None:
    """Hand bytes to a terminal, to /dev/null or to a pipe that is read; `InputError` for a disk or a folder."""
    kind = path.stat().st_mode
    if not (stat.S_ISCHR(kind) or stat.S_ISFIFO(kind)):
        raise InputError(f"{path} is no file that can be written; give a file in a folder that exists")
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # a pipe that nobody reads would wait for ever
    os.set_blocking(descriptor, True)
    with open(descriptor, "wb") as file:
        file.write(data)


def refuse_inside(output: Path, folder: Path, what: str) -> None:
    """`InputError` where `output` is in `folder`, `what` it is, or is `folder` itself."""
    if folder.resolve() in (output.resolve(), *output.resolve().parents):
        raise InputError(f"{output} lies in {what} {folder}, which would not be the same; give another place")


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A hidden sibling to write the file in; after the block it is on the disk and takes `path`'s place at once."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    _sync(path.parent)


def beside_folder(destination: Path) -> Path:
    """A hidden sibling to write a folder in before `publish_folder`; what killed processes left there is removed."""
    ours = re.compile(rf"\.{re.escape(destination.name)}\.\d+\.(tmp|old)")
    for stale in destination.parent.glob(".*"):
        if ours.fullmatch(stale.name) and (destination.exists() or stale.suffix == ".tmp"):  # else .old is all there is
            shutil.rmtree(stale, ignore_errors=True)
    return _beside(destination)


@contextmanager
def written_folder(destination: Path) -> Iterator[Path]:
    """A hidden sibling, not made yet, to write a folder in; after the block it takes `destination`'s place at once.

    A link stays, and what it leads to is replaced. `InputError` where the system lets nothing be written there.
    """
    place = destination.resolve()
    beside = beside_folder(place)
    with named_output(destination):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            publish_folder(beside, place)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def named_output(output: Path) -> Iterator[None]:
    """`InputError` where the system refuses what is written at `output`, a folder; other errors stay what they are."""
    try:
        yield
    except OSError as e:
        if e.errno in FULL or e.filename is None or not _is_written_at(Path(os.fsdecode(e.filename)), output.resolve()):
            raise
        raise InputError(f"output {output} cannot be written: {e.strerror}; give a folder you may write to") from e


def _is_written_at(path: Path, place: Path) -> bool:
    """Whether `path` is `place`, in it, in the hidden sibling that it is written in first, or a folder above."""
    path = path.resolve()
    return place.is_relative_to(path) or any(path.is_relative_to(root) for root in (place, _beside(place)))


def _beside(destination: Path) -> Path:
    """Where this process writes a folder before it is published."""
    return destination.with_name(f".{destination.name}.{os.getpid()}.tmp")


def publish_folder(source: Path, destination: Path) -> None:
    """Rename `source` to `destination` once all that is in it is on disk; what was there before is removed."""
    for path in sorted(source.rglob("*")):
        _sync(path)
    _sync(source)
    if destination.exists():
        old = destination.with_name(f".{destination.name}.{os.getpid()}.old")
        os.rename(destination, old)
        try:
            os.rename(source, destination)
        except OSError:
            os.rename(old, destination)
            raise
        shutil.rmtree(old)
    else:
        os.rename(source, destination)
    _sync(destination.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class StageRecord:
    """The content of stage.json: the key and its parts, seconds of the run that finished it, bytes and sha256 by file.

    `dropped`: files removed because all that needed them is finished.
    """

    stage: str
    key: str
    key_parts: dict[str, Any]
    seconds: float
    files: dict[str, dict[str, Any]]
    dropped: list[str] = field(default_factory=list)


def stage_label(name: str, key: str) -> str:
    """The name of a stage's folder."""
    return f"{name}-{key[:KEY_LENGTH]}"


class Stage:
    """One stage's result under one key: either `done`, with its files in `folder`, or worked on in `scratch`."""

    def __init__(self, home: Path, name: str, key_parts: Mapping[str, Any]) -> None:
        self.name = name
        self.key_parts = dict(key_parts)
        self.key = hash_json({"stage": name, "parts": self.key_parts})
        label = stage_label(name, self.key)
        self.folder = home / "stages" / label
        self._scratch = home / "scratch" / label
        self._started = time.monotonic()
        self._sound: set[str] = set()  # files that this process wrote, or has looked at

    @property
    def scratch(self) -> Path:
        """The folder to work in, made when first asked for; the same path each time this key is worked on."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    @property
    def done(self) -> bool:
        """Whether a finished result is there, with each recorded file at its recorded length."""
        record = self._read_record()
        if record is None or record.key != self.key:
            return False
        return all(_length(self.folder / name) == entry["bytes"] for name, entry in record.files.items())

    def damaged(self, leave: Collection[str] = ()) -> str | None:
        """The first file of the finished result that has other bytes than were written; None where all are the same.

        `leave`: files that are not looked at, because whoever reads them looks then.
        """
        for name, entry in self.record.files.items():
            if name in self._sound or name in leave:
                continue
            if not _has_sha256(self.folder / name, entry["sha256"]):
                return name
            self._sound.add(name)
        return None

    @property
    def record(self) -> StageRecord:
        """The record of a finished stage."""
        record = self._read_record()
        if record is None:
            raise InputError(f"stage {self.name} of this workspace is not finished; run the build again")
        return record

    def finish(self) -> StageRecord:
        """Turn all that is in `scratch` into the finished result (remove checkpoints first)."""
        for left in self.scratch.glob(f"*{RECORD_NAME}*"):  # by a run that was killed in here
            left.unlink()
        files = {
            path.relative_to(self.scratch).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in sorted(self.scratch.rglob("*"))
            if path.is_file()
        }
        seconds = round(time.monotonic() - self._started, 3)
        record = StageRecord(self.name, self.key, self.key_parts, seconds, files)
        self._write_record(self.scratch, record)
        self.folder.parent.mkdir(exist_ok=True)
        publish_folder(self.scratch, self.folder)
        self._sound.update(files)
        return record

    def drop(self, name: str) -> None:
        """Remove one file of the finished result that nothing needs any more; it still counts as finished."""
        record = self.record
        if name in record.files:
            files = {other: entry for other, entry in record.files.items() if other != name}
            self._write_record(self.folder, replace(record, files=files, dropped=[*record.dropped, name]))
            (self.folder / name).unlink()

    def _write_record(self, folder: Path, record: StageRecord) -> None:
        write_atomic(folder / RECORD_NAME, json.dumps(record.__dict__, indent=2).encode())

    def _read_record(self) -> StageRecord | None:
        try:
            return StageRecord(**json.loads((self.folder / RECORD_NAME).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None  # absent or damaged: not a result


def _has_sha256(path: Path, sha256: str) -> bool:
    try:
        return sha256_file(path) == sha256
    except OSError:
        return False  # a disk that does not give it back


def _length(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def refuse_other_files(root: Path) -> None:
    """`InputError` where the folder can be no build's output: it is a file, or holds files of something else."""
    if root.exists() and not root.is_dir():
        raise InputError(f"output {root} is a file; give a folder that is new, empty or an earlier build's")
    if root.is_dir() and not (root / HIDDEN_FOLDER).exists() and any(root.iterdir()):
        raise InputError(f"output {root} holds files of something else; give a new or empty folder with -o")


class Workspace:
    """The output folder of a build. Refuses a folder that holds other things."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.home = self.root / HIDDEN_FOLDER
        refuse_other_files(self.root)
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise InputError(f"output {self.root} cannot be made: {e.strerror}; give a folder you may write to") from e

    def stage(self, name: str, key_parts: Mapping[str, Any]) -> Stage:
        """The stage `name` for these inputs; `key_parts` is JSON-able and holds all that decides the result."""
        return Stage(self.home, name, key_parts)

    def clear(self) -> None:
        """Forget every stage, finished or not (`--fresh`)."""
        for folder in (self.home / "stages", self.home / "scratch"):
            if folder.exists():
                shutil.rmtree(folder)

    def forget(self, prefix: str) -> None:
        """Forget the finished stages whose names begin with `prefix`."""
        for folder in (self.home / "stages").glob(f"{prefix}*"):
            shutil.rmtree(folder)

    def forget_after(self, key: str) -> None:
        """Forget every finished stage that was made from the stage of this key, directly or through others."""
        for path in sorted((self.home / "stages").glob(f"*/{RECORD_NAME}")):
            try:
                record = json.loads(path.read_bytes())
                made_from, own = set(map(str, record["key_parts"].values())), str(record["key"])
            except (OSError, ValueError, LookupError, AttributeError, TypeError):
                continue  # damaged, or forgotten a moment ago: not a result
            if key in made_from:
                shutil.rmtree(path.parent)  # an error ends the build: what stays would be taken for a result
                self.forget_after(own)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for this process; `InputError` naming the pid when another build has it."""
        with (self.home / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as e:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise InputError(
                    f"output {self.root} is in use by process {holder}; wait for it, stop it, or give another folder"
                ) from e
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
