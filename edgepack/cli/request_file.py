"""`--config FILE.toml`: a whole request in a file, the options of `build` and `plan` by their long names.

One file serves both commands. It is read whole, or refused in one line with the file, the key and what is allowed,
before anything heavy is imported. Paths in it are relative to it. What the command line gives has precedence, and that
is said. `--print-config` prints such a file from what is given, every other option as a comment with what it does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from edgepack.bounded import Place, read_plain, read_toml
from edgepack.cli.options import make_console
from edgepack.errors import EdgepackError, did_you_mean, shown
from edgepack.parameters import Latency, Share, Size, located

NOT_ASKED = {"config", "print_config", "tensors", "dry_run", "fresh", "as_json", "quiet", "verbose", "log_file"}
ELSEWHERE = ("output", "search", "jobs")  # keys of the other command, which a file for both has
SOURCES = ("model", "data", "eval", "student-tokenizer")  # a path, or a hub id
EXCLUSIVE = ("effort", "recipe")
WIDTH = 110
HEADER = "# A request of `edgepack build` and `edgepack plan`: give it with --config. Paths are relative to this file."


class RequestCommand(click.Command):
    """A command whose options may stand in a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(list(args))
        if ctx.resilient_parsing or "help" in given:
            return super().parse_args(ctx, args)
        table = read_request(self, ctx, str(given["config"])) if given.get("config") else {}
        own = given_by_key(self, given)
        if given.get("print_config"):
            click.echo(request_text(self, ctx, {**without_rivals(table, own), **own}), nl=False)
            ctx.exit()
        known = options_by_key(self)
        ctx.default_map = {
            str(known[key].name): as_given(known[key], value)
            for key, value in without_rivals(table, own).items()
            if key in known
        }
        rest = super().parse_args(ctx, args)
        console = make_console(bool(given.get("quiet")))
        for key in own if table else ():
            for other in EXCLUSIVE if key in EXCLUSIVE else (key,):
                if other in table:
                    console.info(
                        f"{given['config']}: {other} = {_toml(table[other])} there; --{key} on the command line is used"
                    )
        return rest


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--config` and `--print-config`."""
    path = click.Path(exists=True, dir_okay=False)
    given = click.option(
        "--config",
        type=path,
        metavar="FILE",
        expose_value=False,
        help="TOML file with options by their long names; options on the command line override it.",
    )
    printed = click.option(
        "--print-config",
        is_flag=True,
        expose_value=False,
        help="Print a file for --config from the options given, with a comment on each, and stop.",
    )
    return given(printed(command))


def options_by_key(command: click.Command) -> dict[str, click.Option]:
    """The options that a file may hold, by their long names."""
    asked = [p for p in command.params if isinstance(p, click.Option) and p.name not in NOT_ASKED]
    return {long_name(option): option for option in asked}


def long_name(option: click.Option) -> str:
    """`max-drop` for `--max-drop`."""
    return next(name for name in option.opts if name.startswith("--"))[2:]


def read_request(command: click.Command, ctx: click.Context, path: str) -> dict[str, Any]:
    """The file's table, each value of its option's type, paths as seen from here; `InputError` names file and key."""
    known, place = options_by_key(command), Place(path)
    table = read_toml(Path(path), path)
    allowed = [*known, *(key for key in ELSEWHERE if key not in known)]
    for key, value in table.items():
        if key not in allowed:
            given_alone = " (it is given on the command line alone)" if key.replace("-", "_") in NOT_ASKED else ""
            hint = did_you_mean(key, allowed, 0.6)
            raise place.inside(key).error(f"is unknown{given_alone}; allowed: {', '.join(allowed)}{hint}")
        if key in known:
            check_value(known[key], ctx, value, place.inside(key))
    rivals = [key for key in EXCLUSIVE if key in table]
    if len(rivals) > 1:
        raise place.error(f"{' and '.join(rivals)} are both there; allowed: one of them")
    return {
        key: as_seen_from_here(known[key], key, value, Path(path)) if key in known else value
        for key, value in table.items()
    }


def check_value(option: click.Option, ctx: click.Context, value: Any, place: Place) -> None:
    """Refuse a value of another type, or one that the command line would refuse too."""
    if option.multiple:
        read_plain(list[str], value, place)
        if not value:
            raise place.error("is empty; give one or more")
    elif isinstance(option.type, Size | Share):
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise place.error(f"is {shown(value)}; it must be a text or a number, as {example(option)}")
    else:
        kinds = {click.types.BoolParamType: bool, click.types.IntRange: int, click.types.FloatRange: float}
        read_plain(kinds.get(type(option.type), str), value, place)
    if isinstance(option.type, click.Path):
        return  # of this file, and looked at when it is known where
    try:
        option.type_cast_value(ctx, as_given(option, value))
    except (click.BadParameter, EdgepackError) as e:
        reason = e.message if isinstance(e, click.BadParameter) else str(e)
        raise place.error(f"is {shown(value)}; {reason[0].lower()}{reason[1:].rstrip('.')}") from e


def as_given(option: click.Option, value: Any) -> Any:
    """A file's value as the command line has it: sizes and shares as text, which has a unit or lacks one."""
    return str(value) if isinstance(option.type, Size | Share) else value


def as_seen_from_here(option: click.Option, key: str, value: Any, file: Path) -> Any:
    """A path of the file as seen from here; what is no path stays as it is."""
    path_like = isinstance(option.type, click.Path) or (key == "recipe" and str(value).endswith(".toml"))
    return located(key, str(value), file, path_like) if path_like or key in (*SOURCES, "labels") else value


def given_by_key(command: click.Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line gives, as a file would have it."""
    names = {key: (str(option.name), getattr(option, "old", "")) for key, option in options_by_key(command).items()}
    return {key: given[name] for key, both in names.items() for name in both if name in given}


def without_rivals(table: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A file's values without those that the command line gives something else for."""
    gone = set(EXCLUSIVE) if set(EXCLUSIVE) & set(own) else set()
    return {key: value for key, value in table.items() if key not in gone | set(own)}


def request_text(command: click.Command, ctx: click.Context, values: Mapping[str, Any]) -> str:
    """A request as its file, every option below its help."""
    lines = [HEADER]
    for key, option in options_by_key(command).items():
        lines += ["", *_comment(option.help or "")]
        value = values.get(key)
        if value is None:
            lines.append(f"# {key} = {example(option)}")
            continue
        option.type_cast_value(ctx, as_given(option, value))  # what the command line refuses is refused here
        whole = isinstance(option.type, click.types.IntRange)
        lines.append(f"{key} = {_toml(int(value) if whole else value)}")
    lines += [
        f"{key} = {_toml(values[key])}" for key in ELSEWHERE if key in values and key not in options_by_key(command)
    ]
    return "\n".join(lines) + "\n"


def example(option: click.Option) -> str:
    """A value of the option as TOML: its default, or one that shows the form."""
    forms: dict[type, Any] = {Size: "4MB", Latency: "2ms@32", click.types.IntRange: 64, click.types.BoolParamType: True}
    if option.multiple:
        return '["android-onnx"]'
    if isinstance(option.default, str | int | float) and not isinstance(option.default, bool):
        return _toml(option.default)
    if isinstance(option.type, click.Choice):
        return " or ".join(map(_toml, option.type.choices))
    return _toml(forms.get(type(option.type), "…"))


def _comment(text: str) -> Iterator[str]:
    import textwrap

    yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _toml(value: Any) -> str:
    """A text, a number, a truth value or a list of texts as TOML, which writes these as JSON does."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
