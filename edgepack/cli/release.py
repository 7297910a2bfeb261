"""Commands of a release pipeline and an app team: they train nothing and need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgepack.cli.options import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    FILE,
    FOLDER,
    json_option,
    make_console,
    output_options,
    print_record,
    print_result,
)


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=EXISTING_FOLDER)
@click.option(
    "--policy",
    type=EXISTING_FILE,
    help="TOML file with your limits, and checks to waive by name. [default: the bundle's own limits]",
)
@click.option("--eval", "evaluation", help="Labelled data: run the model on it and fail if its metric is too low.")
@click.option("--junit", type=FILE, help="Write the checks to this file as JUnit XML, which CI systems show.")
@output_options
@click.pass_context
def gate(ctx: click.Context, /, bundles: tuple[Path, ...], as_json: bool, quiet: bool, **settings: Any) -> None:
    """Check bundles again and apply a policy: exit 0 when all pass, 1 when not."""
    from edgepack.evidence.gate import gate as run_gate

    result = run_gate(bundles, console=make_console(quiet), **settings)
    print_result(result, as_json)
    ctx.exit(0 if result.passed else 1)


@click.command()
@click.argument("bundle", type=EXISTING_FOLDER)
@click.option("--app", type=click.Choice(["android", "ios", "web"]), required=True, help="Kind of app to write.")
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the project; new or empty.")
@click.option("--name", default="edgepack sample", show_default=True, help="The app's name, as people see it.")
@click.option(
    "--application-id",
    default="dev.edgepack.sample",
    show_default=True,
    help="Reverse-DNS id of the app, which stores know it by.",
)
@click.option(
    "--download-url",
    metavar="URL",
    help="Leave the model out; the app fetches it from this folder. [default: it is in the app]",
)
@click.option("--force", is_flag=True, help="Replace a folder that is not empty, once the new one is whole.")
@output_options
def package(bundle: Path, app: str, output: Path, force: bool, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Write an app project with the bundle's model in it."""
    from edgepack.package import AppOptions, package_bundle

    packaged = package_bundle(bundle, app, output, AppOptions(**settings), force)
    make_console(quiet).info(f"{packaged.folder / 'README.md'} says how to build and run it, and what was verified")
    print_record(packaged.to_json(), as_json)


@click.command()
@click.argument("app", type=EXISTING_FILE)
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    type=EXISTING_FOLDER,
    help="Bundle that passed the gate: fail if the app's model is another one.",
)
@click.option(
    "--on-demand",
    is_flag=True,
    help="The app downloads its model: it may be missing, and the INTERNET permission is fine.",
)
@click.option(
    "--allow", "allowed", multiple=True, metavar="PERMISSION", help="Android permission that the app may ask for."
)
@json_option
@click.pass_context
def inspect(ctx: click.Context, /, app: Path, as_json: bool, **settings: Any) -> None:
    """Check a built .apk, .aab or .ipa for what stores and phones reject."""
    from edgepack.inspect.app import inspect_app

    result = inspect_app(app, settings["bundles"], settings["on_demand"], settings["allowed"])
    print_result(result, as_json)
    ctx.exit(0 if result.passed else 1)


@click.command()
@click.argument("output", type=EXISTING_FOLDER)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--serve",
    "port",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=0,
    metavar="[PORT]",
    help="Serve the two files to this machine alone, until Ctrl-C; without PORT at a free one. Give it after OUTPUT.",
)
@output_options
def report(output: Path, opened: bool, port: int | None, as_json: bool, quiet: bool) -> None:
    """Write report.html and report.md of a build."""
    from edgepack.report import write_report
    from edgepack.report.serve import address_of, make_server, open_page, serve

    paths, console = write_report(output), make_console(quiet)
    written = {path.suffix.removeprefix("."): str(path) for path in paths}
    if port is None:
        print_record(written, as_json)
        if opened:
            open_page(Path(written["html"]).resolve().as_uri(), console)
        else:
            console.info("open the HTML page in a browser (--open does); it loads nothing from outside")
        return
    with make_server(paths, port) as server:
        print_record(written | {"address": address_of(server)}, as_json)
        if opened:
            open_page(address_of(server), console)
        serve(server, console)
