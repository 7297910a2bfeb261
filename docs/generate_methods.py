"""Write the recipes and the recorded rows into the pages of docs/methods/, and the list of those pages into methods.md.

    python docs/generate_methods.py     (part of `make docs`)

A page says in `<!-- recipes: … -->` which built-in recipes it is about, in `<!-- rows: … -->` which rows of the tables
in methods.md are theirs; below each line stands what this program makes, up to `<!-- end -->`. Ideas, formulas, sources
and deviations are written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edgepack.build.recipe_file import built_in_file
from edgepack.build.recipe_names import FOLDER

DOCS = Path(__file__).resolve().parent
INDEX = DOCS / "methods.md"
BLOCK = re.compile(r"(<!-- (recipes|rows): ([\w, -]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
LIST = re.compile(r"(<!-- pages -->\n).*?(<!-- end -->)", re.DOTALL)
NOTE = "Both seeds of a small effort; [how to read a row](../methods.md#how-to-read-a-row) says what it cannot show."


def method_pages() -> list[Path]:
    """The pages, by name."""
    return sorted((DOCS / "methods").glob("*.md"))


def names_in(page: str, kind: str) -> list[str]:
    """The recipes, or rows, that a page is about."""
    return [name for _, found, names, _ in BLOCK.findall(page) if found == kind for name in names.split(", ")]


def filled(page: str) -> str:
    """A page with its recipes and rows as they are now."""

    def fill(match: re.Match[str]) -> str:
        names = match[3].split(", ")
        lines = list(recipe_lines(names) if match[2] == "recipes" else row_lines(names))
        return "\n".join([match[1], *lines, "", match[4]])

    return BLOCK.sub(fill, page)


def recipe_lines(names: list[str]) -> Iterator[str]:
    """Each recipe with what it is and its file; `standard` is long, and printed by a command."""
    for number, name in enumerate(names):
        yield from ([""] if number else [])
        yield f"`{name}`: {built_in_file(name).summary}."
        text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8").strip()
        if name != "standard":
            yield from ("", "```toml", text, "```")


def row_lines(names: list[str]) -> Iterator[str]:
    """Rows of the tables in methods.md, each table's below its header."""
    tables, found = re.findall(r"(?:^\|.*\n)+", INDEX.read_text(encoding="utf-8"), re.MULTILINE), False
    for table in tables[:-1]:  # the last one is of the default's parts, not of methods
        header, rule, *rows = table.splitlines()
        if "variant" not in header:
            continue
        place = [cell.strip() for cell in header.strip("|").split("|")].index("variant")
        own = [row for row in rows if row.strip("|").split("|")[place].strip().strip("`") in names]
        if own:
            found = True
            yield from (header, rule, *own, "")
    yield NOTE if found else "It has no row in the tables of [methods.md](../methods.md), whose builds are older."


def list_lines() -> Iterator[str]:
    """A row for each page: its title and its recipes."""
    yield from ("| method | recipes |", "|---|---|")
    for path in method_pages():
        page = path.read_text(encoding="utf-8")
        title = page.splitlines()[0].removeprefix("# ")
        yield f"| [{title}](methods/{path.name}) | {', '.join(f'`{name}`' for name in names_in(page, 'recipes'))} |"


def with_pages(index: str) -> str:
    """The index with its list of pages as it is now."""
    first, *rest = list_lines()
    return LIST.sub(lambda match: "\n".join([f"{match[1]}{first}", *rest, match[2]]), index)


def main() -> None:
    """Rewrite the pages, then the index."""
    for path in method_pages():
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    INDEX.write_text(with_pages(INDEX.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
