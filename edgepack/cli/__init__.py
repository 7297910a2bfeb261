"""The command line: parse, call, print. The work of the commands belongs to `build`, `evidence` and `package`.

A file holds the commands of one kind. Results go to stdout (a table, or one JSON object with `--json`), everything
else to stderr. Exit codes are those of `edgepack.errors`: 0 done or passed, 1 a check failed, 2 misuse or bad input,
3 the environment lacks something; 128 and a signal's number where one ended the command. An `EdgepackError` becomes
one line; any other exception is a defect and keeps its traceback. Libraries are imported inside the commands: `--help`
and completion stay quick, and a command whose libraries a light installation lacks ends with the line that installs
them, here, for all of them.
"""

from __future__ import annotations

import signal
from typing import Any, NoReturn

import click

from edgepack._version import __version__
from edgepack.cli.building import build, cut_vectors, demo, finetune, plan, recipes
from edgepack.cli.interruption import number_of, signals_interrupt
from edgepack.cli.logs import WORDS, add_log_options, log_error, logged, logged_defect
from edgepack.cli.machine import doctor, profile, targets
from edgepack.cli.options import refuse_empty_texts, refuse_repeated
from edgepack.cli.release import bom, compare, gate, inspect, package, predict, reduce_runtime, report, sign
from edgepack.cli.stages import bundle, export, validate
from edgepack.cli.sweeping import sweep
from edgepack.errors import CheckFailed, EdgepackError, printable
from edgepack.machine.extras import plain_error

SECTIONS = {
    'Make a model; needs "edgepack[build]"': (
        finetune,
        cut_vectors,
        profile,
        plan,
        recipes,
        build,
        sweep,
        export,
        validate,
        bundle,
        demo,
    ),
    "Ship it": (predict, gate, compare, sign, bom, package, reduce_runtime, inspect, report),
    "This installation": (targets, doctor),
}


class Commands(click.Group):
    """A group that ends with one line and a documented exit code when edgepack reports an error."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:  # not while a shell completes the line
            refuse_repeated(command, ctx, rest)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        with signals_interrupt():
            return logged(lambda: self._invoke(ctx))

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt as e:
            end_interrupted(number_of(e))
        except Exception as e:
            error = plain_error(e, f"edgepack {ctx.invoked_subcommand}")
            if error is None:
                end_as_defect(ctx, e)
            end_with(error)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(command.name), command.get_short_help_str(100)) for command in commands])


def end_with(error: EdgepackError) -> NoReturn:
    """Say what was wrong in one line and leave with the error's exit code."""
    message = printable(" ".join(str(error).split()))
    log_error(message)
    click.echo(f"error: {message}", err=True)
    raise click.exceptions.Exit(error.exit_code)  # not ctx.exit, which would end the log first


def end_interrupted(number: int) -> NoReturn:
    """Say that a signal ended the command, and leave with the exit code that shells give for it."""
    line = f"interrupted by {signal.Signals(number).name}; give the same command again, and a build resumes"
    log_error(line)
    click.echo(f"error: {line}", err=True)
    raise click.exceptions.Exit(128 + number)


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
        refuse_empty_texts(command)
        main.add_command(command)
