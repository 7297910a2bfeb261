"""Entities: a tagging teacher, a bundle that finds names with their places in the text, and a web page around it.

python examples/entities.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from small_task import entities

import edgepack


def main(folder: Path) -> None:
    """Build, find entities, package."""
    task = entities(folder)
    result = edgepack.build_bundles(
        model=task.model,
        data=task.data,
        eval=task.eval,
        budget="250kB",
        target="android-onnx",
        output=folder / "out",
        recipe=task.recipe,
        quiet=True,
    )
    print(result.table())

    place = folder / "out" / "bundles" / "android-onnx"
    bundle = edgepack.Bundle.load(place)
    text = "tell Anna that George is in New York, please"
    for entity in bundle(text).entities:
        print(f"{entity.label:4} {entity.probability:.1%} {text[entity.start : entity.end]!r}")

    app = edgepack.package_app(place, app="web", output=folder / "site", name="Names and places", force=True)
    print(f"{len(app.files)} files in {app.folder}; its README.md says how to serve them")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example-out/entities"))
