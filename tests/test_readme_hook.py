"""README on a package index: no relative link is left in what the built metadata holds."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.programs import load_program

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
RELATIVE = re.compile(r"\]\((?!https://|#)[^)]*\)")


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    return load_program("hatch_build.py")


def test_with_a_repository_links_and_pictures_lead_to_the_versions_tag(hook: ModuleType) -> None:
    page = hook.for_index(README, "https://example.com/owner/edgepack/", "v1.2.3")
    assert RELATIVE.findall(page) == []
    assert "](https://example.com/owner/edgepack/raw/v1.2.3/docs/images/frontier.svg)" in page
    assert "(https://example.com/owner/edgepack/blob/v1.2.3/docs/index.md)" in page


def test_without_one_pictures_are_left_out_and_links_are_words(hook: ModuleType) -> None:
    page = hook.for_index(README, "", "v1.2.3")
    assert RELATIVE.findall(page) == []
    assert "![" not in page
    assert "Start here" in page


def test_other_links_and_code_stay(hook: ModuleType) -> None:
    text = "[a](https://a.example/b.md) [c](#d) [e](docs/e.md#f)\n```python\nx = [y](z.md)\n```\n"
    url = "https://example.com/r"
    expected = text.replace("(docs/e.md#f)", f"({url}/blob/v1/docs/e.md#f)")
    assert hook.for_index(text, url, "v1") == expected


def test_the_metadata_gets_readme(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hook.VARIABLE, "https://example.com/r")
    metadata: dict[str, object] = {}
    hook.ReadmeHook(str(REPOSITORY), {}).update(metadata)
    readme = metadata["readme"]
    assert isinstance(readme, dict)
    assert readme["content-type"] == "text/markdown"
    assert "https://example.com/r/blob/v" in readme["text"]
