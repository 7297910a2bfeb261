"""Commands that say what this installation knows and this machine can do."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgepack.cli.options import (
    FILE,
    TargetName,
    json_option,
    make_console,
    output_options,
    print_record,
    print_result,
)


@click.command()
@click.argument("name", required=False)
@json_option
def targets(name: str | None, as_json: bool) -> None:
    """List the targets, or say what one of them is and needs.

    The last column is the sample app that `edgepack package --app` writes for it.
    """
    from dataclasses import asdict

    from edgepack.target import list_targets, load_target

    if name:
        print_record(asdict(load_target(name)), as_json)
        return
    known = [load_target(each) for each in list_targets()]
    if as_json:
        click.echo(json.dumps([asdict(target) for target in known]))
        return
    for target in known:
        click.echo(f"{target.name:<22}{target.title:<46}{target.app or 'no app'}")


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool) -> None:
    """Say what this machine can build, run and verify.

    For what is missing there is the line that installs it.
    """
    from edgepack.doctor import examine

    diagnosis = examine()
    print_result(diagnosis, as_json)
    ctx.exit(0 if diagnosis.complete else 3)


@click.command()
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    type=TargetName(),
    default=["linux-onnx"],
    show_default=True,
    help="Target in whose runtime models are timed, once or more.",
)
@click.option("-o", "--output", type=FILE, required=True, help="JSON file for the times.")
@output_options
def profile(targets: tuple[str, ...], output: Path, as_json: bool, quiet: bool) -> None:
    """Measure how fast this machine runs models, for the plan.

    Models of many shapes are timed, one thread each, in a few minutes; an idle machine gives the truest times.
    """
    from edgepack.evidence.profile_machine import profile_machine

    print_result(profile_machine(targets, output, make_console(quiet)), as_json)
