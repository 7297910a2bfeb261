"""Ctrl-C, and the signals by which a system or a CI ends a command: one line, and the exit code that shells give.

SIGTERM and SIGHUP become an interruption as Ctrl-C's: temporary files go, processes that were started end at once, and
a build resumes from its last finished stage or checkpoint. A signal that the caller ignores (`nohup`) stays ignored.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interruption(KeyboardInterrupt):
    """A signal that ends the command; `number`: which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """While the block runs, each of `ENDING` that would end the process raises `Interruption` in it instead."""
    if threading.current_thread() is not threading.main_thread():  # only there can Python take signals
        yield
        return
    taken = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would interrupt the clearing away
    raise Interruption(number)


def number_of(error: KeyboardInterrupt) -> int:
    """The signal behind it; Ctrl-C's where Python raised it."""
    return error.number if isinstance(error, Interruption) else signal.SIGINT
