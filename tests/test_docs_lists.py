"""Lists in the documentation are those of their sources: rooms, decisions, messages of the troubleshooting page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.programs import load_program

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
RECORDS = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.stem != "index")
STATUS = re.compile(r"accepted|superseded by \[[^\]]+\]\(([\w-]+\.md)\)")
MESSAGES = re.findall(r"^### `(.+)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
GAP = "…"


@pytest.fixture(scope="module")
def lists() -> ModuleType:
    return load_program("docs/generate_lists.py")


def test_the_lists_are_those_of_their_sources(lists: ModuleType) -> None:
    stale = [path.name for path in lists.LISTS if lists.with_list(path) != path.read_text(encoding="utf-8")]
    assert stale == [], "run `make docs`"


def test_a_stale_list_is_repaired(lists: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setitem(lists.LISTS, page, ("names", lambda: "new"))
    page.write_text("a\n<!-- names -->\nold\n<!-- end -->\nb\n", encoding="utf-8")
    assert lists.with_list(page) == "a\n<!-- names -->\nnew\n<!-- end -->\nb\n"
    page.write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no <!-- names -->"):
        lists.with_list(page)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_title_date_and_status(path: Path, lists: ModuleType) -> None:
    _, _, status = lists.read_record(path)
    found = STATUS.fullmatch(status)
    assert found, f"status is {status!r}; allowed: accepted, superseded by [title](record.md)"
    assert found[1] is None or (path.parent / found[1]).is_file()


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def templates() -> Iterator[str]:
    """Every string of the package, what an f-string fills in as `…`."""
    for path in (REPOSITORY / "edgepack").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_there_are_twenty_messages() -> None:
    assert len(MESSAGES) == 20


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_troubleshooting_page_is_one_of_the_codes(message: str) -> None:
    """The parts between the gaps, in their order, in one string of the package."""
    parts = [part.strip() for part in message.split(GAP) if len(part.strip()) > 2]
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    assert any(pattern.search(text) for text in templates()), "no such message any more; see the page"
