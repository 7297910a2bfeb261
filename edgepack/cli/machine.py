"""Commands that say what this installation knows and this machine can do."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgepack.cli.options import (
    EXISTING_FILE,
    EXISTING_FOLDER,
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
    """List the targets, or print what one of them is and needs.

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
    """Print what this machine can build, run and verify.

    For what is missing it prints the line that installs it.
    """
    from edgepack.doctor import examine

    diagnosis = examine()
    print_result(diagnosis, as_json)
    ctx.exit(0 if diagnosis.complete else 3)


@click.command()
@click.argument("builds", nargs=-1, type=EXISTING_FOLDER, metavar="[BUILD]...")
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    type=TargetName(),
    help="Target whose runtime is timed; may be given more than once.  [default: linux-onnx]",
)
@click.option("-o", "--output", type=FILE, required=True, help="JSON file for the times.")
@click.option(
    "--device-report",
    "device_reports",
    multiple=True,
    type=EXISTING_FILE,
    help="JSON file with a phone's figures of a model of BUILD: make the phone's profile from it; once or more.",
)
@click.option(
    "--speed-profile",
    type=EXISTING_FILE,
    help="With --device-report: profile whose times are scaled to the phone's, if it ran fewer than 6 shapes.",
)
@output_options
def profile(
    builds: tuple[Path, ...],
    targets: tuple[str, ...],
    output: Path,
    device_reports: tuple[Path, ...],
    speed_profile: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how fast this machine, or a phone, runs models.

    Times models of many shapes, one thread each, in a few minutes; do it on an idle machine. Give the file to plan or
    build with --speed-profile. With --device-report nothing is measured here: BUILD is the -o folder of the build that
    the phone ran.
    """
    if device_reports:
        from edgepack.evidence.device_profile import profile_device

        if not builds or targets:
            raise click.UsageError("--device-report needs BUILD, the -o folders of the builds, and takes no -t")
        print_result(profile_device(builds, device_reports, output, speed_profile), as_json)
        return
    if builds or speed_profile is not None:
        raise click.UsageError("BUILD and --speed-profile are for --device-report")
    from edgepack.evidence.profile_machine import profile_machine

    print_result(profile_machine(targets or ("linux-onnx",), output, make_console(quiet)), as_json)
