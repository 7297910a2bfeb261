"""A recipe of your own: a TOML file that says what the student is trained on.

python examples/custom_recipe.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from small_task import sentiment

import edgepack

# `edgepack recipes show NAME` prints a whole one to start from; docs/recipes.md says what each key means.
RECIPE = """
summary = "the teacher's attention and its probabilities first, then its probabilities alone"
base = "quick"
examples_seen = 3000
batch_size = 16

[[phases]]
until = 0.4
losses = [{ loss = "last_layer_attention" }, { loss = "soft_targets", temperature = 2.0 }]

[[phases]]
until = 1.0
losses = [{ loss = "soft_targets", temperature = 2.0 }]
"""


def main(folder: Path) -> None:
    """Build by the recipe; the build's manifest holds all that it says."""
    task = sentiment(folder)
    mine = folder / "mine.toml"
    mine.write_text(RECIPE, encoding="utf-8")
    result = edgepack.build_bundles(
        model=task.model,
        data=task.data,
        eval=task.eval,
        budget="200kB",
        target="android-onnx",
        output=folder / "out",
        recipe=mine,
        quiet=True,
    )
    print(result.table())

    manifest = json.loads((result.output / "edgepack.json").read_text(encoding="utf-8"))
    for phase in manifest["inputs"]["request"]["recipe"]["phases"]:
        print("until", phase["until"], [loss["loss"] for loss in phase["losses"]])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example-out/custom-recipe"))
