"""The teacher's hidden states on disk: one flat `.npy` array, of which a batch's rows are read from their places.

`fp16`: `(rows, states, H)` as the teacher gave them. `int8`: `(rows, states, H + 2)`, half the bytes: each state of
each row is divided by its largest magnitude / 127 and rounded, and that scale, fp16, is its last two bytes. A memory
map would count every page it ever touched as the process's own memory; plain reads leave them in the page cache.

Post-norm states are of order 1, so the rounding of fp16 (2⁻¹¹ relative) is far below what a student can follow. What
int8 costs: docs/training.md.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal

import numpy as np

from edgepack.errors import DiskFull, InputError
from edgepack.parameters import format_size

StateFormat = Literal["fp16", "int8"]
SCALE_BYTES, LARGEST = 2, 127
LEAST_SCALE = 2.0**-14  # the smallest normal fp16 number: a state of zeros stays one
Shape = tuple[int, int, int]


def stored_shape(shape: Shape, form: StateFormat) -> Shape:
    """The array that states `(rows, states, H)` are stored as."""
    rows, states, hidden_size = shape
    return (rows, states, hidden_size if form == "fp16" else hidden_size + SCALE_BYTES)


def row_bytes(states: int, hidden_size: int, form: StateFormat) -> int:
    """Bytes of one row, which is a token, or an example where the first token alone is kept."""
    return states * (2 * hidden_size if form == "fp16" else hidden_size + SCALE_BYTES)


def to_int8(states: np.ndarray) -> np.ndarray:
    """fp16 `(…, H)` → int8 `(…, H + 2)`, the scale behind the codes."""
    values = states.astype(np.float32)
    scale = np.maximum(np.abs(values).max(-1, keepdims=True) / LARGEST, LEAST_SCALE).astype(np.float16)
    codes = np.clip(np.rint(values / scale.astype(np.float32)), -LARGEST, LARGEST).astype(np.int8)
    return np.concatenate([codes, scale.view(np.int8)], axis=-1)


def from_int8(stored: np.ndarray) -> np.ndarray:
    """What `to_int8` made → fp16 `(…, H)`."""
    scale = np.ascontiguousarray(stored[..., -SCALE_BYTES:]).view(np.float16).astype(np.float32)
    return (stored[..., :-SCALE_BYTES] * scale).astype(np.float16)


@dataclass(frozen=True, eq=False)
class HiddenFile:
    """A file of states `(rows, states, H)`, read and written a run of rows at a time.

    Every batch opens the file anew, so threads and processes share no position in it.
    """

    path: Path
    shape: Shape
    form: StateFormat
    start: int  # bytes before the first row

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's states."""
        return row_bytes(self.shape[1], self.shape[2], self.form)

    def read(self, first: np.ndarray, counts: np.ndarray, length: int) -> np.ndarray:
        """`counts[i]` rows from row `first[i]` on, padded with zeros to `length`: `(batch, length, states, H)` fp16."""
        stored = stored_shape(self.shape, self.form)
        padded = np.empty((len(counts), length, *stored[1:]), np.float16 if self.form == "fp16" else np.int8)
        with self.path.open("rb", buffering=0) as file:
            for row, (begin, count) in enumerate(zip(first, counts, strict=True)):
                padded[row, count:] = 0
                file.seek(self.start + int(begin) * self.row_bytes)
                if _read_into(file, padded[row, :count]) < count * self.row_bytes:
                    raise InputError(f"{self.path} ends before row {int(begin) + count}; build again with --fresh")
        return padded if self.form == "fp16" else from_int8(padded)

    def write(self, first: np.ndarray, counts: np.ndarray, padded: np.ndarray) -> None:
        """Put states `(batch, seq, states, H)` fp16 in their places; what is beyond `counts` is padding."""
        with self.path.open("r+b") as file:
            for row, (begin, count) in enumerate(zip(first, counts, strict=True)):
                own = np.ascontiguousarray(padded[row, :count])
                file.seek(self.start + int(begin) * self.row_bytes)
                file.write((own if self.form == "fp16" else to_int8(own)).data)


def _read_into(file: FileIO, array: np.ndarray) -> int:
    """Fill `array` from the file's position; the bytes that there were."""
    view, filled = array.data.cast("B"), 0
    while filled < len(view):
        count = file.readinto(view[filled:])
        if not count:
            break
        filled += count
    return filled


def create_hidden_file(path: Path, shape: Shape, form: StateFormat = "fp16") -> HiddenFile:
    """A new file of zeros, sparse where the file system can; `DiskFull` where there is no room to fill it."""
    with path.open("wb") as file:
        descr = "<f2" if form == "fp16" else "|i1"
        header = {"descr": descr, "fortran_order": False, "shape": stored_shape(shape, form)}
        np.lib.format.write_array_header_1_0(file, header)
        hidden = HiddenFile(path, shape, form, file.tell())
        size, free = hidden.start + shape[0] * hidden.row_bytes, shutil.disk_usage(path.parent).free
        if size > free:
            raise DiskFull(
                f"the teacher's hidden states take {format_size(size)} while a student is trained; the disk of "
                f"{path.parent} has {format_size(free)} free; make room, or give -o on another disk or a smaller "
                "--disk-budget"
            )
        file.truncate(size)
    return hidden


def open_hidden_file(path: Path) -> HiddenFile:
    """A file that `create_hidden_file` made."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (rows, states, width), _, dtype = np.lib.format.read_array_header_1_0(file)
        form: StateFormat = "fp16" if dtype == np.float16 else "int8"
        return HiddenFile(path, (rows, states, width - (SCALE_BYTES if form == "int8" else 0)), form, file.tell())
