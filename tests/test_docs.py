"""The documentation says what is there: every command, the generated help, the links."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from edgepack.cli import main

REPOSITORY = Path(__file__).resolve().parents[1]
CLI_PAGE = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("sample_apps/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)[^)]*\)")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_cli", REPOSITORY / "docs" / "generate_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(command: str) -> str:
    found = re.search(rf"^## edgepack {command}\n(.*?)(?=^## |\Z)", CLI_PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section '## edgepack {command}'"
    return found[1]


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_documented_with_an_example_and_its_help(command: str) -> None:
    text = section(command)
    examples = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    assert re.search(rf"^edgepack {command}\b", examples, re.MULTILINE), f"no example of edgepack {command}"
    assert f"<!-- help: {command} -->\n```text\n" in text


def test_the_page_has_no_command_that_is_gone() -> None:
    assert set(re.findall(r"^## edgepack (\w+)", CLI_PAGE, re.MULTILINE)) == set(main.commands)


def test_the_help_in_the_page_is_the_commands_own() -> None:
    assert generator().with_help(CLI_PAGE) == CLI_PAGE, "run `make docs`"


def test_the_generator_repairs_a_stale_page() -> None:
    stale = CLI_PAGE.replace("--dry-run", "--wet-run")
    assert stale != CLI_PAGE
    repaired = generator().with_help(stale)
    assert "--dry-run" in repaired
    assert "edgepack build [OPTIONS]" in repaired


@pytest.mark.parametrize("command", sorted(main.commands))
def test_examples_use_flags_that_exist(command: str) -> None:
    known = {flag for parameter in main.commands[command].params for flag in parameter.opts}
    examples = "\n".join(re.findall(r"```bash\n(.*?)```", section(command), re.DOTALL))
    assert set(re.findall(r"(?<=\s)--?[a-z][\w-]*", examples)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []
