"""What a tagger of words has right: the statistics of the task's own metric, of the words that another model scores.

A model that reads tokens scores words that have some, and that it did not cut off. `words` says which these are: the
same texts in its tokens, the number of a word standing where its tag does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.task import Task


def tag_statistics(
    tags: np.ndarray, examples: Sequence[Example], task: Task, words: Encoded | None = None
) -> np.ndarray:
    """`(n, k)` as `Task.statistics` gives them; `tags`: a class id for each word of the examples."""
    lengths = np.array([len(example.words or ()) for example in examples], np.int64)
    truth = np.array([tag for example in examples for tag in example.label], np.int64)  # type: ignore[union-attr]
    kept, owners = np.arange(len(truth)), np.repeat(np.arange(len(examples)), lengths)
    if words is not None:
        scored = words.scored
        kept = (np.cumsum(lengths) - lengths)[words.label_examples[scored]] + words.labels[scored]
        owners = owners[kept]
    counts = np.bincount(owners, minlength=len(examples))
    # a place of no word at each end, as special tokens are: `Encoded` tells labels of words by there being more
    offsets = np.concatenate([[0], np.cumsum(counts + 1)])
    places = np.arange(len(kept)) + owners
    labels = np.full(int(offsets[-1]), IGNORED, np.int64)
    labels[places] = truth[kept]
    logits = np.zeros((len(labels), len(task.labels)), np.float32)
    logits[places, tags[kept]] = 1
    nothing = np.zeros(len(labels), np.int32)
    return task.statistics(logits, Encoded(nothing, nothing.astype(np.int8), offsets, labels))


def numbered(data: Dataset) -> Dataset:
    """The data with each word's number as its tag, for `words` above."""
    return replace(data, examples=tuple(e._replace(label=tuple(range(len(e.words or ())))) for e in data.examples))
