"""Entity F1 of tagged words: an entity is right if its type, its first word and its last word are.

Entities are read from BIO tags as seqeval's default mode does: an `I-` after `O` or after another type starts
an entity. Words that truncation or the tokenizer removed are not scored, for any model alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.schemes import scheme_of_labels

BIO_TAG = re.compile(r"O|[BI](-.+)?")


@dataclass(frozen=True)
class EntityF1:
    """F1 of all entities together; statistics (right, predicted, gold). `labels` are BIO tags by class id."""

    labels: tuple[str, ...]
    name: str = "entity_f1"

    def __post_init__(self) -> None:
        bad = [label for label in self.labels if not BIO_TAG.fullmatch(label)]
        if bad:
            scheme = scheme_of_labels(self.labels) or "unknown"
            raise InputError(
                f"label {shown(bad[0])} is not a BIO tag (scheme of the labels: {scheme}); "
                "token classification needs O, B-type or I-type"
            )

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids of the largest logits, `(…, C) → (…)` int64."""
        return np.asarray(logits.argmax(axis=-1), dtype=np.int64)

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(n, 3)` int64; logits `(T, C)`."""
        scored = encoded.labels != IGNORED
        example = encoded.label_examples[scored]
        gold = self._spans(encoded.labels[scored], example)
        predicted = self._spans(self.decide(logits)[scored], example)
        found = (gold == predicted).all(axis=1) & (gold[:, 0] > 0)
        hits = (found, predicted[:, 0] > 0, gold[:, 0] > 0)
        counts = [np.bincount(example[hit], minlength=len(encoded)) for hit in hits]
        return np.stack(counts, axis=1).astype(np.int64)

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Twice the entities that are right, and those predicted with those there are."""
        return 2 * statistics[..., 0], statistics[..., 1] + statistics[..., 2]

    @cached_property
    def _tag_table(self) -> tuple[np.ndarray, np.ndarray]:
        """For each class id: its entity type (0 is outside), and whether it begins an entity by itself."""
        types: dict[str, int] = {}
        type_ids = [0 if t == "O" else types.setdefault(t[2:], len(types) + 1) for t in self.labels]
        return np.array(type_ids), np.array([t.startswith("B") for t in self.labels])

    def _spans(self, tags: np.ndarray, example: np.ndarray) -> np.ndarray:
        """`(words, 2)`: at each word that starts an entity its type (from 1) and its end, elsewhere zeros."""
        types, begins = self._tag_table
        kind = types[tags]
        same = np.zeros(len(tags), dtype=bool)
        same[1:] = (kind[1:] == kind[:-1]) & (example[1:] == example[:-1])
        continues = same & (kind > 0) & ~begins[tags]
        starts = np.flatnonzero((kind > 0) & ~continues)
        breaks = np.append(np.flatnonzero(~continues), len(tags))
        spans = np.zeros((len(tags), 2), dtype=np.int64)
        spans[starts, 0] = kind[starts]
        spans[starts, 1] = breaks[np.searchsorted(breaks, starts, side="right")]
        return spans
