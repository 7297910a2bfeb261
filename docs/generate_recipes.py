"""Write edgepack/build/recipes/shown.json: each built-in recipe as `edgepack recipes show` prints it.

python docs/generate_recipes.py     (part of `make docs`)
"""

from __future__ import annotations

import json
from pathlib import Path

from edgepack.build.recipe_file import built_in_file
from edgepack.build.recipe_names import BUILT_IN, SHOWN
from edgepack.build.recipe_text import recipe_text

FOLDER = Path(__file__).resolve().parents[1] / "edgepack" / "build" / "recipes"


def shown_text() -> str:
    """The file: text and record of each recipe by name."""
    opened = {name: built_in_file(name) for name in BUILT_IN}
    shown = {name: {"text": recipe_text(file), "record": file.to_record()} for name, file in opened.items()}
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (FOLDER / SHOWN).write_text(shown_text(), encoding="utf-8")
