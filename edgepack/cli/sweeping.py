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
    help="Folder for all builds and their report, with --ray also a URL; a sweep that was stopped there resumes.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="How many builds run at a time here. [default: by cores, memory, disk]"
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Build on a Ray cluster: its HOST:PORT, auto for this machine's, or local to start one.",
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

    The file lists teachers, budgets, seeds, recipes and targets. If a build fails, the others go on; exit code 1.
    """
    from edgepack.sweep.run import list_sweep, run_sweep

    console = make_console(quiet)
    if dry_run:
        print_result(list_sweep(file, output, jobs, ray, console), as_json)
        return
    result = run_sweep(file, output, jobs, ray, console)
    print_result(result, as_json)
    ctx.exit(result.exit_code)
