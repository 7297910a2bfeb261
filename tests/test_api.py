"""docs/api.md names what is public, and each public function has an example there."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path

import pytest

import edgepack
from tests.pages import PAGES, REPOSITORY, blocks_of, name_of
from tests.programs import load_program

GENERATOR = load_program("docs/generate_api.py")
PAGE = REPOSITORY / "docs" / "api.md"
TEXT = PAGE.read_text(encoding="utf-8")
PUBLIC: list[str] = GENERATOR.public_names(TEXT)
COMMAND_LINE = [*(REPOSITORY / "edgepack").glob("cli.py"), *(REPOSITORY / "edgepack").glob("cli/*.py")]


def imports(source: ast.AST) -> set[str]:
    """All names imported from edgepack, dotted."""
    nodes = [node for node in ast.walk(source) if isinstance(node, ast.ImportFrom) and node.module]
    return {f"{n.module}.{alias.name}" for n in nodes if f"{n.module}.".startswith("edgepack.") for alias in n.names}


def examples(page: Path, text: str | None = None) -> set[str]:
    """What the Python blocks of a page import from edgepack."""
    blocks = [block for block in blocks_of(page, text) if block.language == "python"]
    return {name for block in blocks for name in imports(ast.parse(block.text))}


def same(name: str) -> set[str]:
    """A name and the place where what it names is defined."""
    if importlib.util.find_spec(name.rpartition(".")[0]) is None:
        return {name}
    thing = GENERATOR.resolve(name)
    return {name, f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"}


def test_the_signatures_are_the_codes_own() -> None:
    assert GENERATOR.with_signatures(TEXT) == TEXT, "run `make docs`"


def test_no_name_stands_twice() -> None:
    assert sorted(set(PUBLIC)) == sorted(PUBLIC)


def test_what_the_command_line_calls_is_public() -> None:
    """Functions that a command imports where it calls them; imports at the top of a file are its own affair."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in COMMAND_LINE]
    bodies = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    called = {name for body in bodies for name in imports(body)}
    modules = {name for name in called if importlib.util.find_spec(name.rpartition(".")[0]) is not None}
    functions = {name for name in modules if inspect.isfunction(GENERATOR.resolve(name))}
    assert "edgepack.build.flow.build" in functions
    assert sorted(name for name in functions if not same(name) & set(PUBLIC)) == []


def test_what_the_package_names_is_public() -> None:
    named = {f"edgepack.{name}" for name in getattr(edgepack, "__all__", ()) if not name.startswith("__")}
    assert sorted(name for name in named if not same(name) & set(PUBLIC)) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_other_pages_use_public_names_alone(page: Path) -> None:
    """Pages on adding a part are for people who change edgepack, and use what is inside."""
    if name_of(page).startswith("docs/adding-") or page.name == "CONTRIBUTING.md":
        return
    assert sorted(name for name in examples(page) if not same(name) & set(PUBLIC)) == []


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name: str) -> None:
    """A function right below its signature, a class anywhere on the page or as the base of one that has."""
    below = TEXT.split(f"<!-- api: {name} -->", 1)[1].split("<!-- api: ", 1)[0]
    thing = GENERATOR.resolve(name)
    used = examples(PAGE, TEXT if inspect.isclass(thing) else below)
    kin = {name, *(f"{base.__module__}.{base.__qualname__}" for base in getattr(thing, "__mro__", ()))}
    assert any(same(found) & kin for found in used), f"no example of {name}"


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_does(name: str) -> None:
    assert inspect.getdoc(GENERATOR.resolve(name))
