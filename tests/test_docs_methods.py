"""Pages of methods, built-in recipes, losses and keys belong together: none is without the others."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.variants import METHODS
from edgepack.build.recipe_names import BUILT_IN
from edgepack.build.recipe_text import COMMENTS
from edgepack.compress.distil.objective import LOSSES
from tests.programs import load_program

GENERATOR: ModuleType = load_program("docs/generate_methods.py")
PAGES = {path: path.read_text(encoding="utf-8") for path in GENERATOR.method_pages()}
HEADINGS = ["Formula", "Source", "Deviations in this code", "Recipe", "What it gave so far"]


def keys_of(page: str) -> str:
    """What a page says of its recipe's keys and losses, by hand."""
    return page.partition("## Recipe")[2].partition("## What")[0].rpartition("<!-- end -->")[2]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_its_parts_and_what_is_made_of_sources_is_as_they_are(path: Path) -> None:
    page = PAGES[path]
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == HEADINGS
    assert GENERATOR.filled(page) == page, "run `make docs`"
    assert GENERATOR.names_in(page, "recipes")
    assert keys_of(page).strip()


def test_every_recipe_has_a_page() -> None:
    named = Counter(name for page in PAGES.values() for name in GENERATOR.names_in(page, "recipes"))
    assert set(named) == set(BUILT_IN)
    assert [name for name, count in named.items() if count > 1] in ([], ["standard"])  # whose optimizer has a page too


def test_every_loss_and_its_settings_have_a_page() -> None:
    missing = []
    for name, kind in LOSSES.items():
        found = [keys_of(page) for page in PAGES.values() if f"`{name}`" in keys_of(page)]
        settings = [field.name for field in fields(kind) if field.name != "weight"]
        missing += [name] if not found else []
        missing += [f"{name}.{key}" for key in settings if not any(f"`{key}`" in text for text in found)]
    assert missing == []


def test_every_key_has_a_page() -> None:
    written = "\n".join(map(keys_of, PAGES.values()))
    named = set(re.findall(r"`([\w.]+)", written))
    names = {key for key in COMMENTS if "." not in key}
    assert sorted(names - {key.split(".")[0] for key in named} - {"layer_map"}) == []
    inside = {key.split(".")[1] for key in COMMENTS if "." in key}
    assert sorted(inside - named - {key.split(".")[-1] for key in named}) == []
    assert "`layer_map`" in written


def test_every_row_of_a_method_is_on_a_page() -> None:
    shown = {name for page in PAGES.values() for name in GENERATOR.names_in(page, "rows")}
    assert shown <= set(METHODS)
    assert set(METHODS) - shown == set()


def test_the_index_lists_the_pages() -> None:
    index = GENERATOR.INDEX.read_text(encoding="utf-8")
    assert GENERATOR.with_pages(index) == index, "run `make docs`"
    assert all(f"(methods/{path.name})" in index for path in PAGES)


def test_a_stale_page_is_repaired() -> None:
    path = next(path for path in PAGES if path.stem == "emd")
    stale = PAGES[path].replace("earth_mover", "earth_remover").replace("| `earth-mover` |", "| `earth-remover` |")
    assert (
        "earth_remover"
        not in GENERATOR.filled(stale).partition("## What")[0].partition("<!-- recipes")[2].partition("<!--")[0]
    )
    assert "earth-remover" not in GENERATOR.filled(stale)
