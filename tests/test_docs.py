"""The documentation says what is there: commands and flags, generated parts, the list of rooms, files, links."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from edgepack.build.recipe_file import parse_recipe
from edgepack.build.recipe_settings import Recipe
from edgepack.evidence.policy import Policy, read_policy
from edgepack.sweep.file import SweepTable, flat_targets
from edgepack.target import Target, parse_target
from tests.pages import INLINE, PAGES, REPOSITORY, blocks, blocks_of, commands, name_of, prose
from tests.programs import load_program

CLI_PAGE = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]*)(?:#([^)\s]+))?[^)]*\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PATH = re.compile(r"(?:edgepack|benchmarks|tests|docs|targets|sample_apps|\.ci|\.github)/[\w./-]*\w/?")
HISTORY = ("CHANGELOG.md", "docs/decisions", "docs/experiments")  # they name what was there then
GENERATED = {"edgepack/_data"}  # in the wheel alone


GENERATOR = load_program("docs/generate_cli.py")
COMMANDS: list[str] = GENERATOR.command_names()
COMMON = ("-v", "--log-file")


def section(command: str) -> str:
    found = re.search(rf"^##+ edgepack {command}\n(.*?)(?=^##|\Z)", CLI_PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section '## edgepack {command}'"
    return found[1]


def examples(command: str) -> list[list[str]]:
    """The calls of a command in its section, as words behind its name."""
    depth = 1 + len(command.split())
    shell = [block for block in blocks_of(REPOSITORY, section(command)) if block.language == "bash"]
    found = [words for block in shell for words in commands(block.text)]
    return [words[depth:] for words in found if " ".join(words[:depth]) == f"edgepack {command}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented_with_an_example_and_its_help(command: str) -> None:
    assert f"<!-- help: {command} -->\n```text\n" in section(command)
    if not isinstance(GENERATOR.find_command(command)[0], click.Group):
        assert examples(command), f"no example of edgepack {command}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_has_an_example(command: str) -> None:
    """In docs/cli-examples.toml; that the command understands them is seen in test_docs_commands.py.

    What every command has stands once, at the top of the page.
    """
    used = {word.partition("=")[0] for words in examples(command) for word in words if word.startswith("-")}
    flags = [p for p in GENERATOR.find_command(command)[0].params if isinstance(p, click.Option)]
    common = CLI_PAGE.split("## edgepack build")[0]
    flags = [flag for flag in flags if flag.opts[0] not in COMMON or flag.opts[0] not in common]
    assert [flag.opts[-1] for flag in flags if not used & {*flag.opts, *flag.secondary_opts}] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_says_what_it_does(command: str) -> None:
    options = [p for p in GENERATOR.find_command(command)[0].params if isinstance(p, click.Option)]
    assert [option.opts[-1] for option in options if not (option.help or "").strip()] == []


def test_the_page_has_no_command_that_is_gone() -> None:
    assert set(re.findall(r"^##+ edgepack ([\w -]+)$", CLI_PAGE, re.MULTILINE)) == set(COMMANDS)
    assert set(GENERATOR.read_examples()) <= set(COMMANDS)


def test_the_help_in_the_page_is_the_commands_own() -> None:
    assert GENERATOR.with_help(CLI_PAGE) == CLI_PAGE, "run `make docs`"


def test_the_generator_repairs_a_stale_page() -> None:
    stale = CLI_PAGE.replace("--dry-run", "--wet-run").replace("# two targets", "# three targets")
    assert stale != CLI_PAGE
    repaired = GENERATOR.with_help(stale)
    assert "--dry-run" in repaired
    assert "# three targets" not in repaired
    assert "edgepack build [OPTIONS]" in repaired


def listed(text: str) -> set[str]:
    """The rooms and files that a page lists: in a tree, or in the first cells of a table."""
    trees = [line.split()[0] for b in blocks_of(REPOSITORY, text) for line in b.text.splitlines() if line.strip()]
    cells = [code for line in text.splitlines() if line.startswith("|") for code in INLINE.findall(line.split("|")[1])]
    words = [word.removeprefix("edgepack/") for word in [*trees, *cells]]
    return {word for word in words if re.fullmatch(r"[a-z_]+(\.py|/)", word)}


def test_one_page_lists_all_rooms() -> None:
    rooms = {f"{path.parent.name}/" for path in (REPOSITORY / "edgepack").glob("*/__init__.py")}
    files = {path.name for path in (REPOSITORY / "edgepack").glob("*.py") if path.name[0] != "_"}
    named = {name_of(page): listed(page.read_text(encoding="utf-8")) & (rooms | files) for page in PAGES}
    whole = [page for page, found in named.items() if len(found) > len(rooms | files) / 2]
    assert len(whole) == 1, f"pages with a list of the rooms: {whole}; one is enough"
    assert sorted((rooms | files) - named[whole[0]]) == []


def slug(heading: str) -> str:
    """The anchor that hosts make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    broken = []
    for target, anchor in LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        there = page.parent / target if target else page
        if not there.exists():
            broken.append(target)
        elif anchor and there.suffix == ".md":
            headings = HEADING.findall(prose(there))
            broken += [] if anchor in map(slug, headings) else [f"{target}#{anchor}"]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    """`edgepack/task/task.py` in a sentence; pages about what was are left out, and so are patterns and outputs."""
    if name_of(page).startswith(HISTORY):
        return
    named = {code for code in INLINE.findall(prose(page)) if PATH.fullmatch(code)}
    examples = set(re.findall(r"`([\w./-]+)`:\n\n```", page.read_text(encoding="utf-8")))  # a file that the page writes
    assert sorted(n for n in named - examples - GENERATED if not (REPOSITORY / n).exists()) == []


def test_toml_blocks_load(tmp_path: Path) -> None:
    """Policies, targets, recipes and sweeps by their own loaders, told by their keys; all others parse."""
    kinds = {"policy": set(Policy.model_fields), "target": set(Target.__dataclass_fields__)}
    kinds["recipe"] = {"summary", "base", *Recipe.__dataclass_fields__}
    kinds["sweep"] = set(SweepTable.model_fields)
    loaded = []
    for block in blocks("toml"):
        keys = set(tomllib.loads(block.text))
        kind = max(kinds, key=lambda kind: len(keys & kinds[kind]))
        if keys & kinds["policy"] and kind == "policy":
            (tmp_path / "policy.toml").write_text(block.text, encoding="utf-8")
            read_policy(tmp_path / "policy.toml")
        elif keys & kinds["target"]:
            parse_target(block.place, block.text)
        elif keys & kinds["recipe"]:
            parse_recipe(block.place, block.text)
        elif keys & kinds["sweep"]:
            SweepTable.model_validate(flat_targets(tomllib.loads(block.text)))
        loaded.append(kind)
    assert {"policy", "target", "recipe", "sweep"} <= set(loaded)


NAMED_TESTS = {
    (name_of(page), *named)
    for page in PAGES
    for named in re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8"))
    if Path(named[0]).name.startswith("test_")
}


@pytest.mark.parametrize(("page", "name", "function"), sorted(NAMED_TESTS))
def test_every_test_that_a_page_names_is_there(page: str, name: str, function: str) -> None:
    ending = name.removeprefix("tests/")
    found = [p for p in (REPOSITORY / "tests").rglob(Path(name).name) if p.as_posix().endswith(f"/{ending}")]
    assert found, f"{page} names {name}"
    assert not function or any(f"\ndef {function}(" in path.read_text(encoding="utf-8") for path in found)


def test_every_kind_of_input_names_its_test() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", (REPOSITORY / "docs" / "inputs.md").read_text(encoding="utf-8"), re.MULTILINE)
    rows = [row for table in tables if "| test in `" in table for row in table.splitlines()[2:]]
    assert len(rows) > 70
    assert not [row for row in rows if not re.search(r"\btest_\w+\.py::test_\w+`(, `[^`]+`)* \|$", row)]


def test_pages_name_tests() -> None:
    assert {"docs/inputs.md", "docs/threat-model.md"} <= {page for page, _, _ in NAMED_TESTS}
