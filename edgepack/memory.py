"""Giving freed memory back to the system.

glibc keeps what was freed for the next allocation. After tensors of many sizes that is hundreds of megabytes in pieces
that nothing fits into: on SST-2 1,128 MB after carving, 727 MB when they had been given back.
"""

from __future__ import annotations

import ctypes
import sys


def return_free_memory() -> None:
    """Give freed memory back to the system; about 20 ms. Does nothing where the C library cannot."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
