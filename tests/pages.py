"""What the pages of the documentation hold: fenced blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "sample_apps/**/*.md", ".github/**/*.md")
    for page in REPOSITORY.glob(pattern)
    if "node_modules" not in page.parts
)
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)(?P<language>[^\n]*)\n(?P<text>.*?)^ *(?P=ticks)[ ]*$", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
NOT_RUN = re.compile(r"<!-- not run: (\S[^>]*) -->\n *\Z")
COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
KEYWORDS = {"do", "then", "else", "if", "while", "!", "(", "time", "sudo", "env"}
REDIRECTIONS = {">", ">>", "<", "2>", "&>"}


@dataclass(frozen=True)
class Block:
    """A fenced block. `not_run`: the reason in a comment right above it, which keeps the tests from running it."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def place(self) -> str:
        """Where a reader finds it."""
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """A page as a test names it: its path in the repository."""
    return page.relative_to(REPOSITORY).as_posix() if page.is_relative_to(REPOSITORY) else page.name


def blocks_of(page: Path, text: str | None = None) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8") if text is None else text
    found = []
    for match in FENCE.finditer(text):
        reason = NOT_RUN.search(text, 0, match.start())
        line = text.count("\n", 0, match.start()) + 1
        body = textwrap.dedent(match["text"])
        found.append(Block(page, line, match["language"].strip(), body, reason[1] if reason else None))
    return found


def blocks(*languages: str) -> list[Block]:
    """The blocks of these languages on all pages, those that are said not to run left out."""
    every = (block for page in PAGES for block in blocks_of(page))
    return [block for block in every if block.language in languages and block.not_run is None]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(script: str) -> list[list[str]]:
    """The simple commands of a shell script as words: no comments, assignments, keywords, redirections, `…`."""
    lines = COMMENT.sub("", script.replace("\\\n", " ")).splitlines()
    found: list[list[str]] = []
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.commenters = ""
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();|&"):
                found.append(command)
                command = []
            else:
                command.append(word)
    return [words for command in found if (words := plain(command))]


def plain(command: list[str]) -> list[str]:
    """A command from its program on."""
    words = [word for word in command if word != "…"]
    for place in [place for place, word in enumerate(words) if word in REDIRECTIONS][::-1]:
        del words[place : place + 2]
    while words and (words[0] in KEYWORDS or ASSIGNMENT.match(words[0])):
        words = words[1:]
    return words
