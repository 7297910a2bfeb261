"""Examples to tokens: every text through the teacher's tokenizer, every label at its word.

A word's label stands at its first token (`edgepack.task.words`); its other tokens and special ones carry -100. Words go
to the tokenizer one by one, as teachers are trained, if it makes the same of a text of them, which is what an app has.
One that does not, as byte-level BPE that puts no space first, gets the text. The tokenizer's own truncation and padding
settings are overridden and cleared: a `tokenizer.json` often still holds those of its training. A tokenizer is one of
the `tokenizers` library, or transformers' fast one, which holds one of those.

How long an input may be is a number of tokens, where longer texts are cut, or `Windows`, where they stay whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from edgepack.task.alignment import Spans, make_spans
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.examples import Dataset, Example
from edgepack.task.task import Task
from edgepack.task.windows import Longest, Windows, part_of
from edgepack.task.words import first_tokens
from edgepack.tokenizer.asset_tokenizer import kept_of_pair
from edgepack.tokenizer.library import TextInput, encode_texts, tokenizers_as_input_errors

if TYPE_CHECKING:  # not there in a light installation
    from transformers import PreTrainedTokenizerFast

COVERED = 0.999  # share of the training examples that must fit without truncation
MIN_LENGTH, LENGTH_STEP = 16, 8
PROBE = ["a", "fox"]
# whether an example was truncated; of each token start, end, text (0, 1; −1 for a special one), word
Places = tuple[list[bool], "array[int]", "array[int]", "array[int]", "array[int]"]


class WholeText(NamedTuple):
    """What is read of a text in windows, as the tokenizers library says it; `overflowing`: whether a pair was cut."""

    ids: list[int]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    sequence_ids: list[int | None]
    word_ids: list[int | None]
    overflowing: bool


def encode(dataset: Dataset, task: Task, tokenizer: Tokenizer | PreTrainedTokenizerFast, longest: Longest) -> Encoded:
    """Tokenize every example; a number of tokens is where texts are truncated (the longer text of a pair first)."""
    return _encode(dataset, task, tokenizer, longest, None)


def encode_spans(
    dataset: Dataset, task: Task, tokenizer: Tokenizer | PreTrainedTokenizerFast, longest: Longest
) -> tuple[Encoded, Spans]:
    """What `encode` gives, and where in the text each token stands."""
    places: Places = ([], array("l"), array("l"), array("b"), array("l"))
    encoded = _encode(dataset, task, tokenizer, longest, places)
    return encoded, make_spans(encoded.offsets, *places)


def whole_text(encoding: Any, windows: Windows) -> WholeText:
    """What windows read of an encoding without truncation: all, but of a pair perhaps less of the shorter text."""
    sequences = list(encoding.sequence_ids)
    kept = list(range(len(sequences)))
    if len(kept) > windows.length and 1 in sequences:
        first, second, special = ([at for at in kept if sequences[at] == text] for text in (0, 1, None))
        most = kept_of_pair(len(first), len(second), windows.length - len(special))
        kept = sorted([*special, *first[: most[0]], *second[: most[1]]])
    cut = len(kept) < len(sequences)
    columns = (encoding.ids, encoding.type_ids, encoding.offsets, sequences, encoding.word_ids)
    ids, types, offsets, sequences, words = ([values[at] for at in kept] if cut else values for values in columns)
    return WholeText(ids, types, offsets, sequences, words, cut)


def _encode(
    dataset: Dataset,
    task: Task,
    tokenizer: Tokenizer | PreTrainedTokenizerFast,
    longest: Longest,
    places: Places | None,
) -> Encoded:
    ids, types, words = array("i"), array("b"), array("q")  # millions of small numpy arrays would take gigabytes
    lengths, parts = array("q"), array("q")
    as_words = _takes_words(tokenizer)
    examples = iter(dataset.examples)
    for encodings in _tokenize(dataset, tokenizer, longest, as_words):
        for encoding in encodings:
            example = next(examples)
            if isinstance(longest, Windows):
                encoding = whole_text(encoding, longest)
                parts.extend(part_of(encoding.sequence_ids) if len(encoding.ids) > longest.length else (0, 0))
            if places is not None:
                _note_places(places, encoding, example, as_words)
            found = encoding.ids
            ids.extend(found)
            types.extend(encoding.type_ids)
            lengths.append(len(found))
            if task.is_tagging:
                words.extend(_word_numbers(encoding, example, as_words))
    offsets = np.concatenate([[0], np.cumsum(np.asarray(lengths))]).astype(np.int64)
    labels = [example.label for example in dataset.examples]
    flat = _word_labels(np.asarray(words), np.asarray(lengths), labels) if task.is_tagging else task.label_rows(labels)
    groups = query_numbers(dataset) if task.ranks else None
    tokens = (np.array(ids, dtype=np.int32), np.array(types, dtype=np.int8), offsets, flat, groups)
    if isinstance(longest, Windows) and max(lengths, default=0) > longest.length:
        return Encoded(*tokens, windows=longest, parts=np.asarray(parts, np.int64).reshape(-1, 2))
    return Encoded(*tokens)


def suggest_max_length(train: Encoded, evaluation: Encoded, limit: int = 512) -> int:
    """The shortest multiple of 8 that holds 99.9 % of `train` and all of `evaluation`; 16 at least, `limit` at most.

    Both are encoded with `limit` as the longest input; `shorten` makes what a length of them asks for.
    """
    needed = [
        float(np.quantile(train.lengths, COVERED, method="inverted_cdf")),
        float(evaluation.lengths.max()),
    ]
    rounded = LENGTH_STEP * -(-int(max(needed)) // LENGTH_STEP)
    return min(limit, max(MIN_LENGTH, rounded))


def shorten(
    encoded: Encoded, dataset: Dataset, task: Task, tokenizer: Tokenizer | PreTrainedTokenizerFast, max_length: int
) -> Encoded:
    """What `encode` gives with a shorter `max_length`: only the examples that are longer are tokenized again."""
    longer = np.flatnonzero(encoded.lengths > max_length)
    if not len(longer):
        return encoded
    again = encode(replace(dataset, examples=tuple(dataset.examples[i] for i in longer)), task, tokenizer, max_length)
    lengths = encoded.lengths
    lengths[longer] = again.lengths
    kept = np.ones(len(encoded.input_ids), bool)
    for i in longer:
        kept[encoded.offsets[i] + lengths[i] : encoded.offsets[i + 1]] = False
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = np.repeat(offsets[longer] - again.offsets[:-1], again.lengths) + np.arange(len(again.input_ids))

    def joined(whole: np.ndarray, new: np.ndarray) -> np.ndarray:
        rest: np.ndarray = whole[kept]
        rest[place] = new
        return rest

    return Encoded(
        joined(encoded.input_ids, again.input_ids),
        joined(encoded.token_type_ids, again.token_type_ids),
        offsets,
        joined(encoded.labels, again.labels) if encoded.per_token else encoded.labels,
        encoded.groups,
    )


def query_numbers(dataset: Dataset) -> np.ndarray:
    """Of each pair the number of its query, the first text, in the order in which they come up: int64 `(n,)`."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(example.text, len(numbers)) for example in dataset.examples], np.int64)


def lengthen(
    encoded: Encoded, dataset: Dataset, task: Task, tokenizer: Tokenizer | PreTrainedTokenizerFast, windows: Windows
) -> Encoded:
    """What `encode` gives for `windows`, of examples that were cut at their length; the same where none was."""
    return encode(dataset, task, tokenizer, windows) if (encoded.lengths >= windows.length).any() else encoded


def _tokenize(
    dataset: Dataset, tokenizer: Tokenizer | PreTrainedTokenizerFast, longest: Longest, as_words: bool
) -> Iterator[list[Any]]:
    backend = _backend(tokenizer)
    side = getattr(tokenizer, "truncation_side", "right")
    backend.no_padding()
    if isinstance(longest, Windows):
        backend.no_truncation()
    else:
        backend.enable_truncation(longest, strategy="longest_first", direction=side)
    texts = [_text(example, as_words) for example in dataset.examples]
    yield from encode_texts(backend, texts, dataset.source or "the data")
    backend.no_truncation()  # whoever saves the tokenizer must not keep it


def _takes_words(tokenizer: Tokenizer | PreTrainedTokenizerFast) -> bool:
    """Whether words one by one are the same tokens as a text of them."""
    backend = _backend(tokenizer)
    backend.no_padding()
    backend.no_truncation()
    with tokenizers_as_input_errors("the tokenizer fails on words"):
        return bool(backend.encode(PROBE, is_pretokenized=True).ids == backend.encode(" ".join(PROBE)).ids)


def _backend(tokenizer: Tokenizer | PreTrainedTokenizerFast) -> Tokenizer:
    return tokenizer if isinstance(tokenizer, Tokenizer) else tokenizer.backend_tokenizer


def _text(example: Example, as_words: bool) -> TextInput:
    """What the tokenizer takes: a text, its words, or a pair of texts."""
    if example.words is not None:
        return list(example.words) if as_words else " ".join(example.words)
    return example.text if example.pair is None else (example.text, example.pair)


def _note_places(places: Places, encoding: Any, example: Example, as_words: bool) -> None:
    """Write down where an example's tokens stand; words are those of a text with a space between them."""
    truncated, starts, ends, texts, words = places
    truncated.append(bool(encoding.overflowing))
    number = [-1 if sequence is None else sequence for sequence in encoding.sequence_ids]
    begins = [0] * len(number)
    if as_words and example.words is not None:
        first = list(accumulate((len(word) + 1 for word in example.words), initial=0))
        begins = [0 if word is None else first[word] for word in encoding.word_ids]
    starts.extend(begin + start for begin, (start, _) in zip(begins, encoding.offsets, strict=True))
    ends.extend(begin + end for begin, (_, end) in zip(begins, encoding.offsets, strict=True))
    texts.extend(number)
    words.extend(_word_numbers(encoding, example, as_words) if example.words is not None else [-1] * len(number))


def _word_numbers(encoding: Any, example: Example, as_words: bool) -> list[int]:
    """For each token the number of its word, at least where that begins; -1 elsewhere."""
    if as_words:
        return [-1 if word is None else word for word in encoding.word_ids]
    numbers = [-1] * len(encoding.ids)
    own = zip(encoding.offsets, encoding.sequence_ids, strict=True)
    spans = [None if sequence is None else span for span, sequence in own]
    for word, place in first_tokens(example.words or (), spans, str.isspace):
        numbers[place] = word
    return numbers


def _word_labels(word: np.ndarray, lengths: np.ndarray, labels: list[Any]) -> np.ndarray:
    """Flat labels: `labels[example][word]` at each word's first subword, -100 elsewhere."""
    first_word = np.repeat(np.cumsum([0, *map(len, labels[:-1])]), lengths)
    example = np.repeat(np.arange(len(lengths)), lengths)
    begins = np.append(True, (word[1:] != word[:-1]) | (example[1:] != example[:-1]))[: len(word)]
    heads = (word >= 0) & begins
    flat = np.full(len(word), IGNORED, dtype=np.int64)
    flat[heads] = np.concatenate([np.asarray(tags, dtype=np.int64) for tags in labels])[(first_word + word)[heads]]
    return flat
