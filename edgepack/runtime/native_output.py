"""Runtimes that write to the process's stderr themselves, held back while one of their calls runs.

A line such as "Created XNNPACK delegate" is nothing that a caller could act upon, and Python's own streams never see
it. What a failed call wrote is the reason that its exception lacks, so it is kept.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


class Captured:
    """What was written; complete after the `with`."""

    text: str = ""

    @property
    def last_line(self) -> str:
        """The last line that is not blank, or ""."""
        return (self.text.strip().splitlines() or [""])[-1].strip()


@contextmanager
def captured_stderr() -> Iterator[Captured]:
    """Send file descriptor 2 to a file while the block runs."""
    captured = Captured()
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield captured
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            captured.text = file.read().decode(errors="replace")
