"""A checkpoint's tensors by the names that transformers gives them, in fp32, each read when it is asked for.

fp32 tensors of safetensors are views of the file: their pages are the system's, which drops them when it needs memory
and reads them again, so a teacher of any size takes none for good. Others have to be converted. Where the whole
teacher in fp32 would take more than `SHARE` of the memory that is free, each converted tensor is written to a file of
its own in the temporary folder and is a view of that: the same numbers in memory that the system can take back too.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from edgepack.errors import DiskFull
from edgepack.machine.memory import free_memory
from edgepack.parameters import format_size
from edgepack.teacher.checkpoint import Checkpoint
from edgepack.teacher.weight_names import StoredWeights, plain_name, read_names, weight_files

SHARE = 0.5  # of free memory that converted weights may take: the rest is for a build's own work
FP32 = 4  # bytes


@dataclass(frozen=True, eq=False)
class FileTensors(Mapping[str, Tensor]):
    """`places`: a file and the name there, by name. `aside`: whether converted tensors are views of temporary files.

    `bytes`: of all in fp32; `converted`: of those that are stored otherwise, or in a pickle.
    """

    places: Mapping[str, tuple[Path, str]]
    bytes: int
    converted: int
    free: int
    _opened: dict[Path, Any] = field(default_factory=dict)
    _written: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def mapped(self) -> bool:
        """Whether tensors can be read one at a time: a pickle of before torch 1.6 is read as a whole."""
        files = {file for file, _ in self.places.values()}
        return all(file.suffix == ".safetensors" or zipfile.is_zipfile(file) for file in files)

    @property
    def aside(self) -> bool:
        """Whether converted tensors lie in temporary files."""
        return self.mapped and self.converted > SHARE * self.free

    def __getitem__(self, name: str) -> Tensor:
        if name in self._written:
            return self._written[name]
        tensor = self._stored(*self.places[name])
        if self.aside and tensor.dtype != torch.float32:
            self._written[name] = _written(tensor, self.converted)
            return self._written[name]
        return tensor.float()

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def opened(self) -> FileTensors:
        """The same, to read from now: its maps of the files go with it and with the tensors."""
        return replace(self, _opened={})

    def describe(self) -> str:
        """One line: where the weights are while the teacher runs, and why."""
        size, free = format_size(self.bytes), f"{format_size(self.free)} of memory are free"
        if not self.converted and self.mapped:
            return f"its {size} of fp32 weights stay in their file, so the system can free their memory"
        if not self.aside:
            return f"its weights are converted to fp32 when they are needed, {size}; {free}"
        where = tempfile.gettempdir()
        return f"as fp32 its weights take {size} and {free}: they are read from temporary files in {where}"

    def _stored(self, file: Path, name: str) -> Tensor:
        if file not in self._opened:
            self._opened[file] = _open(file)
        opened = self._opened[file]
        tensor: Tensor = opened[name] if isinstance(opened, dict) else opened.get_tensor(name)
        return tensor


def open_tensors(checkpoint: Checkpoint, expected: Iterable[str] | None) -> FileTensors:
    """The files' tensors under the names in `expected`; those that the model has no place for are left out.

    None: all, under their own names.
    """
    what, family = f"checkpoint {checkpoint.name}", checkpoint.traits
    stored = read_names(checkpoint.folder, what, family)
    places: dict[str, tuple[Path, str]] = {}
    every = converted = 0
    for file in weight_files(checkpoint.folder, what):
        for raw in _names(file, stored):
            plain = plain_name(raw.removeprefix(stored.prefix))
            name = next((n for n in (plain, f"{family.prefix}.{plain}") if expected is None or n in expected), None)
            if name is None:
                continue
            places[name] = (file, raw)
            size = FP32 * math.prod(stored.tensors[raw].shape)
            every += size
            converted += size if stored.tensors[raw].dtype != "F32" else 0
    return FileTensors(places, every, converted, free_memory())


def _names(file: Path, stored: StoredWeights) -> list[str]:
    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as opened:
            return list(opened.keys())
    names = torch.load(file, map_location="meta", weights_only=True)
    return [str(name) for name in names if str(name) in stored.tensors]


def _open(file: Path) -> Any:
    if file.suffix == ".safetensors":
        return safe_open(file, "pt")
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def _written(tensor: Tensor, needed: int) -> Tensor:
    """The tensor in fp32 as a view of a file, which goes when nothing uses it any more."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if tensor.numel() * FP32 > free:
        raise DiskFull(
            f"the teacher's weights do not fit in memory as fp32; in {tempfile.gettempdir()} they take "
            f"{format_size(needed)}, and {format_size(free)} are left; make room, or set TMPDIR to a folder of another "
            "disk"
        )
    with tempfile.NamedTemporaryFile(prefix="edgepack-", suffix=".fp32") as file:
        file.write(tensor.float().contiguous().numpy().tobytes())
        file.flush()
        mapped = torch.from_file(file.name, shared=True, size=tensor.numel(), dtype=torch.float32)
    return mapped.view(tensor.shape)
