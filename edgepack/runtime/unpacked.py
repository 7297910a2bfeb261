"""An ONNX model as ONNX Runtime unpacks it, kept in a folder: from there it opens in a fifth of the time.

What is kept is ONNX Runtime's own, saved after those optimizations that suit every processor: a graph, and its weights
in a file of their own, which the runtime maps instead of reading. The name of their folder says what they were made
from and by, and what they hold: the model's length and CRC-32, the runtime's version, the CRC-32 of both files. They
are used where all of that is true, and made again otherwise.

A CRC-32 finds what happens to files by accident. Against somebody who may write into the folder no sum would help, and
a sha256 takes as long as all the rest of opening.
"""

from __future__ import annotations

import logging
import os
import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

log = logging.getLogger(__name__)

SUFFIX = ".unpacked"
GRAPH, WEIGHTS = "model.onnx", "weights.bin"
PIECE = 1 << 16  # bytes read at once, into one buffer: a new one for each piece took as long as the sum
Opened = TypeVar("Opened")


def open_unpacked(
    model: Path, folder: Path, version: str, open_kept: Callable[[Path], Opened], unpack: Callable[[Path], Opened]
) -> Opened:
    """The model, opened from what `folder` keeps of it, or else by `unpack`, and kept for the next time.

    `open_kept(path)` opens an unpacked graph; `unpack(path)` opens the model and saves it unpacked, the graph at
    `path` and the weights beside it as `WEIGHTS`. What `unpack` raises, and `OSError` where the folder cannot be
    written, leave nothing behind.
    """
    made_from = f"{model.stat().st_size:x}-{_crc(model)}"
    for kept in sorted(folder.glob(f"{made_from}-*{SUFFIX}")):
        if kept.name == _name(made_from, version, kept):
            try:
                return open_kept(kept / GRAPH)
            except Exception as e:  # onnxruntime's own errors share no base class but Exception
                log.debug("%s does not open and is made again: %s", kept, e)
        shutil.rmtree(kept, ignore_errors=True)  # damaged, or of another version
    folder.mkdir(parents=True, exist_ok=True)
    beside = Path(mkdtemp(prefix=f".{made_from}.", dir=folder))
    try:
        opened = unpack(beside / GRAPH)
        with suppress(OSError):  # another process was first
            os.replace(beside, folder / _name(made_from, version, beside))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return opened


def _name(made_from: str, version: str, kept: Path) -> str:
    sums = [_crc(path) for path in (kept / GRAPH, kept / WEIGHTS) if path.is_file()]
    return f"{made_from}-{version}-{'-'.join(sums)}{SUFFIX}"


def _crc(path: Path) -> str:
    found, buffer = 0, memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            found = zlib.crc32(buffer[:count], found)
    return f"{found:08x}"
