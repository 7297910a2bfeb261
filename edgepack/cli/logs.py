"""`-v` and `--log-file`, which every command has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edgepack import __version__
from edgepack.cli.options import FILE
from edgepack.console.log import SAID, show_steps, write_log

WORDS, LOG_FILE = "edgepack.words", "edgepack.log-file"  # of a command line, in its context's `meta`
LOG = logging.getLogger("edgepack")


def begin_verbose(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    """Show debug lines from here on."""
    if wanted and not ctx.resilient_parsing:
        ctx.find_root().call_on_close(show_steps())


def begin_log(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Keep a log from here on, until the command is over."""
    if path is None or ctx.resilient_parsing:
        return
    ctx.find_root().call_on_close(write_log(path, __version__, ctx.meta.get(WORDS, [])))
    ctx.meta[LOG_FILE] = path


def add_log_options(command: click.Command) -> None:
    """Give both options to a command, and to those of a group."""
    eager: dict[str, Any] = {"is_eager": True, "expose_value": False}
    command.params += [
        click.Option(
            ["-v", "--verbose"], is_flag=True, callback=begin_verbose, help="Print each step on stderr.", **eager
        ),
        click.Option(
            ["--log-file"],
            type=FILE,
            callback=begin_log,
            help="Append all messages to this file, with warnings of libraries and tracebacks.",
            **eager,
        ),
    ]
    for inner in getattr(command, "commands", {}).values():
        add_log_options(inner)


def log_error(message: str) -> None:
    """Log an error that the terminal is told in its own words."""
    LOG.error(message, extra=SAID, stacklevel=2)


def logged_defect(ctx: click.Context, error: Exception) -> str | None:
    """One line for a defect whose traceback is in the log file now; None where there is no log."""
    path = ctx.meta.get(LOG_FILE)
    if path is None:
        return None
    LOG.error("defect: %r", error, exc_info=error, extra=SAID)
    return f"a defect of edgepack ({type(error).__name__}), whose traceback is in {path}; please report it"


Work = Callable[[], Any]


def logged(work: Work) -> Any:
    """What `work` gives; how it ended is logged, whatever it was."""
    try:
        return work()
    except click.exceptions.Exit as e:
        LOG.info("exit code %d", e.exit_code, extra=SAID)
        raise
    except click.ClickException as e:
        log_error(e.format_message())
        raise
    except click.Abort:
        log_error("interrupted")
        raise
