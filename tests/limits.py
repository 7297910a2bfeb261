"""What one input may take of a test's process: processor time, and memory where it has raised the peak."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

MOST_BYTES = 1_500_000_000
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of what the system says


@contextmanager
def limits(seconds: float) -> Iterator[None]:
    """Fail where the block takes more; of this process, so that a busy machine is no failure."""
    peak, started = peak_bytes(), time.process_time()
    yield
    took, now = time.process_time() - started, peak_bytes()
    assert took < seconds, f"{took:.1f} s"
    assert now in (peak, min(now, MOST_BYTES)), f"{now:,} bytes"


def peak_bytes() -> int:
    """The most memory that the process has had until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
