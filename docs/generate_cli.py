"""Write the help and the examples of every command into docs/cli.md, below its `<!-- help: NAME -->` line.

The prose of that page is written by hand; what a command accepts comes from the command itself, and the examples from
cli-examples.toml. Tests fail when the page differs, when an example is not understood by the command, and when a flag
has none. A command inside a group is named with both words. Run it with `make docs`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, cast

import click

from edgepack.cli import main

PAGE = Path(__file__).with_name("cli.md")
EXAMPLES = Path(__file__).with_name("cli-examples.toml")
BLOCK = re.compile(r"(<!-- help: ([\w -]+?) -->\n)(?:```text\n.*?\n```\n)?(?:\n```bash\n# .*?\n```\n)?", re.DOTALL)
WIDTH = 100


def find_command(name: str) -> tuple[click.Command, click.Context]:
    """A command by its words, with its context at a fixed width whatever the terminal."""
    command: click.Command = main
    context = click.Context(main, info_name="edgepack", terminal_width=WIDTH, max_content_width=WIDTH)
    for word in name.split():
        command = cast(click.Group, command).commands[word]
        context = click.Context(
            command, info_name=word, parent=context, help_option_names=["-h", "--help"], terminal_width=WIDTH
        )
    return command, context


def command_names(group: click.Group = main, before: str = "") -> list[str]:
    """All commands, those inside groups after their group."""
    names = []
    for name, command in group.commands.items():
        names.append(f"{before}{name}")
        if isinstance(command, click.Group):
            names += command_names(command, f"{before}{name} ")
    return names


def command_help(name: str) -> str:
    """The `--help` text of one command."""
    command, context = find_command(name)
    return command.get_help(context)


def read_examples() -> dict[str, dict[str, str]]:
    """Command → what an example is for → its line."""
    tables: dict[str, Any] = tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))
    return tables


def example_block(examples: dict[str, str]) -> str:
    """The examples as one shell block, each below a comment that says what it is for."""
    lines = [line for what, command in examples.items() for line in ("", f"# {what}", folded(command))]
    return "\n".join(["```bash", *lines[1:], "```"])


def folded(command: str) -> str:
    """A command on lines of at most `WIDTH` characters, broken before options."""
    lines = [""]
    for part in re.split(r" (?=--?[a-z])", command):
        if lines[-1] and len(lines[-1]) + len(part) + 3 > WIDTH:
            lines.append(f"  {part}")
        else:
            lines[-1] += f" {part}" if lines[-1] else part
    return " \\\n".join(lines)


def with_help(page: str) -> str:
    """The page with each command's help and examples as they are now."""
    examples = read_examples()

    def filled(match: re.Match[str]) -> str:
        shown = example_block(examples[match[2]]) if match[2] in examples else ""
        return f"{match[1]}```text\n{command_help(match[2])}\n```\n" + (f"\n{shown}\n" if shown else "")

    return BLOCK.sub(filled, page)


if __name__ == "__main__":
    PAGE.write_text(with_help(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
