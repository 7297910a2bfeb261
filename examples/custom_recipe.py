"""A recipe of your own: what training does, in a TOML file, compared with the built-in one at the same length.

    python examples/custom_recipe.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import edgepack
from small_task import sentiment

# `edgepack recipes show NAME` prints a whole one to start from; docs/recipes.md says what each key means.
RECIPE = """
summary = "relations of the last layer first, then the teacher's probabilities"
base = "minilm"
examples_seen = 3000
batch_size = 16
"""


def main(folder: Path) -> None:
    """Build by both recipes and compare the bundles on the evaluation data."""
    task = sentiment(folder)
    mine = folder / "mine.toml"
    mine.write_text(RECIPE, encoding="utf-8")
    bundles = []
    for name, recipe in (("built-in", task.recipe), ("mine", mine)):
        result = edgepack.build_bundles(
            model=task.model,
            data=task.data,
            eval=task.eval,
            budget="200kB",
            target="android-onnx",
            output=folder / f"out-{name}",
            recipe=recipe,
            quiet=True,
        )
        print(result.table())
        bundles.append(result.bundles[0].folder)
    print(edgepack.compare_bundles(*bundles, eval=task.eval, quiet=True).table())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example-out/custom-recipe"))
