"""The house's rules, read from the sources: imports without circles, few rooms that say what they are, short parts.

Every import statement counts, those inside functions and under `TYPE_CHECKING` too. Two kinds of arrow do not: what a
registry names in a string and imports when it is looked up, and that importing a file runs its package's `__init__`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "edgepack"
FILES = {path.relative_to(REPOSITORY).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
BENCHMARKS = {
    path.relative_to(REPOSITORY).as_posix(): path for path in sorted((REPOSITORY / "benchmarks").glob("*.py"))
}
SOURCES = FILES | BENCHMARKS
ROOMS = sorted(path.parent.relative_to(REPOSITORY).as_posix() for path in PACKAGE.glob("*/**/__init__.py"))

MOST_ENTRIES = 30
MOST_LINES = 400
MOST_FUNCTION_LINES = 50
MOST_BY_POSITION = 7  # beyond that a reader cannot tell which value is which: parameters are keyword-only
MOST_PARAMETERS = 12
ELSEWHERE = re.compile(r"belongs? to ((?:`[\w./]+`)(?:(?:, | and | or )`[\w./]+`)*)")

Tree = ast.Module
Function = ast.FunctionDef | ast.AsyncFunctionDef
Graph = Mapping[str, set[str]]


def module_name(file: str) -> str:
    """`edgepack/task/task.py` → `edgepack.task.task`; a package's `__init__` has the package's name."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def trees() -> Mapping[str, Tree]:
    """Every source parsed, once a test asks: it takes seconds."""
    return {file: ast.parse(path.read_text(encoding="utf-8")) for file, path in SOURCES.items()}


def modules() -> Mapping[str, Tree]:
    """The package's files by the names that they are imported by."""
    return {module_name(file): trees()[file] for file in FILES}


PACKAGES = {room.replace("/", ".") for room in ROOMS} | {"edgepack"}


def imported(tree: Tree, known: set[str]) -> set[str]:
    """The known modules that a file's import statements name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & known
            found |= {node.module} if inside - known else set()
    return found & known


def circle(graph: Graph) -> list[str]:
    """A circle of the graph, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as e:
        return list(reversed(e.args[1]))
    return []


def merged(graph: Graph, place: Mapping[str, str]) -> Graph:
    """The graph between the places that its nodes are in."""
    between: dict[str, set[str]] = {room: set() for room in place.values()}
    for start, ends in graph.items():
        between[place[start]] |= {place[end] for end in ends} - {place[start]}
    return between


def functions(tree: Tree) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def by_position(function: Function, method: bool) -> int:
    """How many parameters can be given by position; `self` and `cls` do not count."""
    arguments = function.args
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)
    return len(arguments.posonlyargs) + len(arguments.args) - (method and not static)


def is_command(function: Function) -> bool:
    """A click command: click gives every parameter by its name."""
    names = {ast.unparse(decorator) for decorator in function.decorator_list}
    return any(re.match(r"[\w.]+\.command\(", name) for name in names)


def wide_signatures(tree: Tree) -> list[str]:
    """Functions with too many parameters, by position or in all; click gives a command's by name."""
    methods = {f for c in ast.walk(tree) if isinstance(c, ast.ClassDef) for f in c.body}
    wide = []
    for function in functions(tree):
        count = by_position(function, function in methods)
        total = count + len(function.args.kwonlyargs)
        if not is_command(function) and (count > MOST_BY_POSITION or total > MOST_PARAMETERS):
            wide.append(f"{function.name}: {count} by position, {total} in all")
    return wide


def first_line(tree: Tree) -> str:
    """The first line of a file's docstring."""
    return next(iter((ast.get_docstring(tree) or "").splitlines()), "")


def exists(place: Path) -> bool:
    """Whether a folder or a Python file of that name is there."""
    return place.exists() or place.with_name(f"{place.name}.py").exists()


@cache
def imports() -> Graph:
    """What each of the package's files imports of the others."""
    parsed = modules()
    return {name: imported(tree, set(parsed)) - {name} for name, tree in parsed.items()}


def test_no_circle_of_files() -> None:
    assert circle(imports()) == []


def test_no_circle_of_rooms() -> None:
    """A room is what lies in edgepack/: a package with all that is below it, or a file."""
    assert circle(merged(imports(), {name: ".".join(name.split(".")[:2]) for name in modules()})) == []


def test_no_circle_of_packages() -> None:
    """The same with every package by itself, those inside another one too."""
    place = {name: name if name in PACKAGES else name.rpartition(".")[0] for name in modules()}
    place |= {name: name for name, room in place.items() if room == "edgepack"}  # files on the ground stand alone
    assert circle(merged(imports(), place)) == []


def test_a_circle_is_found() -> None:
    tree = ast.parse("def work() -> None:\n    from edgepack.b import made")
    assert imported(tree, {"edgepack.a", "edgepack.b"}) == {"edgepack.b"}
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert circle(
        merged(
            {"x.a": {"y.b"}, "y.b": set(), "y.c": {"x.d"}, "x.d": set()},
            {
                "x.a": "x",
                "x.d": "x",
                "y.b": "y",
                "y.c": "y",
            },
        )
    )


def test_at_most_thirty_entries() -> None:
    """Rooms and files. Not counted: names with an underscore first (`__init__`, `__pycache__`, `_data`), py.typed."""
    entries = [path.name for path in PACKAGE.iterdir() if path.name[0] not in "._" and path.name != "py.typed"]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_every_file_says_what_it_holds() -> None:
    silent = [file for file, tree in trees().items() if len(first_line(tree).split()) < 3]
    assert silent == [], "the first line of a file's docstring says what belongs there"


def test_no_two_files_say_the_same() -> None:
    first = Counter(first_line(tree) for tree in trees().values())
    assert [line for line, count in first.items() if count > 1] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_belongs_elsewhere(room: str) -> None:
    """In its docstring's first line, naming the room or file where that is."""
    line = first_line(trees()[f"{room}/__init__.py"])
    found = ELSEWHERE.search(line)
    assert found, f"{room}: {line!r} does not say what is not here; write: … belongs to `room`"
    named = set(re.findall(r"`([\w./]+)`", found[1]))
    beside = [PACKAGE, (REPOSITORY / room).parent]
    assert [name for name in named if not any(exists(folder / name) for folder in beside)] == []
    assert Path(room).name not in named


def test_no_file_is_long() -> None:
    lines = {file: len(path.read_text(encoding="utf-8").splitlines()) for file, path in SOURCES.items()}
    assert {file: count for file, count in lines.items() if count > MOST_LINES} == {}


def test_no_function_is_long() -> None:
    lengths = {
        f"{file}: {f.name}": (f.end_lineno or 0) - f.lineno + 1
        for file, tree in trees().items()
        for f in functions(tree)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_FUNCTION_LINES} == {}


@pytest.mark.parametrize(
    ("source", "wide"),
    [
        ("def f(a, b, c, d, e, f, g): ...", False),
        ("def f(a, b, c, d, e, f, g, h): ...", True),
        ("def f(a, b, c, d, e, f, g, *, h): ...", False),
        ("def f(*, a, b, c, d, e, f, g, h, i, j, k, l): ...", False),
        ("def f(*, a, b, c, d, e, f, g, h, i, j, k, l, m): ...", True),
        ("class C:\n  def f(self, a, b, c, d, e, f, g): ...", False),
        ("@main.command()\ndef f(a, b, c, d, e, f, g, h): ...", False),
    ],
)
def test_what_a_wide_signature_is(source: str, wide: bool) -> None:
    assert bool(wide_signatures(ast.parse(source))) == wide


def test_signatures_are_narrow() -> None:
    wide = [f"{file}: {what}" for file, tree in trees().items() for what in wide_signatures(tree)]
    assert wide == [], (
        f"{MOST_BY_POSITION} parameters by position, {MOST_PARAMETERS} in all: make the rest keyword-only"
    )


def test_calls_are_narrow() -> None:
    """No call has so many values by position that none tells what it is; functions of `*values` take a list."""
    any_number = {f.name for tree in trees().values() for f in functions(tree) if f.args.vararg}
    wide = [
        f"{file}:{call.lineno}: {ast.unparse(call.func)} with {len(call.args)}"
        for file, tree in trees().items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and len(call.args) > MOST_BY_POSITION
        if ast.unparse(call.func).rpartition(".")[2] not in any_number
    ]
    assert wide == []


def test_import_contracts_have_no_exception() -> None:
    """`:` in a layer lets siblings import each other; `ignore_imports` lets anything."""
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [layer for contract in contracts["contracts"] for layer in contract.get("layers", [])]
    assert layers
    assert [layer for layer in layers if ":" in layer or "(" in layer] == []
    assert [c["name"] for c in contracts["contracts"] if c.get("ignore_imports")] == []
    assert all(c["exhaustive"] for c in contracts["contracts"] if c["type"] == "layers")
