"""Where a sweep's results are: a folder, or shared storage by its URL through fsspec.

A file at a URL is there or not, but a folder is not renamed into place as on a disk. So what says that a folder is
whole is written last: a stage's record, a build's result.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from edgepack.errors import InputError, reason, shown
from edgepack.machine.extras import import_package
from edgepack.workspace import RECORD_NAME, write_atomic


class Storage:
    """The output of a sweep; names are paths in it, with `/`."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") if is_url(root) else root
        self.local = None if is_url(root) else Path(root)
        self._files: Any = None

    @property
    def files(self) -> Any:
        """fsspec's file system of the URL, and the place in it."""
        if self._files is None:
            fsspec = import_package("fsspec.core", f"output {self.root}")
            try:
                self._files = fsspec.url_to_fs(self.root)
            except (ValueError, ImportError) as e:
                raise InputError(
                    f"output is {shown(self.root)}, which fsspec does not open: {reason(e)}; give a folder, or install "
                    "what it names"
                ) from e
        return self._files

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where it is not there."""
        try:
            if self.local is not None:
                return (self.local / name).read_bytes()
            system, root = self.files
            content: bytes = system.cat_file(f"{root}/{name}")
            return content
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Put a whole file there."""
        if self.local is not None:
            (self.local / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.local / name, data)
            return
        system, root = self.files
        system.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        system.pipe_file(f"{root}/{name}", data)

    def put_folder(self, folder: Path, name: str) -> None:
        """Copy a folder's files to a URL, `stage.json` and hidden parts as last and not at all."""
        system, root = self.files
        files = [path for path in folder.rglob("*") if path.is_file() and not _hidden(path.relative_to(folder))]
        for path in sorted(files, key=lambda path: path.name == RECORD_NAME):
            there = f"{root}/{name}/{path.relative_to(folder).as_posix()}"
            system.makedirs(there.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), there)

    def get_stages(self, name: str, folder: Path) -> None:
        """Copy the whole stages of a folder at a URL into `folder`."""
        system, root = self.files
        system.invalidate_cache()
        for record in system.glob(f"{root}/{name}/*/{RECORD_NAME}"):
            there = str(record).rpartition("/")[0]
            for path in system.find(there):
                here = folder / there.rpartition("/")[2] / str(path).removeprefix(f"{there}/")
                here.parent.mkdir(parents=True, exist_ok=True)
                system.get_file(path, str(here))

    def remove(self, name: str) -> None:
        """Remove a folder, if it is there."""
        if self.local is not None:
            shutil.rmtree(self.local / name, ignore_errors=True)
            return
        system, root = self.files
        if system.exists(f"{root}/{name}"):
            system.rm(f"{root}/{name}", recursive=True)


def is_url(place: str) -> bool:
    """Whether a place is named by a URL."""
    return "://" in place


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
