"""Other libraries' voices, held back: edgepack says in one line of its own what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

from edgepack.errors import InputError, first_line


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hold back transformers' load bars and reports; edgepack checks and says what matters itself."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def tokenizers_as_input_errors(what: str) -> Iterator[None]:
    """Turn whatever the `tokenizers` library raises into an `InputError` that begins with `what`.

    It raises bare `Exception`, and on a broken regex, template or map its Rust code panics: `PanicException` is no
    `Exception`, and writes its own lines to the process's error stream, which is closed to it here.
    """
    try:
        with _closed_stderr():
            yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, InputError):
        raise
    except BaseException as e:
        raise InputError(f"{what}: {one_line(e)}") from e


@contextmanager
def _closed_stderr() -> Iterator[None]:
    """Send what native code writes to file descriptor 2 nowhere."""
    try:
        kept = os.dup(2)
    except OSError:  # the process has no error stream
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def one_line(error: BaseException) -> str:
    """The first line of an error's message, for use inside a message of ours."""
    return ": ".join(filter(None, (type(error).__name__, first_line(error))))
