"""A command on what an attacker wrote: how it must end, in which time and memory."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from click.testing import CliRunner

from edgepack.cli import main

SECONDS = 20.0  # of this process; a busy machine is no failure
WAITING = 120  # seconds after which a command counts as one that hangs
MEMORY = 1_000_000_000  # bytes more than before: with torch loaded, 1.5 GB in all


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def attack(*arguments: str, codes: tuple[int, ...] = (2,)) -> Outcome:
    """Run a command; it must end with one of `codes`, without a traceback, within bounds, in printable lines."""
    began = time.process_time()
    with no_hanging(), watched() as grown:
        result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)[:500]
    assert result.exit_code in codes, result.output[-2_000:]
    assert time.process_time() - began < SECONDS
    assert grown[0] < MEMORY, f"{grown[0] / 1e6:.0f} MB"
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    if result.exit_code in (2, 3):
        assert lines[-1].lower().startswith("error:"), lines[-1][:300]
        assert len(lines[-1]) < 2_000
    assert all(line.replace("\t", " ").isprintable() for line in (*lines, *result.stdout.splitlines()))
    return Outcome(result.exit_code, result.stdout, result.stderr)


@contextmanager
def no_hanging() -> Iterator[None]:
    """Fail where the block takes too long: pipes that nobody writes to, loops without end."""

    def hang(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(WAITING)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def watched() -> Iterator[list[int]]:
    """By how many bytes this process grows at most during the block."""
    process, ended, grown = psutil.Process(os.getpid()), threading.Event(), [0]
    before = process.memory_info().rss

    def look() -> None:
        while not ended.wait(0.01):
            grown[0] = max(grown[0], process.memory_info().rss - before)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield grown
    finally:
        ended.set()
        thread.join()


def pipe(path: Path) -> Path:
    """A FIFO that nobody writes to, in place of a file."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path
