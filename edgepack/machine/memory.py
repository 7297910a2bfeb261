"""Giving freed memory back to the system.

glibc keeps what was freed for the next allocation. After tensors of many sizes that is hundreds of megabytes in pieces
that nothing fits into: on SST-2 1,128 MB after carving, 727 MB when they had been given back.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
LARGE = 8 << 20  # bytes; activations of a batch's piece are smaller, tables and their moments larger


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


def _from_c_library(name: str) -> Any:
    """A function that other C libraries than glibc lack; None there."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
