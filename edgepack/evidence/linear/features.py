"""Texts as sparse rows of hashed n-grams: which ones are in a text, not how often.

A row has 1 / √m at the buckets of its m n-grams, so that long texts do not weigh more. N-grams are of words (1 and 2;
a mark of punctuation is a word of its own) and of characters (2 to 5, within what spaces part). Of pairs, what both
texts have, what only the first has and what only the second has are three groups, which begin at other places of the
table; how much of each text the other one has is told in steps of a tenth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from edgepack.machine.extras import import_package
from edgepack.task.dataset import Example

WORD = r"\w+|[^\w\s]"
WORD_GRAMS, CHARACTER_GRAMS = (1, 2), (2, 5)
STEPS = 10  # of a share that is told
NEED = "the linear model that a student is compared with"


class Features(NamedTuple):
    """How texts become rows: `buckets` columns, of characters too or of words alone, of one text or of two."""

    buckets: int
    characters: bool
    pair: bool

    @property
    def name(self) -> str:
        """What they are, in words."""
        characters = f" and {_span(CHARACTER_GRAMS)} characters" if self.characters else ""
        pair = ", of a pair what both texts have and what one of them has" if self.pair else ""
        return f"n-grams of {_span(WORD_GRAMS)} words{characters}{pair}, hashed to {self.buckets:,} buckets"

    def rows(self, examples: Sequence[Example]) -> Any:
        """A scipy CSR matrix `(n, buckets)` float32."""
        first = self._present([example.text for example in examples])
        if not self.pair:
            return scaled(first)
        second = self._present([example.pair or "" for example in examples])
        both = first.multiply(second).tocsr()
        parts = [both, first - both, second - both]
        found = [self._moved(part, number * self.buckets // len(parts)) for number, part in enumerate(parts)]
        shares = [self._share(both, text, number) for number, text in enumerate((first, second))]
        total = sum((*found[1:], *shares), start=found[0]).tocsr()
        total.data[:] = 1
        return scaled(total)

    def _present(self, texts: Sequence[str]) -> Any:
        """1 at the buckets of a text's n-grams."""
        make = import_package("sklearn.feature_extraction.text", NEED).HashingVectorizer
        shared: dict[str, Any] = {"n_features": self.buckets, "binary": True, "norm": None, "dtype": np.float32}
        shared["alternate_sign"] = False
        found = make(ngram_range=WORD_GRAMS, token_pattern=WORD, **shared).transform(texts)
        if self.characters:
            found = found + make(ngram_range=CHARACTER_GRAMS, analyzer="char_wb", **shared).transform(texts)
        found.eliminate_zeros()
        found.data[:] = 1
        return found

    def _moved(self, matrix: Any, places: int) -> Any:
        """The columns moved on, from the last to the first."""
        moved = matrix.tocsr(copy=True)
        moved.eliminate_zeros()
        moved.indices = ((moved.indices + places) % self.buckets).astype(moved.indices.dtype)
        moved.has_sorted_indices = False
        moved.sum_duplicates()
        return moved

    def _share(self, both: Any, text: Any, number: int) -> Any:
        """1 at the bucket of the share of a text's n-grams that the other text has too."""
        sparse = import_package("scipy.sparse", NEED)
        counts = [np.asarray(matrix.sum(axis=1)).ravel() for matrix in (both, text)]
        steps = (STEPS * counts[0] // np.maximum(counts[1], 1)).astype(np.int64)
        columns = (number * (STEPS + 1) + steps) % self.buckets
        shape, rows = both.shape, np.arange(len(columns))
        return sparse.csr_matrix((np.ones(len(columns), np.float32), (rows, columns)), shape=shape)


def scaled(matrix: Any) -> Any:
    """Each row of ones with the length 1."""
    sizes = np.diff(matrix.indptr)
    matrix.data = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
    return matrix


def _span(sizes: tuple[int, int]) -> str:
    return f"{sizes[0]} to {sizes[1]}"
