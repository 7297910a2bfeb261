"""Words as sparse rows of hashed features: the word's own form, its affixes and shape, and those of its neighbours.

The features are those of taggers before neural ones (Ratinov and Roth 2009, "Design Challenges and Misconceptions in
Named Entity Recognition"): a word as it is and in lower case, up to `AFFIX` letters at both ends, its shape (`Xxxx`,
`dd`), words and shapes up to two places away, and pairs of neighbouring words. A row has 1 / √m at the buckets of its
m features. Features of one place are computed once for each different word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from edgepack.evidence.linear.features import NEED, scaled
from edgepack.machine.extras import import_package
from edgepack.task.dataset import Example

AFFIX = 4  # letters at each end, at most
REACH = 2  # places on both sides
BORDER = ""  # what stands before and behind a sentence: no data set has such a word
RUN = re.compile(r"(.)\1+")


class WordFeatures(NamedTuple):
    """How words become rows of `buckets` columns."""

    buckets: int

    @property
    def name(self) -> str:
        """What they are, in words."""
        return (
            f"words, their ends of up to {AFFIX} letters and shapes, neighbours up to {REACH} places away and pairs of "
            f"words, hashed to {self.buckets:,} buckets"
        )

    def rows(self, examples: Sequence[Example]) -> Any:
        """A scipy CSR matrix `(words, buckets)` float32 of all words of the examples, in their order."""
        sentences = [example.words or () for example in examples]
        known: dict[str, int] = {BORDER: 0}
        padded: list[int] = []
        for words in sentences:
            padded += [0] * REACH
            padded += [known.setdefault(word, len(known)) for word in words]
        padded += [0] * REACH
        ids, forms = np.array(padded, np.int64), list(known)
        lengths = np.array([len(words) for words in sentences], np.int64)
        places = np.arange(int(lengths.sum())) + REACH * np.repeat(np.arange(1, len(lengths) + 1), lengths)
        total = self._hashed(forms, own_features)[ids[places]]
        for away in range(-REACH, REACH + 1):
            if away:
                neighbour = self._hashed(forms, lambda word, away=away: neighbour_features(word, away))  # type: ignore[misc]
                total = total + neighbour[ids[places + away]]
        for first in (-1, 0):
            keys, inverse = np.unique(ids[places + first] * len(forms) + ids[places + first + 1], return_inverse=True)
            named = [f"{first} {forms[k // len(forms)].lower()} {forms[k % len(forms)].lower()}" for k in keys]
            total = total + self._hashed(named, lambda pair: [pair])[inverse]
        total = total.tocsr()
        total.data[:] = 1
        return scaled(total)

    def _hashed(self, forms: Sequence[str], features: Callable[[str], Sequence[str]]) -> Any:
        """1 at the buckets of each form's features."""
        make = import_package("sklearn.feature_extraction", NEED).FeatureHasher
        hasher = make(self.buckets, input_type="string", alternate_sign=False, dtype=np.float32)
        return hasher.transform(map(features, forms)).tocsr()


def own_features(word: str) -> list[str]:
    """Of the word itself."""
    lower, form = word.lower(), shape(word)
    found = [f"w {word}", f"l {lower}", f"s {form}", f"c {short(form)}"]
    for length in range(1, min(AFFIX, len(word)) + 1):
        found += [f"b {lower[:length]}", f"e {lower[-length:]}"]
    return found


def neighbour_features(word: str, away: int) -> list[str]:
    """Of a word that stands `away` places behind, or before where that is negative."""
    lower = word.lower()
    found = [f"{away} l {lower}", f"{away} c {short(shape(word))}"]
    return [*found, f"{away} e {lower[-3:]}"] if abs(away) == 1 else found


def shape(word: str) -> str:
    """Upper case as X, lower case as x, digits as d, anything else as it is; of long words the first 12 places."""
    return "".join("X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word[:12])


def short(form: str) -> str:
    """A shape with each run of one kind as one place."""
    return RUN.sub(r"\1", form)
