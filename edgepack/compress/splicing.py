"""Texts of other lengths: an example cut to a random run of its words, or two examples joined.

For tasks whose training texts differ in length from those they will meet (SST-2: phrases, sentences). Cuts are at
words. Only single texts between a first and a last special token can be spliced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.compress.candidates import Words
from edgepack.errors import InputError
from edgepack.task.encoded import Encoded, ranges


@dataclass(frozen=True, eq=False)
class Splices:
    """For each drawn example `(count,)`: whether it is cut, whether it is joined, and to which other example."""

    cut: np.ndarray
    join: np.ndarray
    partner: np.ndarray


@dataclass(frozen=True, eq=False)
class Drawn:
    """Examples made of others' tokens: the (first) source of each, the flat place of each token there, offsets."""

    sources: np.ndarray
    rows: np.ndarray
    offsets: np.ndarray

    def take(self, data: Encoded) -> Encoded:
        """The tokens of `data` at these places."""
        labels = data.labels[self.rows if data.per_token else self.sources]
        return Encoded(data.input_ids[self.rows], data.token_type_ids[self.rows], self.offsets, labels)


def splice(
    data: Encoded, drawn: np.ndarray, wanted: np.ndarray, words: Words, longest: int, generator: np.random.Generator
) -> Encoded:
    """The examples that `splice_places` draws."""
    return splice_places(data, drawn, wanted, words, longest, generator).take(data)


def splice_places(
    data: Encoded, drawn: np.ndarray, wanted: np.ndarray, words: Words, longest: int, generator: np.random.Generator
) -> Drawn:
    """The examples `drawn` from `data`; those `wanted` (bool) are cut or joined first, where they can be.

    Joined examples have at most `longest` tokens; a text that no other fits behind is cut instead, or left whole where
    tokens have labels: a cut may split an entity, and tags at its edge would begin nowhere.
    """
    eligible = single_texts(data)
    if not eligible.any():
        raise InputError(
            "augmentation.splice cuts and joins single texts between a first and a last special token, and this task "
            "has none; allowed for pairs: 0"
        )
    able = wanted & eligible[drawn] & (data.lengths[drawn] > 2)
    partner, fits = _partners(data, drawn, eligible, longest, generator)
    if data.per_token:
        join, cut = able & fits, np.zeros(len(drawn), bool)
    else:
        join = able & fits & (generator.random(len(drawn)) < 0.5)
        cut = able & ~join
    return _gather(data, drawn, *_spans(data, drawn, words, Splices(cut, join, partner), generator))


def single_texts(data: Encoded) -> np.ndarray:
    """Which examples are one text between two special tokens, bool `(n,)`: those that can be spliced."""
    first, last = data.offsets[:-1], data.offsets[1:] - 1
    opening, closing = data.input_ids[first], data.input_ids[last]
    framed = len(data) > 0 and (opening == opening[0]).all() and (closing == closing[0]).all()
    single = np.zeros(len(data), bool)
    if framed:
        inner_ends = np.add.reduceat((data.input_ids == closing[0]).astype(np.int64), first) - 1
        single = (inner_ends == 0) & ~np.maximum.reduceat(data.token_type_ids, first).astype(bool)
    return single


def _partners(
    data: Encoded, drawn: np.ndarray, eligible: np.ndarray, longest: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random example for each drawn one that is short enough to be joined to it; and where there is any."""
    body = data.lengths - 2
    order = np.flatnonzero(eligible & (body > 0))
    order = order[np.argsort(body[order], kind="stable")]
    room = longest - 2 - body[drawn]
    fitting = np.searchsorted(body[order], room, side="right")
    choice = (generator.random(len(drawn)) * fitting).astype(np.int64)
    return order[np.minimum(choice, max(0, len(order) - 1))] if len(order) else drawn, fitting > 0


def _spans(
    data: Encoded, drawn: np.ndarray, words: Words, splices: Splices, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths `(count, 4)` in the flat data: first token, body, partner's body, the rest.

    An example that is neither cut nor joined is all "rest".
    """
    cut, join, partner = splices.cut, splices.join, splices.partner
    first, last = data.offsets[:-1][drawn], data.offsets[1:][drawn] - 1
    position = np.arange(len(data.input_ids))
    continues = words.continues[data.input_ids]
    word_first = np.maximum.accumulate(np.where(continues, 0, position))
    ends = ~np.append(continues[1:], False)
    word_last = np.minimum.accumulate(np.where(ends, position, len(position))[::-1])[::-1]
    body = last - first - 1
    picks = first[:, None] + 1 + (generator.random((len(drawn), 2)) * body[:, None]).astype(np.int64)
    begin = np.where(cut, np.maximum(word_first[picks.min(1)], first + 1), first + 1)
    end = np.where(cut, np.minimum(word_last[picks.max(1)] + 1, last), last)
    spliced = cut | join
    other = data.offsets[:-1][partner] + 1
    starts = np.stack([first, begin, other, np.where(spliced, last, first)], axis=1)
    lengths = np.stack(
        [spliced * 1, spliced * (end - begin), join * (data.lengths[partner] - 2), np.where(spliced, 1, body + 2)],
        axis=1,
    )
    return starts, lengths


def _gather(data: Encoded, drawn: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> Drawn:
    """New examples out of the flat ranges `starts[i, j]` of `lengths[i, j]` tokens, in order of `j`."""
    rows = ranges(starts.ravel(), lengths.ravel())
    offsets = np.concatenate([[0], np.cumsum(lengths.sum(1))]).astype(np.int64)
    return Drawn(drawn, rows, offsets)
