"""The command that makes many builds."""

from __future__ import annotations

from pathlib import Path

import click

from edgepack.cli.options import EXISTING_FILE, make_console, output_options, print_result


@click.command()
@click.argument("file", type=EXISTING_FILE)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="Folder for all builds and their report; a sweep that was stopped resumes in it. With --ray also a URL.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Builds at a time, in processes here. [default: by cores, memory, disk]"
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Build on the Ray cluster there: HOST:PORT, auto, or local for one on this machine.",
)
@click.option("--dry-run", is_flag=True, help="Check every build and list them with their plans; train nothing.")
@output_options
@click.pass_context
def sweep(
    ctx: click.Context,
    /,
    file: Path,
    output: str,
    jobs: int | None,
    ray: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make many builds from one file, and compare them.

    It lists teachers, budgets, seeds, recipes and targets. If a build fails, the others go on, and the exit code is 1.
    """
    from edgepack.sweep.run import list_sweep, run_sweep

    console = make_console(quiet)
    if dry_run:
        print_result(list_sweep(file, output, console), as_json)
        return
    result = run_sweep(file, output, jobs, ray, console)
    print_result(result, as_json)
    ctx.exit(result.exit_code)
