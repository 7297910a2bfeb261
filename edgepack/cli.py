"""The command line: parse, call, print. No logic lives here.

Results go to stdout (a table, or one JSON object with `--json`), everything else to stderr. Exit codes are
those of `edgepack.errors`: 0 done or passed, 1 a check failed, 2 misuse or bad input, 3 the environment
lacks something. An `EdgepackError` becomes one line; any other exception is a defect and keeps its
traceback. Heavy libraries are imported inside the commands, so `--help` and completion stay quick.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from edgepack import __version__
from edgepack.errors import DiskFull, EdgepackError
from edgepack.parameters import Share, Size

if TYPE_CHECKING:
    from edgepack.build.inputs import BuildRequest
    from edgepack.console import Console

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TASKS = ("text-classification", "token-classification")


class Commands(click.Group):
    """A group that ends with one line and a documented exit code when edgepack reports an error."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EdgepackError as e:
            end_with(ctx, e)
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            where = f" for {e.filename}" if e.filename else ""
            end_with(ctx, DiskFull(f"no room left on the disk{where}; make some, then give the same command again"))


def end_with(ctx: click.Context, error: EdgepackError) -> NoReturn:
    """Say what was wrong in one line and leave with the error's exit code."""
    click.echo(f"error: {' '.join(str(error).split())}", err=True)
    ctx.exit(error.exit_code)


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several click options as one decorator, shown in the order given."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


quiet_option = click.option("--quiet", is_flag=True, help="Warnings and errors only.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
output_options = options(json_option, quiet_option)
column_options = options(
    click.option("--text-column", metavar="NAME", help="Column of the text or tokens. [default: found by name]"),
    click.option("--pair-column", metavar="NAME", help="Column of the second sentence."),
    click.option("--label-column", metavar="NAME", help="Column of the label or tags. [default: found by name]"),
)
build_options = options(
    click.option("-m", "--model", "teacher", required=True, help="Fine-tuned checkpoint: a folder or a hub id."),
    click.option(
        "-d", "--data", "train", required=True, help="Training data: TSV, CSV, JSON lines, Parquet or hub id."
    ),
    click.option("--eval", "evaluation", required=True, help="Evaluation data, likewise."),
    click.option("-b", "--budget", type=Size(), required=True, help="Shipped bytes for each target, as 4MB or 4MiB."),
    click.option("-t", "--target", "targets", multiple=True, required=True, help="Target; see `edgepack targets`."),
    click.option("--task", type=click.Choice(TASKS), help="What the teacher does. [default: from its config]"),
    column_options,
    click.option("--max-drop", type=Share(), default="2%", show_default=True, help="Loss of the metric allowed."),
    click.option("--effort", type=click.Choice(["quick", "standard", "max"]), default="standard", show_default=True),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    click.option("--device", default="auto", show_default=True, help="Where to train: auto, cpu, cuda, cuda:1."),
    click.option(
        "--text", type=EXISTING_FILE, help="Raw sentences, one on a line: which tokens to keep beyond the task's."
    ),
    click.option("--max-length", type=click.IntRange(min=8), help="Longest input in tokens. [default: from the data]"),
    click.option(
        "--allow-untrained",
        is_flag=True,
        help="Accept a teacher no better than the majority class, or one that contradicts the data's labels.",
    ),
)
place_options = options(
    click.option("-m", "--model", "teacher", help="Where the teacher is now. [default: as the build recorded it]"),
    click.option("-d", "--data", "train", help="Where the training data is now, likewise."),
    click.option("--eval", "evaluation", help="Where the evaluation data is now, likewise."),
    click.option("--text", type=EXISTING_FILE, help="Where the raw sentences are now, likewise."),
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgepack")
def main() -> None:
    """Fine-tuned transformers, small enough to ship in an app, with proof."""


@main.command()
@build_options
@click.option("-o", "--output", type=FOLDER, required=True, help="Workspace and result; an earlier build goes on.")
@click.option("--dry-run", is_flag=True, help="Check the inputs and print the plan; train nothing.")
@click.option("--fresh", is_flag=True, help="Forget what earlier builds of this folder finished.")
@output_options
@click.pass_context
def build(ctx: click.Context, /, dry_run: bool, as_json: bool, quiet: bool, **inputs: Any) -> None:
    """Make an artifact for each target that fits the budget, and check it."""
    from edgepack.build.flow import build as run_build
    from edgepack.build.flow import plan_build

    request, console = _request(inputs), _console(quiet)
    if dry_run:
        _print(plan_build(request, console), as_json)
        return
    result = run_build(request, console)
    _print(result, as_json)
    ctx.exit(result.exit_code)


@main.command()
@build_options
@click.option("--tensors", is_flag=True, help="Print where the bytes go, tensor by tensor (--json always has it).")
@output_options
def plan(tensors: bool, as_json: bool, quiet: bool, **inputs: Any) -> None:
    """Print candidate shapes and their predicted bytes; train nothing."""
    from edgepack.build.flow import plan_build

    _print(plan_build(_request({**inputs, "output": Path("out")}), _console(quiet), tensors), as_json)


@main.command()
@click.option("-m", "--model", "base", required=True, help="Base checkpoint: a folder or a hub id.")
@click.option("-d", "--data", "train", required=True, help="Training data.")
@click.option("--eval", "evaluation", required=True, help="Evaluation data.")
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the teacher; new or empty.")
@column_options
@click.option("--epochs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=5e-5, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--max-length", type=click.IntRange(min=8), help="Longest input in tokens. [default: from the data]")
@output_options
def finetune(as_json: bool, quiet: bool, **settings: Any) -> None:
    """Make a teacher out of a base checkpoint."""
    from edgepack.finetune import finetune as run_finetune

    result = run_finetune(columns=_columns(settings), console=_console(quiet), **settings)
    _print_record({"metric": result.metric, "n": result.n, "output": str(settings["output"])}, as_json)


@main.command()
@click.argument("student", type=EXISTING_FOLDER)
@click.option("-t", "--target", "targets", multiple=True, required=True, help="Target; see `edgepack targets`.")
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the artifacts.")
@click.option("--body-bits", type=click.Choice(["4", "8", "32"]), help="Weights' width. [default: the student's]")
@click.option(
    "--embedding-bits", type=click.Choice(["4", "8", "32"]), help="Embedding's width. [default: the student's]"
)
@output_options
def export(
    student: Path,
    targets: tuple[str, ...],
    output: Path,
    body_bits: str | None,
    embedding_bits: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a student folder as an artifact for each target."""
    from edgepack.build.single_stage import export_student

    body, embedding = (int(bits) if bits else None for bits in (body_bits, embedding_bits))
    _print(export_student(student, targets, output, body, embedding, _console(quiet)), as_json)


@main.command()
@click.argument("output", type=EXISTING_FOLDER)
@click.option("--arch", type=click.Choice(["arm64"]), help="Run the ONNX artifacts on this CPU, emulated, and here.")
@click.option(
    "--examples", type=click.IntRange(min=1), help="With --arch: so many of the evaluation data. [default: all]"
)
@place_options
@output_options
@click.pass_context
def validate(
    ctx: click.Context,
    /,
    output: Path,
    arch: str | None,
    examples: int | None,
    as_json: bool,
    quiet: bool,
    **places: Any,
) -> None:
    """Run a build's artifacts again in their runtimes and compare them with the teacher."""
    from edgepack.build.results import BuildResult
    from edgepack.build.single_stage import Moved, validate_output
    from edgepack.evidence.compare_cpus import ArchitectureResult, compare_architecture

    if examples is not None and arch is None:
        raise click.UsageError("--examples goes with --arch")
    result: ArchitectureResult | BuildResult
    if arch is not None:
        result = compare_architecture(output, arch, examples, _console(quiet), places["evaluation"])
    else:
        result = validate_output(output, _console(quiet), Moved(**places))
    _print(result, as_json)
    ctx.exit(result.exit_code)


@main.command()
@click.argument("output", type=EXISTING_FOLDER)
@place_options
@output_options
def bundle(output: Path, as_json: bool, quiet: bool, **places: Any) -> None:
    """Write a build's bundles again from its finished stages."""
    from edgepack.build.single_stage import Moved, bundle_output

    _print(bundle_output(output, _console(quiet), Moved(**places)), as_json)


@main.command()
@click.argument("bundles", nargs=-1, required=True, type=EXISTING_FOLDER)
@click.option("--policy", type=EXISTING_FILE, help="TOML of limits and waivers. [default: the bundle's own limits]")
@click.option("--eval", "evaluation", help="Evaluation data to run the artifacts on again.")
@click.option("--junit", type=FILE, help="Write the checks as JUnit XML.")
@output_options
@click.pass_context
def gate(
    ctx: click.Context,
    /,
    bundles: tuple[Path, ...],
    policy: Path | None,
    evaluation: str | None,
    junit: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check bundles again and apply a policy: exit 0 when all pass, 1 when not."""
    from edgepack.evidence.gate import gate as run_gate

    result = run_gate(bundles, policy, evaluation=evaluation, junit=junit, console=_console(quiet))
    _print(result, as_json)
    ctx.exit(0 if result.passed else 1)


@main.command()
@click.argument("bundle", type=EXISTING_FOLDER)
@click.option("--app", type=click.Choice(["android", "ios", "web"]), required=True, help="Kind of app.")
@click.option("-o", "--output", type=FOLDER, required=True, help="Project folder; new or empty.")
@click.option("--name", default="edgepack sample", show_default=True, help="The app's name, as people see it.")
@click.option("--application-id", default="dev.edgepack.sample", show_default=True, help="Reverse-DNS id of the app.")
@click.option("--download-url", metavar="URL", help="Folder that the app fetches the model from. [default: ship it]")
@click.option("--force", is_flag=True, help="Replace a folder that is not empty, once the new one is whole.")
@output_options
def package(
    bundle: Path,
    app: str,
    output: Path,
    name: str,
    application_id: str,
    download_url: str | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write an app project with the bundle's model in it."""
    from edgepack.package import AppOptions, package_bundle

    packaged = package_bundle(bundle, app, output, AppOptions(name, application_id, download_url), force)
    _console(quiet).info(f"{packaged.folder / 'README.md'} says how to build and run it, and what was verified")
    _print_record(packaged.to_json(), as_json)


@main.command()
@click.argument("app", type=EXISTING_FILE)
@click.option("--bundle", "bundles", multiple=True, type=EXISTING_FOLDER, help="Gated bundle that must be in it.")
@click.option("--on-demand", is_flag=True, help="The app downloads its model: it may be absent, INTERNET may be asked.")
@click.option("--allow", "allowed", multiple=True, metavar="PERMISSION", help="Android permission that the app needs.")
@json_option
@click.pass_context
def inspect(
    ctx: click.Context,
    /,
    app: Path,
    bundles: tuple[Path, ...],
    on_demand: bool,
    allowed: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check a built .apk, .aab or .ipa for what stores and phones reject."""
    from edgepack.inspect.app import inspect_app

    result = inspect_app(app, bundles, on_demand, allowed)
    _print(result, as_json)
    ctx.exit(0 if result.passed else 1)


@main.command()
@click.argument("output", type=EXISTING_FOLDER)
@output_options
def report(output: Path, as_json: bool, quiet: bool) -> None:
    """Write report.html and report.md of a build."""
    from edgepack.report import write_report

    paths = write_report(output)
    _console(quiet).info("open the HTML page in a browser; it loads nothing from outside")
    _print_record({path.suffix.removeprefix("."): str(path) for path in paths}, as_json)


@main.command()
@click.argument("name", required=False)
@json_option
def targets(name: str | None, as_json: bool) -> None:
    """List the targets, or say what one of them is and needs."""
    from dataclasses import asdict

    from edgepack.target import list_targets, load_target

    if name:
        _print_record(asdict(load_target(name)), as_json)
        return
    known = [load_target(each) for each in list_targets()]
    if as_json:
        click.echo(json.dumps([asdict(target) for target in known]))
        return
    for target in known:
        click.echo(f"{target.name:<22}{target.title}")


@main.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool) -> None:
    """Say what this machine can build, run and verify, and how to get what is missing."""
    from edgepack.doctor import examine

    diagnosis = examine()
    _print(diagnosis, as_json)
    ctx.exit(0 if diagnosis.complete else 3)


@main.command()
@click.option(
    "-o", "--output", type=FOLDER, default=Path("demo-out"), show_default=True, help="New or an earlier demo."
)
@output_options
@click.pass_context
def demo(ctx: click.Context, /, output: Path, as_json: bool, quiet: bool) -> None:
    """Run the whole flow on an embedded example: assistant commands, in a few minutes."""
    from edgepack.demo.run import run_demo

    result = run_demo(output, _console(quiet))
    _print(result, as_json)
    ctx.exit(0 if result.passed else 1)


def _console(quiet: bool) -> Console:
    from edgepack.console import Console

    return Console(quiet)


def _columns(inputs: dict[str, Any]) -> Any:
    """Take the column flags out of `inputs` as `Columns`."""
    from edgepack.task.examples import Columns

    return Columns(**{name: inputs.pop(f"{name}_column") for name in ("text", "pair", "label")})


def _request(inputs: dict[str, Any]) -> BuildRequest:
    from edgepack.build.inputs import BuildRequest

    return BuildRequest(columns=_columns(inputs), budget_bytes=inputs.pop("budget"), **inputs)


def _print(result: Any, as_json: bool) -> None:
    click.echo(json.dumps(result.to_json()) if as_json else result.table())


def _print_record(record: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(record))
        return
    for name, value in record.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        click.echo(f"{name:<22}{'' if shown is None else shown}")
