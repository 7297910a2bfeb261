"""Commands that say what this installation knows and this machine can do."""

from __future__ import annotations

import json

import click

from edgepack.cli.options import json_option, print_record, print_result


@click.command()
@click.argument("name", required=False)
@json_option
def targets(name: str | None, as_json: bool) -> None:
    """List the targets, or say what one of them is and needs."""
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
        click.echo(f"{target.name:<22}{target.title}")


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
