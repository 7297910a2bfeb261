"""Sentiment: from a fine-tuned teacher to a bundle under 200 kB that answers texts.

python examples/sentiment.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from small_task import sentiment

import edgepack


def main(folder: Path) -> None:
    """Plan, build, and let the bundle answer."""
    task = sentiment(folder)
    plan = edgepack.plan_student(
        model=task.model, data=task.data, eval=task.eval, budget="200kB", target="android-onnx", quiet=True
    )
    print("predicted:", plan.chosen.shipped_bytes)

    result = edgepack.build_bundles(
        model=task.model,
        data=task.data,
        eval=task.eval,
        budget="200kB",
        target="android-onnx",
        output=folder / "out",
        recipe=task.recipe,
        quiet=True,
    )
    print(result.table())

    bundle = edgepack.Bundle.load(folder / "out" / "bundles" / "android-onnx")
    for answer in bundle(["honestly the story charming and warm", "in the end the plot dull and tired"]):
        print(f"{answer.text}: {answer.label}, {answer.probability:.1%}", *answer.warnings)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example-out/sentiment"))
