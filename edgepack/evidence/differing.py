"""The examples on which artifact and teacher differ most, with their texts: what one wants to read before a release."""

from __future__ import annotations

import numpy as np

from edgepack.bundle.analysis import Differing
from edgepack.evidence.answers import Labelled
from edgepack.evidence.forms import Both, pair_decisions
from edgepack.task.dataset import Dataset

MOST_EXAMPLES = 20
MOST_CHARACTERS = 300  # of a text, which a report shows whole


def differing_examples(teacher: Labelled, artifact: Labelled, data: Dataset) -> list[Differing]:
    """The worst first: other answers before equal ones, then by KL(teacher ‖ artifact); of tags, the worst word's."""
    order, flipped, divergence = worst_first(pair_decisions(artifact.form, teacher.form), teacher.n)
    return [
        Differing(
            text=_shortened(" ".join(example.words) if example.words is not None else example.text),
            pair=None if example.pair is None else _shortened(example.pair),
            truth=_labels(artifact, artifact.truth, i),
            teacher=_labels(teacher, teacher.decided, i),
            artifact=_labels(artifact, artifact.decided, i),
            divergence=float(divergence[i]),
        )
        for i in map(int, order[:MOST_EXAMPLES])
        if flipped[i] or divergence[i] > 0
        for example in [data.examples[i]]
    ]


def worst_first(both: Both, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `n` examples in that order; of each, whether an answer is another one, and its divergence."""
    divergence = np.zeros(n)
    np.maximum.at(divergence, both.owners, both.divergences)
    flipped = np.bincount(both.owners[both.differs], minlength=n) > 0
    return np.lexsort((-divergence, ~flipped)), flipped, divergence


def _labels(model: Labelled, ids: np.ndarray, example: int) -> str:
    """The label of an example, those of its set, or the tags of its words."""
    return model.task.shown(ids[model.owners == example])


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
