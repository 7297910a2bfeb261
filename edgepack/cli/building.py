"""Commands that train: a teacher, a plan, a build, the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgepack.cli.options import (
    FOLDER,
    build_options,
    column_options,
    length_option,
    make_console,
    output_options,
    print_record,
    print_result,
    seed_option,
    take_columns,
)

if TYPE_CHECKING:
    from edgepack.build.inputs import BuildRequest


@click.command()
@build_options
@click.option(
    "-o", "--output", type=FOLDER, required=True, help="Folder for the result; a build that was stopped resumes in it."
)
@click.option("--dry-run", is_flag=True, help="Check the inputs and print the plan; train nothing.")
@click.option("--fresh", is_flag=True, help="Start over: forget the stages that are finished in this folder.")
@output_options
@click.pass_context
def build(ctx: click.Context, /, dry_run: bool, as_json: bool, quiet: bool, **inputs: Any) -> None:
    """Make an artifact for each target that fits the budget, and check it."""
    from edgepack.build.flow import build as run_build
    from edgepack.build.flow import plan_build

    request, console = _request(inputs), make_console(quiet)
    if dry_run:
        print_result(plan_build(request, console), as_json)
        return
    result = run_build(request, console)
    print_result(result, as_json)
    ctx.exit(result.exit_code)


@click.command()
@build_options
@click.option("--tensors", is_flag=True, help="Print the bytes of every tensor too; --json always has them.")
@output_options
def plan(tensors: bool, as_json: bool, quiet: bool, **inputs: Any) -> None:
    """Print candidate shapes and their predicted bytes; train nothing."""
    from edgepack.build.flow import plan_build

    request = _request({**inputs, "output": Path("out")})
    print_result(plan_build(request, make_console(quiet), tensors), as_json)


@click.command()
@click.option("-m", "--model", "base", required=True, help="Base checkpoint, as a folder or a hub id.")
@click.option("-d", "--data", "train", required=True, help="Training data; its labels become the teacher's.")
@click.option("--eval", "evaluation", required=True, help="Held-out data to measure on; not trained on.")
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the teacher; new or empty.")
@column_options
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Times that each example is trained on.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Examples for each step; more takes more memory.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=5e-5,
    show_default=True,
    help="Size of the largest step; it rises and falls.",
)
@seed_option
@length_option
@output_options
def finetune(as_json: bool, quiet: bool, **settings: Any) -> None:
    """Make a teacher out of a base checkpoint."""
    from edgepack.finetune import finetune as run_finetune

    result = run_finetune(columns=take_columns(settings), console=make_console(quiet), **settings)
    print_record({"metric": result.metric, "n": result.n, "output": str(settings["output"])}, as_json)


@click.command()
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    default=Path("demo-out"),
    show_default=True,
    help="Folder for the demo, new or of an earlier one, which resumes.",
)
@output_options
@click.pass_context
def demo(ctx: click.Context, /, output: Path, as_json: bool, quiet: bool) -> None:
    """Run the whole flow on an embedded example: assistant commands, in a few minutes."""
    from edgepack.demo.run import run_demo

    result = run_demo(output, make_console(quiet))
    print_result(result, as_json)
    ctx.exit(0 if result.passed else 1)


def _request(inputs: dict[str, Any]) -> BuildRequest:
    from edgepack.build.inputs import BuildRequest

    return BuildRequest(columns=take_columns(inputs), budget_bytes=inputs.pop("budget"), **inputs)
