"""Which data a figure was measured on: a hash of the examples, whatever file, format and order they come in.

And which texts are taken for the same.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from edgepack.task.dataset import Dataset, Example
from edgepack.task.task import Task


def examples_sha256(dataset: Dataset, task: Task) -> str:
    """A hash of all examples with the names of their labels; repeated examples count as often as they stand there.

    Of texts to embed the order counts too: pairs follow one another, and queries name the places of documents.
    """
    if task.embeds:  # labels speak of places
        lines = [json.dumps([example.text, example.label]) for example in dataset.examples]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return hashlib.sha256(b"".join(sorted(_digest(example, task) for example in dataset.examples))).hexdigest()


def count_different(dataset: Dataset, task: Task) -> int:
    """How many examples are left where repeated ones count once; of texts to embed all, as each is a part of others."""
    return len(dataset) if task.embeds else len({_digest(example, task) for example in dataset.examples})


def _digest(example: Example, task: Task) -> bytes:
    """A hash of an example with the names of its labels."""
    content: list[Any] = [example.text, example.pair, example.words, _names(example.label, task)]
    if example.words is not None:
        content[0] = None  # of words, the text is only how they are shown
    return hashlib.sha256(json.dumps(content).encode()).digest()


def folded_texts(example: Example) -> tuple[str, ...]:
    """What an example says but for case and spaces: its words, or its text and the pair's second."""
    texts = example.words or (example.text, example.pair or "")
    return tuple(" ".join(text.casefold().split()) for text in texts)


def _names(label: int | float | tuple[int, ...], task: Task) -> list[str] | float:
    """The names of an example's labels, or its score."""
    if isinstance(label, float):
        return label
    return [task.labels[each] for each in ((label,) if isinstance(label, int) else label)]
