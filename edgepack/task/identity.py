"""Which data a figure was measured on: a hash of the examples, whatever file, format and order they come in."""

from __future__ import annotations

import hashlib
import json

from edgepack.task.dataset import Dataset
from edgepack.task.task import Task


def examples_sha256(dataset: Dataset, task: Task) -> str:
    """A hash of all examples with the names of their labels; repeated examples count as often as they stand there."""
    digests = []
    for example in dataset.examples:
        ids = (example.label,) if isinstance(example.label, int) else example.label
        content = [example.text, example.pair, example.words, [task.labels[label] for label in ids]]
        if example.words is not None:
            content[0] = None  # of words, the text is only how they are shown
        digests.append(hashlib.sha256(json.dumps(content).encode()).digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()
