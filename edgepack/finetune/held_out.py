"""A slice of the training data that judges the training, and is not trained on.

Texts that are equal but for case and spaces lie on one side, so none of the slice was seen; so do all candidates of a
query where these are ranked. Classes are held out in
proportion; each keeps an example to train on. The seed decides the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.task.examples import Example
from edgepack.task.identity import folded_texts

SHARE = 0.1
FEWEST, MOST = 50, 2_000  # rows to hold out: fewer judge nothing, more cost training without judging better
MOST_SHARE = 0.2  # of a small data set
FEWEST_ROWS = 40  # a fifth of less tells good from bad no better than chance: nothing is held out


def held_out_count(rows: int, share: float | None = None) -> int:
    """How many of `rows` training examples are held out; `share` None: chosen."""
    if share is not None:
        return round(share * rows)
    if rows < FEWEST_ROWS:
        return 0
    return int(min(max(SHARE * rows, FEWEST), MOST_SHARE * rows, MOST))


def split(examples: Sequence[Example], count: int, seed: int, by_query: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Positions to train on and about `count` to hold out, both ascending; none where that leaves no choice.

    `by_query`: pairs of the same first text stay together.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for position, example in enumerate(examples):
        groups.setdefault(folded_texts(example._replace(pair=None) if by_query else example), []).append(position)
    strata: dict[int, list[list[int]]] = {}
    for members in groups.values():
        label = examples[members[0]].label
        strata.setdefault(label if isinstance(label, int) else 0, []).append(members)
    generator = np.random.default_rng((seed, len(examples)))
    held: list[int] = []
    for label in sorted(strata):
        held += _draw(strata[label], count / len(examples), generator)
    mask = np.zeros(len(examples), dtype=bool)
    mask[held] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _draw(groups: list[list[int]], share: float, generator: np.random.Generator) -> list[int]:
    """About `share` of the rows of one class, in whole groups; its fraction of a row by chance, so sums come out."""
    wanted = share * sum(map(len, groups))
    wanted = int(wanted) + int(generator.random() < wanted - int(wanted))
    drawn: list[int] = []
    for place in generator.permutation(len(groups))[:-1]:  # one group stays to train on
        if len(drawn) + len(groups[place]) <= wanted:
            drawn += groups[place]
    return drawn
