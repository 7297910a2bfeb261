"""Large blocks outside the heap, as the C library counts them."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
from edgepack.machine.memory import LARGE, keep_large_blocks_apart
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks u f k".split()]
library = ctypes.CDLL(None)
library.mallinfo2.restype = Info
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
if {apart}:
    keep_large_blocks_apart()
library.free(library.malloc(3 * LARGE))  # glibc takes its size as the new limit
before = library.mallinfo2().hblks
library.malloc(LARGE)
print(library.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has these functions")
@pytest.mark.parametrize("apart", [True, False])
def test_a_large_block_is_a_mapping_of_its_own_even_after_a_larger_one(apart: bool) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(apart=apart)], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(int(apart)), "")
