"""Commands in the documentation are commands that are there: edgepack's, make's, Python modules, benchmarks, extras."""

from __future__ import annotations

import argparse
import importlib.util
import re
import tomllib
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from benchmarks.__main__ import COMMANDS
from edgepack.cli import main
from edgepack.cli.options import ExistingFolder
from tests.pages import INLINE, PAGES, REPOSITORY, Block, blocks, blocks_of, commands, name_of, prose

LANGUAGES = {"bash", "groovy", "html", "javascript", "js", "json", "kotlin", "python", "swift", "text", "toml", "yaml"}
MAKE_TARGETS = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEFAULTS = {str(p.default) for command in main.commands.values() for p in command.params}  # such as an app's name
EXTRAS = re.compile(r"edgepack\[([\w,.-]+)\]|(?<!\S)\.\[([\w,.-]+)\]")


@pytest.fixture(autouse=True)
def no_files_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paths in examples are a reader's own."""
    for kind in (click.Path, ExistingFolder):
        monkeypatch.setattr(kind, "convert", lambda self, value, param, ctx: Path(value))


@pytest.fixture(autouse=True)
def no_request_or_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader's own `build.toml`, and no log of a test."""
    table = {"model": "t", "data": "d", "eval": "e", "budget": "4MB", "target": ["android-onnx"], "output": "out"}
    monkeypatch.setattr("edgepack.cli.request_file.read_request", lambda *_: table)
    for name in ("write_log", "show_steps"):
        monkeypatch.setattr(f"edgepack.cli.logs.{name}", lambda *_: lambda: None)


@pytest.fixture(autouse=True)
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark stops when its options are read."""
    read = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *values: Any, **named: Any) -> None:
        read(self, *values, **named)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)


class Parsed(Exception):
    """The options were right."""


def check_edgepack(words: Sequence[str]) -> None:
    """Parse `edgepack WORDS` as the command line does, groups inside groups too; `UsageError` for what it refuses."""
    try:
        context, command = main.make_context("edgepack", list(words)), main
        while isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            if not rest and command.invoke_without_command:
                return
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)
    except click.exceptions.Exit:
        return  # --help and --version end here


def check_python(words: Sequence[str]) -> None:
    """`python -m MODULE …` and `python FILE`."""
    if not words or words[0] == "-c":
        return
    if words[0] != "-m":
        assert (REPOSITORY / words[0]).is_file(), f"no file {words[0]}"
        return
    module, rest = words[1], words[2:]
    assert importlib.util.find_spec(module) is not None, f"no module {module}"
    if module == "edgepack":
        check_edgepack(rest)
    elif module == "benchmarks":
        assert rest, "python -m benchmarks needs a name"
        assert rest[0] in COMMANDS, f"no benchmark {rest[0]!r}"
        with pytest.raises(Parsed):
            import_module(COMMANDS[rest[0]]).main(list(rest[1:]))


def check_make(words: Sequence[str]) -> None:
    """`make TARGET… NAME=value…`."""
    unknown = [word for word in words if "=" not in word and word not in MAKE_TARGETS]
    assert unknown == [], f"no such target in Makefile: {unknown}"


def check_command(words: Sequence[str]) -> None:
    """What a program is given must be there; programs that are not this project's are not looked into."""
    program, rest = Path(words[0]).name, words[1:]
    for extra in (name for found in EXTRAS.finditer(" ".join(words)) for name in (found[1] or found[2]).split(",")):
        assert extra in PROJECT["optional-dependencies"], f"no extra {extra!r} in pyproject.toml"
    if program == "edgepack":
        check_edgepack(rest)
    elif re.fullmatch(r"python(3(\.\d+)?)?", program):
        check_python(rest)
    elif program == "make":
        check_make(rest)
    elif words[0].startswith(".ci/"):
        assert (REPOSITORY / words[0]).is_file(), f"no file {words[0]}"


def run_lines(value: Any) -> Iterator[str]:
    """The shell scripts of a CI service's file: every `run` or `script` in it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("run", "script"):
                yield "\n".join(inner) if isinstance(inner, list) else str(inner)
            else:
                yield from run_lines(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from run_lines(inner)


@pytest.mark.parametrize("block", blocks("bash"), ids=lambda block: block.place)
def test_shell_blocks(block: Block) -> None:
    for words in commands(block.text):
        try:
            check_command(words)
        except (click.ClickException, SystemExit) as e:
            reason = e.format_message() if isinstance(e, click.ClickException) else "see stderr"
            pytest.fail(f"{block.place}: `{' '.join(words)}`: {reason}")


def test_yaml_blocks_and_workflows() -> None:
    """What a CI service is told to run."""
    workflows = [path.read_text(encoding="utf-8") for path in REPOSITORY.glob(".github/workflows/*.yml")]
    for text in [*workflows, *(block.text for block in blocks("yaml"))]:
        for script in run_lines(yaml.safe_load(text)):
            for words in commands(re.sub(r"\$\{\{.*?\}\}", "value", script)):
                check_command(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_names_its_language(page: Path) -> None:
    """So that no example is left out of these tests by its spelling."""
    assert [(b.place, b.language) for b in blocks_of(page) if b.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_sentences(page: Path) -> None:
    """`edgepack NAME --flag` and `make TARGET` in the text name what is there."""
    assert [code for code in INLINE.findall(prose(page)) if is_wrong(code)] == []


def is_wrong(code: str) -> bool:
    """Whether code in a sentence names a command, a flag or a target of make that is not there."""
    words = code.split()
    if words[0] == "make":
        return any("=" not in word and word not in MAKE_TARGETS for word in words[1:])
    if words[0] != "edgepack" or len(words) == 1 or code in DEFAULTS:
        return False
    command: Any = main
    while len(words) > 1 and isinstance(command, click.Group) and words[1] in command.commands:
        command = command.commands[words.pop(1)]
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    flags = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(words))) - known - {"--help", "-h"}
    return bool(flags) or (command is main and words[1][0] not in "-[…")


def test_commands_in_messages() -> None:
    """A message that sends a user to a command names one that is there."""
    named = {
        (path.name, name)
        for path in (REPOSITORY / "edgepack").rglob("*.py")
        for name in re.findall(r"`edgepack ([a-z][\w-]*)", path.read_text(encoding="utf-8"))
    }
    assert named
    assert sorted((file, name) for file, name in named if name not in main.commands) == []


@pytest.mark.parametrize(
    "line",
    [
        "edgepack biuld -m teacher",
        "edgepack targets --jsonn",
        "edgepack plan -m teacher -d train.tsv --eval dev.tsv -b 4MB",  # no target
        "edgepack build -m t -d t --eval e -b 4XB -t android-onnx -o out",
        "edgepack package bundle --app windows -o app",
        "make dmeo",
        "python -m edgepack targets --nothing",
        "python -m edgepack.nothing",
        "python docs/nothing.py",
        "python -m benchmarks nothing",
        "python -m benchmarks plot --nothing",
        "HF_HUB_OFFLINE=1 .venv/bin/edgepack demo \\\n  --nothing",
        "edgepack targets | edgepack doctor --nothing",
        'pip install "edgepack[nothing]"',
        "pip install -e .[nothing]",
    ],
)
def test_a_wrong_command_is_found(line: str) -> None:
    *right, wrong = commands(line)
    for words in right:
        check_command(words)
    with pytest.raises((click.ClickException, AssertionError, ModuleNotFoundError, SystemExit)):
        check_command(wrong)


def test_what_a_script_is_cut_into() -> None:
    script = "A=1 sudo make demo  # the flow\nedgepack gate out/* \\\n  --junit 'a b.xml' > log && echo 'a#b' | head"
    assert commands(script) == [
        ["make", "demo"],
        ["edgepack", "gate", "out/*", "--junit", "a b.xml"],
        ["echo", "a#b"],
        ["head"],
    ]
