"""The examples on which artifact and teacher differ most, with their texts: what one wants to read before a release."""

from __future__ import annotations

import numpy as np

from edgepack.bundle.analysis import Differing
from edgepack.evidence.answers import Labelled
from edgepack.evidence.forms import divergences, scored_by_both
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import IGNORED

MOST_EXAMPLES = 20
MOST_CHARACTERS = 300  # of a text, which a report shows whole


def differing_examples(teacher: Labelled, artifact: Labelled, data: Dataset) -> list[Differing]:
    """The worst first: other answers before equal ones, then by KL(teacher ‖ artifact); of tags, the worst word's."""
    order, flipped, divergence = worst_first(teacher, artifact)
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


def worst_first(teacher: Labelled, artifact: Labelled) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Examples in that order; of each example, whether an answer is another one, and its divergence."""
    after, before = scored_by_both(artifact.form, teacher.form)
    owners = owners_of_both(teacher, artifact)
    divergence = np.zeros(teacher.n)
    np.maximum.at(divergence, owners, divergences(after, before))
    flipped = np.bincount(owners[before.argmax(axis=1) != after.argmax(axis=1)], minlength=teacher.n) > 0
    return np.lexsort((-divergence, ~flipped)), flipped, divergence


def owners_of_both(teacher: Labelled, artifact: Labelled) -> np.ndarray:
    """The example of each row of `scored_by_both`."""
    encoded = (artifact.form.encoded, teacher.form.encoded)
    counts = [np.bincount(e.label_examples[e.labels != IGNORED], minlength=len(e)) for e in encoded]
    return np.repeat(np.arange(teacher.n), np.minimum(*counts))


def _labels(model: Labelled, ids: np.ndarray, example: int) -> str:
    """The label of an example, or the tags of its words."""
    return " ".join(model.task.labels[i] for i in ids[model.owners == example])


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
