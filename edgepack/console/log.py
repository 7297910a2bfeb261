"""Logs of a command: `-v` shows edgepack's own steps on stderr, `--log-file` keeps all that was said, and why.

Modules log to `logging.getLogger(__name__)`; what a `Console` says is logged too, and marked as said (`SAID`). Each
line has the room that it is from: a folder of the package, or another library's name. The file also gets the
warnings of libraries, which then do not appear on the terminal, and the traceback of a defect.
"""

from __future__ import annotations

import logging
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from edgepack.errors import reason

PACKAGE = Path(__file__).resolve().parents[1]
SAID = {"said": True}  # on the terminal already
# libraries that keep their records from the root logger
APART = ("transformers", "datasets", "huggingface_hub")
LINE = "%(asctime)s %(levelname)-7s %(room)s: %(message)s"
TIME = "%Y-%m-%dT%H:%M:%S%z"

Close = Callable[[], None]


def room_of(record: logging.LogRecord) -> str:
    """Where a record is from: `build` for edgepack/build/flow.py, else the first part of the logger's name."""
    try:
        parts = Path(record.pathname).resolve().relative_to(PACKAGE).parts
    except ValueError:
        return record.name.partition(".")[0]
    return parts[0].removesuffix(".py")


class _Once(logging.Filter):
    """Adds the room; lets a record through once, though it comes from a library's logger and the root's."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "logged", False):
            return False
        record.logged, record.room = True, room_of(record)
        return True


class _Stderr(logging.Handler):
    """Shows what nobody has said yet on stderr as it is now: a progress bar may stand in front of it."""

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "said", False):
            print(f"{record.levelname.lower()}: {room_of(record)}: {record.getMessage()}", file=sys.stderr)


class _File(logging.FileHandler):
    """The log; where its disk is full one line says so, and the command goes on without it."""

    lost = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.lost:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        self.lost, error = True, sys.exc_info()[1]
        why = reason(error) if error is not None else "no reason given"
        print(f"warning: {self.baseFilename} cannot be written: {why}; the log ends here", file=sys.stderr)

    def close(self) -> None:
        with suppress(OSError):  # what was not written before is tried again
            super().close()


def show_steps() -> Close:
    """Show edgepack's own debug lines on stderr until the function that comes back is called."""
    return _attach(_Stderr(logging.DEBUG), ("edgepack",))


def write_log(path: Path, version: str, words: Sequence[str]) -> Close:
    """Append all that is logged to `path`, after lines with the version and the command; `OSError` where it cannot be.

    Python's warnings and those of libraries too. Ends when the function that comes back is called.
    """
    handler = _File(path, mode="a", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter(LINE, TIME))
    handler.addFilter(_Once())
    close, own = _attach(handler, (None, *APART)), logging.getLogger("edgepack")
    logging.captureWarnings(True)
    began = time.monotonic()
    own.info("edgepack %s, Python %s, %s", version, platform.python_version(), platform.platform(), extra=SAID)
    own.info("command: edgepack %s", shlex.join(words), extra=SAID)

    def end() -> None:
        own.info("ended after %.1f s", time.monotonic() - began, extra=SAID)
        logging.captureWarnings(False)
        close()

    return end


def _attach(handler: logging.Handler, names: Sequence[str | None]) -> Close:
    """Add the handler to the loggers of these names (None: the root), and let edgepack's debug lines reach it."""
    loggers, own = [logging.getLogger(name) for name in names], logging.getLogger("edgepack")
    before = own.level
    own.setLevel(logging.DEBUG)
    for logger in loggers:
        logger.addHandler(handler)

    def close() -> None:
        for logger in loggers:
            logger.removeHandler(handler)
        own.setLevel(before)
        handler.close()

    return close
