"""A gate in CI: check bundles again under a policy, write JUnit XML, and exit as the pipeline expects.

    python examples/gate_in_ci.py BUNDLE EVAL [RELEASED]
    python examples/gate_in_ci.py                          a small bundle is built first

It needs no torch where the bundle is there: `pip install edgepack` is enough for ONNX bundles.
"""

from __future__ import annotations

import sys
from pathlib import Path

import edgepack

POLICY = """
max_drop = 0.05        # of the teacher's metric, proven on the evaluation data
min_agreement = 0.95   # with the teacher's decisions
max_bytes = 300_000    # model and tokenizer
require = ["metric"]   # the metric has to be measured again, here
"""


def main(bundle: Path, evaluation: Path, released: Path | None = None) -> int:
    """The exit code: 0 passed, 1 a check failed, 2 or 3 the gate could not judge."""
    folder = evaluation.parent
    (folder / "gate.toml").write_text(POLICY, encoding="utf-8")
    try:
        result = edgepack.gate_bundles(
            bundle, policy=folder / "gate.toml", eval=evaluation, junit=folder / "gate.xml", quiet=True
        )
        print(result.table())
        if released is None:
            return 0 if result.passed else 1
        changes = edgepack.compare_bundles(released, bundle, eval=evaluation, policy=folder / "gate.toml", quiet=True)
    except edgepack.EdgepackError as e:  # a mistake, or something that is missing here: one line
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    print(changes.table())
    return 0 if result.passed and changes.passed else 1


def small_bundle(folder: Path) -> tuple[Path, Path]:
    """A bundle to check and its evaluation data."""
    from small_task import sentiment  # it needs edgepack[build]

    task = sentiment(folder)
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
    return result.bundles[0].folder, task.eval


if __name__ == "__main__":
    given = [Path(each) for each in sys.argv[1:]]
    sys.exit(main(*(given or small_bundle(Path("example-out/gate-in-ci")))))
