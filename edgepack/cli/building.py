"""Commands that train: a teacher, a plan, a build, the demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgepack.cli.options import (
    FOLDER,
    build_options,
    column_options,
    device_option,
    json_option,
    length_option,
    long_texts_option,
    make_console,
    output_options,
    pooling_option,
    print_result,
    seed_option,
    take_columns,
    text_columns,
)
from edgepack.cli.request_file import RequestCommand, config_options
from edgepack.task.schemes import SCHEMES

if TYPE_CHECKING:
    from edgepack.build.inputs import BuildRequest


@click.command(cls=RequestCommand)
@build_options
@click.option(
    "-o", "--output", type=FOLDER, required=True, help="Folder for the result; a build that was stopped there resumes."
)
@click.option(
    "--search",
    type=click.IntRange(2, 32),
    metavar="N",
    help='Train N candidates of the plan briefly and build the best; needs "edgepack[search]". [default: the first]',
)
@click.option(
    "--jobs",
    "search_jobs",
    type=click.IntRange(1, 32),
    metavar="M",
    help="With --search: how many candidates train at a time, each in a process with its share of the cores. "
    "[default: 1]",
)
@click.option("--dry-run", is_flag=True, help="Check the inputs and print the plan; train nothing.")
@click.option("--fresh", is_flag=True, help="Start over: ignore the stages that are finished in this folder.")
@config_options
@output_options
@click.pass_context
def build(ctx: click.Context, /, dry_run: bool, as_json: bool, quiet: bool, **inputs: Any) -> None:
    """Make a model for each target within the budget, and check it."""
    from edgepack.build.flow import build as run_build
    from edgepack.build.flow import plan_build

    request, console = _request(inputs), make_console(quiet)
    if dry_run:
        print_result(plan_build(request, console, output_too=True), as_json)
        return
    result = run_build(request, console)
    print_result(result, as_json)
    ctx.exit(result.exit_code)


@click.command(cls=RequestCommand)
@build_options
@click.option("--tensors", is_flag=True, help="Print the bytes of every tensor too; --json always has them.")
@config_options
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
@device_option
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Number of epochs. [default: train until held-out examples show no improvement]",
)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    help="End training after so many evaluations without improvement. [default: 5; with --epochs, no limit]",
)
@click.option(
    "--held-out",
    type=click.FloatRange(min=0, max=0.5),
    metavar="SHARE",
    help="Share of --data that is not trained on but decides when to stop; 0 for none. [default: about 0.1]",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Peak learning rate; a fresh head has ten times that, at most 2e-3. [default: by task, model and batch size]",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples in a step. [default: 32; 16 for few rows]")
@click.option(
    "--label-smoothing",
    type=click.FloatRange(min=0, max=1, max_open=True),
    help="Share of each label's probability that is spread over all classes. [default: by task]",
)
@click.option(
    "--class-weights",
    type=click.Choice(["none", "sqrt", "balanced"]),
    default="none",
    show_default=True,
    help="Weigh rare classes more: by 1 / frequency (balanced), or by the square root of that (sqrt).",
)
@click.option(
    "--tag-scheme",
    type=click.Choice(["data", *SCHEMES]),
    help="Scheme of the teacher's tags; data: that of the training data. [default: BIO; plain if tags mark no "
    "entities]",
)
@seed_option
@length_option
@long_texts_option
@output_options
def finetune(base: str, train: str, evaluation: str, output: Path, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Make a teacher from a base checkpoint.

    If a run was stopped, run the same command again and it resumes.
    """
    from edgepack.finetune import Options
    from edgepack.finetune import finetune as run_finetune

    columns, console = take_columns(settings), make_console(quiet)
    result = run_finetune(
        base, train, evaluation, output, columns=columns, options=Options(**settings), console=console
    )
    print_result(result, as_json)


@click.command("cut-vectors")
@click.option(
    "-m",
    "--model",
    "teacher",
    required=True,
    help="Teacher that embeds texts: a sentence-transformers folder, or an encoder with --pooling.",
)
@click.option("-d", "--data", "train", required=True, help="Texts like those that will be embedded; no labels needed.")
@click.option("--size", type=click.IntRange(min=1), required=True, help="Length of the new vectors, in numbers.")
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the new teacher; new or empty.")
@click.option(
    "--by",
    type=click.Choice(["pca", "first"]),
    default="pca",
    show_default=True,
    help="Keep the directions in which the vectors vary most, or the first numbers, as for a Matryoshka teacher.",
)
@pooling_option
@click.option("--eval", "evaluation", help="Scored pairs or a search folder, to measure what the cut costs.")
@text_columns
@seed_option
@output_options
def cut_vectors(teacher: str, train: str, size: int, output: Path, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Make a teacher with shorter vectors.

    The new folder is a sentence-transformers model with one more linear layer; `edgepack build -m` takes it.
    """
    from edgepack.finetune import cut_vectors as run_cut
    from edgepack.task.examples import Columns

    names = {part: settings.pop(f"{part}_column") for part in ("text", "pair", "label")}
    columns, console = Columns(**names), make_console(quiet)
    print_result(run_cut(teacher, train, output, size, columns=columns, console=console, **settings), as_json)


@click.command()
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    default=Path("demo-out"),
    show_default=True,
    help="Folder for the demo: new, or that of an earlier demo, which resumes.",
)
@output_options
@click.pass_context
def demo(ctx: click.Context, /, output: Path, as_json: bool, quiet: bool) -> None:
    """Run the whole flow on an embedded example, in a few minutes.

    The example is a classifier of assistant commands.
    """
    from edgepack.demo.run import run_demo

    result = run_demo(output, make_console(quiet))
    print_result(result, as_json)
    ctx.exit(0 if result.passed else 1)


def _request(inputs: dict[str, Any]) -> BuildRequest:
    from edgepack.build import calls

    return calls.make_request(inputs)


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def recipes(ctx: click.Context, /, as_json: bool) -> None:
    """List the built-in recipes: how a student can be trained."""
    if ctx.invoked_subcommand is not None:
        return
    from edgepack.build.recipe_names import list_recipes

    summaries = list_recipes()
    if as_json:
        click.echo(json.dumps(summaries))
        return
    for name, summary in summaries.items():
        click.echo(f"{name:<{max(map(len, summaries)) + 2}}{summary}")


@recipes.command("show")
@click.argument("name")
@json_option
@click.pass_context
def show_recipe(ctx: click.Context, /, name: str, as_json: bool) -> None:
    """Print a recipe with a comment on each key: a file to start from."""
    from edgepack.build.recipe_file import open_recipe
    from edgepack.build.recipe_text import recipe_text

    found = open_recipe(name)
    text, record = recipe_text(found), found.to_record()
    as_json |= ctx.parent is not None and bool(ctx.parent.params["as_json"])  # `recipes --json show`
    click.echo(json.dumps(record) if as_json else text, nl=as_json)
