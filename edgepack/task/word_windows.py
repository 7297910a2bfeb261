"""Long sentences of tagged words as overlapping shorter ones, for a training that reads them with two tokenizers.

A student with a tokenizer of its own learns tokens from a teacher that reads the same text. Windows of tokens are
windows of one tokenizer alone, so a long sentence is cut between words instead: each piece has as many words as fit the
student's longest input, and begins so many words before the last one's end that the overlap is about that of its
windows. Both models read a piece as a text of its own. A word that does not fit by itself is a piece, and is cut.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from edgepack.task.dataset import Dataset, Example
from edgepack.task.task import Task
from edgepack.task.tokenize import encode_spans
from edgepack.task.windows import Windows

if TYPE_CHECKING:  # not there in a light installation
    from transformers import PreTrainedTokenizerFast


def in_word_windows(
    data: Dataset, task: Task, tokenizer: Tokenizer | PreTrainedTokenizerFast, windows: Windows
) -> Dataset:
    """The data with each sentence of more than `windows.length` tokens as several, words in two of them with labels."""
    encoded, spans = encode_spans(data, task, tokenizer, windows)
    found: list[Example] = []
    for number, example in enumerate(data.examples):
        begin, end = encoded.offsets[number : number + 2]
        if end - begin <= windows.length:
            found.append(example)
            continue
        assert example.words is not None
        texts, words = spans.texts[begin:end], spans.words[begin:end]
        counts = np.zeros(len(example.words), np.int64)  # tokens of each word; of one that leaves none, none
        current = 0
        for text, word in zip(texts, words, strict=True):
            current = int(word) if word >= 0 else current
            counts[current] += text >= 0
        room = windows.length - int((texts < 0).sum())
        found += [_part(example, *piece) for piece in _pieces(counts, room, min(windows.overlap, room // 2))]
    return replace(data, examples=tuple(found))


def _pieces(counts: np.ndarray, room: int, overlap: int) -> list[tuple[int, int]]:
    """First word and end of each piece; `counts (words,)`: tokens of each word, at most `room` of them in a piece."""
    ends = np.cumsum(counts)
    starts, pieces, first = ends - counts, [], 0
    while True:
        end = max(first + 1, int(np.searchsorted(ends, starts[first] + room, side="right")))
        pieces.append((first, end))
        if end >= len(counts):
            return pieces
        # the first word inside the overlap from which on the next new word fits too
        again = int(np.searchsorted(starts, max(starts[end] - overlap, ends[end] - room)))
        first = max(first + 1, min(again, end))


def _part(example: Example, first: int, end: int) -> Example:
    """Some of the words, with their labels."""
    assert example.words is not None
    assert isinstance(example.label, tuple)
    words = example.words[first:end]
    return Example(" ".join(words), None, words, example.label[first:end])
