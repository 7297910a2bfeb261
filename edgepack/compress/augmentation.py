"""More training examples out of those there are: words replaced, texts cut and joined. The teacher labels them.

Word replacement is TinyBERT's (Jiao et al. 2020, arXiv:1909.10351, Algorithm 1): each word of a new example is, with
probability `p_replace`, one of its K candidates (`candidates.py`). A part of the new examples is first cut or joined
(`splicing.py`).

All arrays are flat (`Encoded`), all steps vectorised, everything follows from the seed. Labels of new examples are
those of their (first) source, and −100 stays where it was: shape, not truth. Only the teacher's outputs on the new
ids give them a meaning; a loss on labels must leave them out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.compress.candidates import NONE, Candidates, Words
from edgepack.compress.splicing import Drawn, splice_places
from edgepack.errors import InputError
from edgepack.task.encoded import Encoded

MOST_CANDIDATES = 1000  # of each word of the vocabulary; the paper has 15


@dataclass(frozen=True)
class Augmentation:
    """`share` of the whole data that is new; replacement probability and K; share of the new that is spliced first.

    `masked_model`: a checkpoint with a masked-word head, in a folder or on the hub, that gives the candidates; it must
    have the teacher's vocabulary. None: neighbours in the teacher's own embedding table.
    """

    share: float = 0.3
    p_replace: float = 0.4
    candidates: int = 15
    splice: float = 0.0
    masked_model: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise InputError(f"augmentation: share is {self.share}; allowed: 0 up to, not including, 1")
        for name in ("p_replace", "splice"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augmentation: {name} is {getattr(self, name)}; allowed: 0 to 1")
        if not 1 <= self.candidates <= MOST_CANDIDATES:
            raise InputError(f"augmentation: candidates is {self.candidates}; allowed: 1 to {MOST_CANDIDATES:,}")
        if self.masked_model == "":
            raise InputError("augmentation: masked_model is ''; allowed: a folder or a hub id, or false for none")


def add_augmented(
    data: Encoded, candidates: Candidates, settings: Augmentation, seed: int, max_length: int | None = None
) -> Encoded:
    """`data` and behind it as many new examples as make up `settings.share` of the whole.

    Every source is used equally often, to within one. Joined examples have at most `max_length` tokens, special ones
    included (None: the longest source's).
    """
    count = round(len(data) * settings.share / (1 - settings.share))
    if count == 0:
        return data
    sources = _sources(data, count, candidates.words, settings, seed, max_length).take(data)
    return concatenate(data, _replace(sources, candidates, settings, seed))


def augmented_lengths(
    data: Encoded, words: Words, settings: Augmentation, seed: int, max_length: int | None = None
) -> np.ndarray:
    """Tokens of each example that `add_augmented` gives, before any candidate is known."""
    count = round(len(data) * settings.share / (1 - settings.share))
    if count == 0:
        return data.lengths
    offsets = _sources(data, count, words, settings, seed, max_length).offsets
    return np.concatenate([data.lengths, np.diff(offsets)])


def augmented_places(
    data: Encoded, words: Words, settings: Augmentation, seed: int, max_length: int | None = None
) -> np.ndarray:
    """For each token of the new examples that `add_augmented` gives, the token of `data` that it is, or replaces."""
    count = round(len(data) * settings.share / (1 - settings.share))
    return _sources(data, count, words, settings, seed, max_length).rows if count else np.zeros(0, np.int64)


def _sources(
    data: Encoded, count: int, words: Words, settings: Augmentation, seed: int, max_length: int | None
) -> Drawn:
    """`count` examples drawn from `data`, some of them cut or joined."""
    generator = np.random.default_rng((seed, 0))
    rounds = -(-count // len(data)) if len(data) else 0
    drawn = np.concatenate([np.zeros(0, np.int64), *(generator.permutation(len(data)) for _ in range(rounds))])[:count]
    wanted = generator.random(count) < settings.splice
    if not wanted.any():
        offsets = np.concatenate([[0], np.cumsum(data.lengths[drawn])]).astype(np.int64)
        return Drawn(drawn, data.rows(drawn), offsets)
    longest = int(data.lengths.max()) if max_length is None else max_length
    return splice_places(data, drawn, wanted, words, longest, generator)


def _replaceable(data: Encoded, candidates: Candidates) -> np.ndarray:
    """Which tokens `(T,)` are words of one piece that may have candidates."""
    continued = np.append(candidates.words.continues[data.input_ids[1:]], False)[: len(data.input_ids)]
    return np.asarray(candidates.known[data.input_ids] & ~continued)


def _replace(data: Encoded, candidates: Candidates, settings: Augmentation, seed: int) -> Encoded:
    """Words replaced with probability `p_replace`, each by one of its candidates, all equally likely."""
    generator = np.random.default_rng((seed, 1))
    chosen = _replaceable(data, candidates) & (generator.random(len(data.input_ids)) < settings.p_replace)
    ids = data.input_ids.copy()
    found = candidates.find(data, chosen, settings.candidates)
    there = (found != NONE).sum(1)
    pick = (generator.random(len(there)) * there).astype(np.int64)
    ids[chosen] = np.where(there > 0, found[np.arange(len(there)), pick], ids[chosen])
    return Encoded(ids, data.token_type_ids, data.offsets, data.labels)


def concatenate(first: Encoded, second: Encoded) -> Encoded:
    """All examples of the first, then those of the second."""
    return Encoded(
        np.concatenate([first.input_ids, second.input_ids]),
        np.concatenate([first.token_type_ids, second.token_type_ids]),
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
        np.concatenate([first.labels, second.labels]),
    )
