"""When a model is sure, and how it judges labels of one's own: what the three apps are held to.

    python -m tests.apps.decisions

writes `decisions.jsonl` anew. Lines of one kind have `logits`, `temperature`, `min_confidence` (or null), and of the
answer `label` (its class id), `probability` and `sure`; these of the other `classes` of a task of entailment, `rows` of
logits, `multi_label`, and the `scores` of the labels asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.predict.zero_shot import HYPOTHESIS, make_question
from edgepack.task.probabilities import softmax
from edgepack.task.task import Task

VECTORS = Path(__file__).parent / "decisions.jsonl"
COUNT = 60
CLASSES = (
    ("contradiction", "neutral", "entailment"),
    ("ENTAILMENT", "neutral", "Contradiction"),
    ("not_entailment", "entailment"),
)
CLEAR = 1e-4  # how far a confidence is from the least one: apps may compute with 32 bits


def vectors(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Random logits and what Python says of them."""
    generator = np.random.default_rng(seed)
    while count > 0:
        logits = np.round(generator.normal(size=int(generator.integers(2, 6))) * 3, 4)
        temperature, limit = round(float(generator.uniform(0.3, 4)), 3), round(float(generator.uniform(0.2, 0.99)), 4)
        probabilities = softmax(logits / temperature)
        most = float(probabilities.max())
        if abs(most - limit) < CLEAR:
            continue
        count -= 1
        given = {"logits": logits.tolist(), "temperature": temperature, "min_confidence": limit if count % 6 else None}
        yield {**given, "label": int(logits.argmax()), "probability": most, "sure": not count % 6 or most >= limit}
    for number in range(COUNT):
        classes = CLASSES[number % len(CLASSES)]
        labels, multi_label = [f"label {i}" for i in range(1 + number % 5)], bool(number % 2)
        question = make_question(Task("text-classification", classes, pair=True), labels, HYPOTHESIS, multi_label)
        rows = np.round(generator.normal(size=(len(labels), len(classes))) * 3, 4)
        scores = question.scores(rows).tolist()
        yield {"classes": classes, "rows": rows.tolist(), "multi_label": multi_label, "scores": scores}


def lines() -> str:
    """The file's text."""
    return "".join(json.dumps(vector, separators=(",", ":")) + "\n" for vector in vectors(COUNT, seed=0))


def main() -> None:
    """Write the vectors."""
    VECTORS.write_text(lines(), encoding="ascii")


if __name__ == "__main__":
    main()
