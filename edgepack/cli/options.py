"""Options that several commands share, and how every command prints."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from edgepack.bounded import ARCHIVES
from edgepack.console.colour import coloured, wants_colour
from edgepack.errors import InputError, printable, shown
from edgepack.parameters import MOST_SEED, Disk, Latency, Share, Size
from edgepack.target import list_targets, load_target
from edgepack.task.schemes import SCHEMES

if TYPE_CHECKING:
    from edgepack.console import Console
    from edgepack.task.examples import Columns

F = TypeVar("F", bound=Callable[..., Any])


class NewFile(click.Path):
    """A file to be written: that it can be is asked before the work, not after it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        folder = Path(str(path)).parent
        if not Path(str(path)).name or str(value).endswith("/"):
            self.fail(f"{shown(str(value))} names no file; give one", param, ctx)
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):  # unlike Path's, for names of any length
            self.fail(f"{folder} is no folder that can be written to; make it first, or name another file", param, ctx)
        return path


class NewFolder(click.Path):
    """A folder to be made or filled: that it can be is asked before the work, not after it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("'' names no folder; give one, such as `.` for the current one", param, ctx)
        place = above = os.path.abspath(str(value))
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        if above != place and not os.path.isdir(above):
            self.fail(f"{shown(str(value))} cannot be made: {shown(above)} is a file; give another place", param, ctx)
        return super().convert(value, param, ctx)


class ExistingFolder(click.Path):
    """A folder that is there; of a file or of nothing it says what is needed instead."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = str(value)
        if os.path.isfile(path):
            from edgepack.bundle.manifest import MANIFEST_NAME

            folder = os.path.dirname(path)
            advice = "unpack it and give the folder" if path.lower().endswith(ARCHIVES) else "give a folder"
            if os.path.isfile(os.path.join(folder, MANIFEST_NAME)):
                advice = f"give the folder that it is in, {shown(folder or '.')}"
            self.fail(f"{shown(path)} is a file; {advice}", param, ctx)
        if not os.path.lexists(path):
            self.fail(f"{shown(path)} does not exist; give a folder that is there", param, ctx)
        return super().convert(value, param, ctx)


class GivenText(click.types.StringParamType):
    """The text of an option that is given: `--labels "$NAMES"` without NAMES would be the same as no option."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty; give a value, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)


def refuse_empty_texts(command: click.Command) -> None:
    """No option of the command takes an empty text."""
    for param in command.params:
        if isinstance(param, click.Option) and param.type is click.STRING:
            param.type = GivenText()


FOLDER = NewFolder(file_okay=False, path_type=Path)
FILE = NewFile(dir_okay=False, path_type=Path)
EXISTING_FOLDER = ExistingFolder(exists=True, file_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class TargetName(click.ParamType):
    """The name of a target, checked before anything heavy is imported, and completed by the shell."""

    name = "target"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return load_target(value).name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in list_targets() if name.startswith(incomplete)]


class RenamedOption(click.Option):
    """An option that had another name, which still works and says so."""

    def __init__(self, *arguments: Any, old: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.old = old

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        parser.add_option(obj=self, opts=[self.old], dest=self.old)

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        given = dict(opts)
        if self.old in given:
            if self.name in given:
                raise click.UsageError(f"{self.old} and {self.opts[0]} are the same option; give {self.opts[0]}", ctx)
            make_console(quiet=False).warn(f"{self.old} is called {self.opts[0]} now; {self.old} will go")
            given[str(self.name)] = given.pop(self.old)
        return super().handle_parse_result(ctx, given, args)


def refuse_repeated(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Refuse an option that is given more than once and has one value: which was meant is not known."""
    try:
        with click.Context(command, parent=ctx) as own:
            given, _, order = command.make_parser(own).parse_args(list(args))
    except click.UsageError:
        return  # the command says what is wrong
    for option, times in Counter(order).items():
        if not isinstance(option, click.Option) or option.multiple or option.is_flag or option.count:
            continue
        if times > 1 and getattr(option, "old", None) not in given:  # of both its names the option says so itself
            raise InputError(f"{option.opts[-1]} is given {times} times; it has one value, give it once")


TASKS = ("text-classification", "token-classification", "feature-extraction")


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several click options as one decorator, shown in the order given."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


quiet_option = click.option("--quiet", is_flag=True, help="Print warnings and errors only.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
output_options = options(json_option, quiet_option)
seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0, max=MOST_SEED),
    default=0,
    show_default=True,
    help="Seed of all random numbers; the same seed on the same machine gives the same files.",
)
length_option = click.option(
    "--max-length",
    type=click.IntRange(min=8),
    help="Longest input in tokens. [default: from the data]",
)
long_texts_option = click.option(
    "--long-texts",
    type=click.Choice(["cut", "windows"]),
    help="Texts with more tokens: cut, or read in overlapping windows. [default: cut; windows for tags, if texts "
    "need them]",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Device to train on: auto (a GPU if there is one), cpu, cuda or cuda:1.",
)
target_option = click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    required=True,
    type=TargetName(),
    help="Target to make a model file for; may be given more than once. `edgepack targets` lists them.",
)
outside_option = click.option(
    "--out-of-scope",
    metavar="LABEL",
    help='Label of rows that belong to no label. They are not trained on; they decide when an app says "not sure".',
)
text_columns = options(
    click.option(
        "--text-column", metavar="NAME", help="Column that holds the text or tokens. [default: found by name]"
    ),
    click.option(
        "--pair-column", metavar="NAME", help="Column of the second text, for tasks on pairs. [default: found by name]"
    ),
    click.option(
        "--label-column",
        metavar="NAME",
        help="Column that holds the label, label set, score or tags; or a comma list of columns of 0 and 1. "
        "[default: found by name]",
    ),
)
column_options = options(
    text_columns,
    click.option(
        "--labels",
        metavar="NAMES",
        help="Names of integer labels or tags, from 0: a comma list, or a file with one on each line.",
    ),
    outside_option,
)
pooling_option = click.option(
    "--pooling",
    type=click.Choice(["mean", "first", "last"]),
    help="How an encoder makes one vector of a text's tokens. [default: as its modules.json says]",
)
build_options = options(
    click.option(
        "-m", "--model", "teacher", required=True, help="Teacher: a fine-tuned checkpoint, as a folder or a hub id."
    ),
    click.option(
        "-d",
        "--data",
        "train",
        required=True,
        help="Training data: a TSV, CSV, JSON lines or Parquet file, or a hub id; for embeddings .txt too.",
    ),
    click.option(
        "--eval",
        "evaluation",
        help="Held-out data to measure on. Embeddings: scored pairs, a search folder or texts. [default, for "
        "these only: a part of --data]",
    ),
    click.option(
        "-b",
        "--budget",
        type=Size(),
        required=True,
        help="Most bytes of model and tokenizer together, for each target: 4MB, 4MiB (2^20), or bytes.",
    ),
    target_option,
    click.option(
        "--task",
        type=click.Choice(TASKS),
        help="What the teacher does. [default: from its config; for sentence-transformers with unlabelled data: "
        "feature-extraction]",
    ),
    click.option(
        "--tag-scheme",
        type=click.Choice(SCHEMES),
        help="Scheme of the teacher's tags; types: entities without prefixes; plain: tags that mark no entities. "
        "[default: from labels and answers]",
    ),
    pooling_option,
    column_options,
    click.option(
        "--max-drop",
        type=Share(),
        default="5%",
        show_default=True,
        help="Largest loss of the teacher's metric; exit code 1 unless --eval proves a smaller loss.",
    ),
    click.option(
        "--answer-rate",
        type=Share(),
        default="95%",
        show_default=True,
        help='Share of right answers that apps still give; a lower share makes them say "not sure" more often.',
    ),
    click.option(
        "--effort",
        type=click.Choice(["quick", "standard", "max"]),
        help="Train on 96,000, 400,000 or 1,500,000 examples. standard took 16 to 61 min (2 cores, 23M parameters). "
        "[default: standard]",
    ),
    click.option(
        "--recipe",
        metavar="NAME|FILE",
        help="How to train, instead of --effort: a built-in recipe or a .toml file; see `edgepack recipes`.",
    ),
    click.option(
        "--max-latency",
        type=Latency(),
        metavar="2ms@32",
        help="Longest median time for a text of so many tokens: estimated for the plan, measured at the end.",
    ),
    click.option(
        "--speed-profile",
        type=EXISTING_FILE,
        metavar="FILE",
        help="File of `edgepack profile` with a machine's times, for these estimates. [default: built-in figures]",
    ),
    click.option(
        "--objective",
        type=click.Choice(["loss", "bytes", "latency", "memory"]),
        default="loss",
        show_default=True,
        help="What the chosen shape has least of. For bytes, latency and memory its score must be within --max-drop.",
    ),
    seed_option,
    device_option,
    click.option(
        "--raw-text",
        cls=RenamedOption,
        old="--text",
        type=EXISTING_FILE,
        help="Raw text like the app's, one sentence a line: more of its tokens are kept, and training begins on it.",
    ),
    length_option,
    long_texts_option,
    click.option(
        "--student-tokenizer",
        metavar="FOLDER|ID",
        help="Another tokenizer for the student, as a folder or a hub id, if apps cannot run the teacher's. "
        "[default: the teacher's]",
    ),
    click.option(
        "--disk-budget",
        type=Disk(),
        default="8GB",
        show_default=True,
        help="Most disk for the teacher's outputs, kept in OUT while training; with less the teacher runs more often.",
    ),
    click.option(
        "--allow-untrained",
        is_flag=True,
        help="Accept a teacher that is no better than always answering the commonest label, or contradicts the labels.",
    ),
)

place_options = options(
    click.option("-m", "--model", "teacher", help="Where the teacher is now. [default: as the build recorded it]"),
    click.option("-d", "--data", "train", help="Where the training data is now. [default: as recorded]"),
    click.option("--eval", "evaluation", help="Where the evaluation data is now. [default: as recorded]"),
    click.option(
        "--raw-text",
        cls=RenamedOption,
        old="--text",
        type=EXISTING_FILE,
        help="Where the raw text is now. [default: as recorded]",
    ),
    click.option("--student-tokenizer", help="Where the student's tokenizer is now. [default: as recorded]"),
)


def make_console(quiet: bool) -> Console:
    """Where a command's messages and progress go."""
    from edgepack.console import Console

    return Console(quiet)


def take_columns(inputs: dict[str, Any]) -> Columns:
    """Take the column flags out of `inputs`."""
    from edgepack.task import column_options

    return column_options.columns_of({n: inputs.pop(n) for n in column_options.ColumnOptions.__annotations__})


def print_result(result: Any, as_json: bool) -> None:
    """A result's table, with the colours of what passed and failed, or its JSON."""
    if as_json:
        click.echo(json.dumps(result.to_record()))
        return
    colours, table = wants_colour(sys.stdout), result.table()
    click.echo(coloured(table) if colours else table, color=colours)


def print_record(record: dict[str, Any], as_json: bool) -> None:
    """Names and values, a line each, or as JSON."""
    if as_json:
        click.echo(json.dumps(record))
        return
    for name, value in record.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        click.echo(printable(f"{name:<22}{'' if shown is None else shown}"))
