"""Finished runs on disk: one small JSON document each, so that a benchmark resumes where it was stopped.

    benchmarks/results/<name>/<key>.json

A key is made of words that a person reads (task, budget, effort, variant, seed). A document appears by one rename of
a file that is already on disk, so a killed benchmark leaves whole results or none. Documents hold no machine's name
and no path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from edgepack.bundle.manifest import read_model, write_model
from edgepack.errors import InputError

RESULTS = Path(__file__).resolve().parent / "results"
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SUFFIX = ".json"

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Store:
    """The results of one benchmark."""

    folder: Path

    def path(self, key: str) -> Path:
        """Where the result of a key stands; `InputError` for a key that is no plain file name."""
        if not KEY.fullmatch(key):
            raise InputError(f"key {key!r} is not a result's name; use letters, digits, '.', '_' and '-'")
        return self.folder / f"{key}{SUFFIX}"

    def has(self, key: str) -> bool:
        """Whether the run is finished."""
        return self.path(key).is_file()

    def keys(self) -> list[str]:
        """The keys of all finished runs, sorted."""
        return sorted(p.name.removesuffix(SUFFIX) for p in self.folder.glob(f"[!.]*{SUFFIX}"))

    def save(self, key: str, result: BaseModel) -> None:
        """Keep a result: written to a temporary file, fsynced, renamed; an earlier one of the same key is replaced."""
        path = self.path(key)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_model(path, result)

    def load(self, key: str, kind: type[Model]) -> Model:
        """A result; `InputError` naming the file if it is missing or not of this kind."""
        path = self.path(key)
        if not path.is_file():
            raise InputError(f"no result {key!r} in {self.folder.name}; run the benchmark first")
        return read_model(path, kind)

    def load_all(self, kind: type[Model]) -> dict[str, Model]:
        """All results by key, in the keys' order."""
        return {key: self.load(key, kind) for key in self.keys()}

    def forget(self, patterns: Sequence[str]) -> list[str]:
        """Drop the results whose keys match shell patterns (`sst2-*`); `InputError` for a pattern that matches none."""
        known, dropped = self.keys(), set()
        for pattern in patterns:
            found = [key for key in known if fnmatchcase(key, pattern)]
            if not found:
                raise InputError(f"--again {pattern}: no such result; there are: {', '.join(known) or 'none'}")
            dropped.update(found)
        for key in dropped:
            self.path(key).unlink(missing_ok=True)
        return sorted(dropped)
