"""Write the help of every command into docs/cli.md, below its `<!-- help: NAME -->` line.

The prose and the examples of that page are written by hand; what a command accepts comes from the command
itself, and tests/test_docs.py fails when the two differ. Run it with `make docs`.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from edgepack.cli import main

PAGE = Path(__file__).with_name("cli.md")
BLOCK = re.compile(r"(<!-- help: (\w+) -->\n)(?:```text\n.*?\n```\n)?", re.DOTALL)
WIDTH = 100


def command_help(name: str) -> str:
    """The `--help` text of one command, at a fixed width whatever the terminal."""
    parent = click.Context(main, info_name="edgepack", terminal_width=WIDTH, max_content_width=WIDTH)
    command = main.commands[name]
    context = click.Context(
        command, info_name=name, parent=parent, help_option_names=["-h", "--help"], terminal_width=WIDTH
    )
    return command.get_help(context)


def with_help(page: str) -> str:
    """The page with each help block as the commands are now."""
    return BLOCK.sub(lambda match: f"{match[1]}```text\n{command_help(match[2])}\n```\n", page)


if __name__ == "__main__":
    PAGE.write_text(with_help(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
