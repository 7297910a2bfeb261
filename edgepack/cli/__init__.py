"""The command line: parse, call, print. The work of the commands belongs to `build`, `evidence` and `package`.

A file holds the commands of one kind. Results go to stdout (a table, or one JSON object with `--json`), everything
else to stderr. Exit codes are those of `edgepack.errors`: 0 done or passed, 1 a check failed, 2 misuse or bad input,
3 the environment lacks something. An `EdgepackError` becomes one line; any other exception is a defect and keeps its
traceback. Libraries are imported inside the commands: `--help` and completion stay quick, and a command whose
libraries a light installation lacks ends with the line that installs them, here, for all of them.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

import click

from edgepack import __version__
from edgepack.cli.building import build, demo, finetune, plan, recipes
from edgepack.cli.logs import WORDS, add_log_options, log_error, logged, logged_defect
from edgepack.cli.machine import doctor, targets
from edgepack.cli.release import bom, compare, gate, inspect, package, predict, report, sign
from edgepack.cli.stages import bundle, export, validate
from edgepack.errors import FULL, CheckFailed, DiskFull, EdgepackError, InputError, OutOfMemory, bare, printable
from edgepack.extras import missing_package
from edgepack.parameters import format_size

SECTIONS = {
    'Make a model; needs "edgepack[build]"': (finetune, plan, recipes, build, export, validate, bundle, demo),
    "Ship it": (predict, gate, compare, sign, bom, package, inspect, report),
    "This installation": (targets, doctor),
}
UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO)
FULL_TEXTS = ("No space left on device", "os error 28", "PytorchStreamWriter failed writing")  # of other libraries


class Commands(click.Group):
    """A group that ends with one line and a documented exit code when edgepack reports an error."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        return logged(lambda: self._invoke(ctx))

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EdgepackError as e:
            end_with(e)
        except ModuleNotFoundError as e:
            missing = missing_package(e, f"edgepack {ctx.invoked_subcommand}")
            if missing is None:
                end_as_defect(ctx, e)
            end_with(missing)
        except OSError as e:
            known = explained(e)
            if known is None:
                end_as_defect(ctx, e)
            end_with(known)
        except MemoryError:
            end_with(OutOfMemory(f"edgepack {ctx.invoked_subcommand} needs more memory than it may have"))
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as e:
            if not any(text in str(e) for text in FULL_TEXTS):
                end_as_defect(ctx, e)
            end_with(disk_full(None))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(command.name), command.get_short_help_str(100)) for command in commands])


def explained(error: OSError) -> EdgepackError | None:
    """What the system says of a disk or a file, as one of our errors; None for anything else, a defect."""
    if error.errno in FULL:
        return disk_full(error.filename)
    if error.errno in UNUSABLE and error.filename:
        name = bare(os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename), 200)
        return InputError(f"{name}: {error.strerror}; give a place that can be read and written")
    return None


def disk_full(filename: Any) -> DiskFull:
    """What to say of a disk that was full in the middle of a file, whose size nobody knows."""
    folder = Path(filename if isinstance(filename, str) else ".").absolute().parent
    while not folder.exists():
        folder = folder.parent
    free, where = format_size(shutil.disk_usage(folder).free), f" for {bare(str(filename), 200)}" if filename else ""
    return DiskFull(f"no room left on the disk{where}, {free} free; make some, then give the same command again")


def end_with(error: EdgepackError) -> NoReturn:
    """Say what was wrong in one line and leave with the error's exit code."""
    message = printable(" ".join(str(error).split()))
    log_error(message)
    click.echo(f"error: {message}", err=True)
    raise click.exceptions.Exit(error.exit_code)  # not ctx.exit, which would end the log first


def end_as_defect(ctx: click.Context, error: Exception) -> NoReturn:
    """Leave with the traceback: in the log, if there is one, and one line on the terminal, else there."""
    line = logged_defect(ctx, error)
    if line is None:
        raise error
    click.echo(f"error: {line}", err=True)
    raise click.exceptions.Exit(CheckFailed.exit_code)  # as Python ends with a traceback


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgepack")
def main() -> None:
    """Fine-tuned transformers, small enough to ship in an app, with proof."""


for commands in SECTIONS.values():
    for command in commands:
        add_log_options(command)
        main.add_command(command)
