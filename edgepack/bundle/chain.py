"""A chain of tags as a bundle's manifest holds it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, FiniteFloat

from edgepack.bundle.record import Record
from edgepack.errors import InputError, bare
from edgepack.task.chain import MOST_TAGS, TagChain

PAIR = re.compile(r"(\d{1,6}) (\d{1,6}) (-?\d{1,4}(?:\.\d{1,4})?)", re.ASCII)  # before, behind, score
MOST = 50.0  # of a score: far more than counts of any text give, and no product of its exponential is too large


class ChainRecord(Record):
    """Scores of a tag behind another, by which an app decides a text's tags together (`task/chain.py`).

    `pairs`: "before behind score", with class ids; the number of labels stands for a text's begin and its end.
    Any other pair has the score `unseen`.
    """

    unseen: Annotated[FiniteFloat, Field(strict=True, le=MOST)]
    pairs: list[str]

    @classmethod
    def of(cls, chain: TagChain | None) -> ChainRecord | None:
        """As manifests have it."""
        if chain is None:
            return None
        return cls(unseen=chain.unseen, pairs=[f"{before} {behind} {score}" for before, behind, score in chain.pairs])

    def chain(self, count: int) -> TagChain:
        """Of so many labels; `InputError` where a pair is no pair of them, or stands there twice."""
        if count > MOST_TAGS:
            raise InputError(f"chain: of {count:,} tags; at most {MOST_TAGS:,} have one; build the bundle again")
        found: dict[tuple[int, int], float] = {}
        for pair in self.pairs:
            match = PAIR.fullmatch(pair)
            place = None if match is None else (int(match[1]), int(match[2]))
            if match is None or place is None or max(place) > count or place in found:
                raise InputError(
                    f"chain: {bare(pair, 60)} is no pair of {count} tags and its score, or the second of one pair; "
                    "build the bundle again"
                )
            found[place] = float(match[3])
            if found[place] > MOST:
                raise InputError(f"chain: the score of {pair} is above {MOST:g}; build the bundle again")
        return TagChain(count, tuple((*place, score) for place, score in found.items()), self.unseen)
