"""Intents: a bundle on the whole evaluation set, and where it answers otherwise than its teacher.

python examples/intents.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from small_task import intents

import edgepack


def main(folder: Path) -> None:
    """Build, then ask the bundle and its teacher the evaluation data."""
    task = intents(folder)
    result = edgepack.build_bundles(
        model=task.model,
        data=task.data,
        eval=task.eval,
        budget="250kB",
        target="android-onnx",  # or several: one student serves them all
        max_drop="10%",
        output=folder / "out",
        recipe=task.recipe,
        quiet=True,
    )
    print(result.table())

    bundle = edgepack.Bundle.load(folder / "out" / "bundles" / "android-onnx")
    found = edgepack.predict_data(bundle, task.eval, compare_teacher=task.model, quiet=True)
    print(found.table())

    answer = bundle("how long until the pasta is done")
    for label, probability in answer.probabilities.items():
        print(f"{probability:6.1%}  {label}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example-out/intents"))
