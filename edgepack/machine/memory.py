"""Memory: how much is free, and giving back what was freed.

glibc keeps what was freed for the next allocation. After tensors of many sizes that is hundreds of megabytes in pieces
that nothing fits into: on SST-2 1,128 MB after carving, 727 MB when they had been given back.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import psutil

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
CGROUPS = (  # of containers, with their limit and what is used: version 2, version 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
LARGE = 8 << 20  # bytes; activations of a batch's piece are smaller, tables and their moments larger
KEPT_FREE = 64 << 20  # bytes at the heap's end that the next step has without asking the system: 2,000 page faults less


def free_memory() -> int:
    """Bytes that a process can still have without another giving any up, in its container too."""
    free = int(psutil.virtual_memory().available)
    for limit, used in CGROUPS:
        try:
            free = min(free, max(0, int(limit.read_text()) - int(used.read_text())))
        except (OSError, ValueError):  # no such container, or "max"
            continue
    return free


def return_free_memory() -> None:
    """Give freed memory back to the system; about 20 ms. Does nothing where the C library cannot."""
    trim = _from_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def keep_large_blocks_apart() -> None:
    """From now on blocks of `LARGE` bytes lie outside the heap and go back to the system when they are freed.

    glibc raises its own limit, up to 32 MB, when a larger block is freed; then word tables lie among small blocks.
    """
    set_option = _from_c_library("mallopt")
    if set_option is not None:
        set_option(MMAP_THRESHOLD, LARGE)
        set_option(TRIM_THRESHOLD, KEPT_FREE)


def _from_c_library(name: str) -> Any:
    """A function that other C libraries than glibc lack; None there."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
