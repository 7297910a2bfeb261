"""Help that fits a terminal of 80 columns, with what an option costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edgepack.build.recipe import RECIPES
from edgepack.cli import main
from edgepack.cli.options import build_options
from tests.pages import REPOSITORY

WIDTH, MOST_LINES = 80, 3


def commands(group: click.Group = main, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")


def help_at(command: click.Command, width: int = WIDTH) -> str:
    return command.get_help(
        click.Context(command, info_name="edgepack", terminal_width=width, help_option_names=["-h", "--help"])
    )


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_option_takes_few_lines(name: str, command: click.Command) -> None:
    text = help_at(command).split("Options:\n")[1].split("\n\n")[0]
    for entry in re.split(r"\n(?=  -)", text):
        first, *rest = entry.splitlines()
        beside = re.search(r"\S  +\S", first.strip())  # what the option does begins on its own line, or on the next
        assert len(rest) + bool(beside) <= MOST_LINES, entry
        assert all(len(line) <= WIDTH for line in entry.splitlines()), entry


@pytest.mark.parametrize("group", [main, main.commands["recipes"]], ids=["edgepack", "recipes"])
def test_a_command_takes_one_line_and_is_whole(group: click.Group) -> None:
    text = help_at(group)
    assert "..." not in text.replace("[ARGS]...", "")
    for name, command in group.commands.items():
        rows = re.findall(rf"^  {name} +(\S.*)$", text, re.MULTILINE)
        assert rows == [(command.help or "").split("\n")[0]]


def test_the_effort_says_what_it_costs() -> None:
    """Examples by the recipes, minutes by the table of recorded builds."""

    @click.command()
    @build_options
    def command(**_: object) -> None: ...

    said = next(
        option.help for option in command.params if option.name == "effort" and isinstance(option, click.Option)
    )
    counts = [f"{RECIPES[name].examples_seen:,}" for name in ("quick", "standard", "max")]
    assert f"{counts[0]}, {counts[1]} or {counts[2]} examples" in str(said)
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    table = page.split("<!-- table:frontier -->")[1].split("<!-- end -->")[0]  # one of tasks, one of builds
    minutes = [int(found) for found in re.findall(r"\| (\d+) min \|", table)]
    assert f"standard took {min(minutes)} to {max(minutes)} min" in str(said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("bundle/edgepack.json", "'bundle/edgepack.json' is a file; give the folder that it is in, 'bundle'"),
        ("bundle.zip", "'bundle.zip' is a file; unpack it and give the folder"),
        ("notes.md", "'notes.md' is a file; give a folder"),
        ("nowhere", "'nowhere' does not exist; give a folder that is there"),
    ],
)
@pytest.mark.parametrize("command", ["gate", "predict", "report", "validate"])
def test_what_is_no_folder_is_said_with_what_to_give(
    command: str, given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundle").mkdir()
    for name in ("bundle/edgepack.json", "bundle.zip", "notes.md"):
        (tmp_path / name).touch()
    result = CliRunner().invoke(main, [command, given])
    assert result.exit_code == 2
    assert said in result.stderr
