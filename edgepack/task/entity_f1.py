"""Entity F1 of tagged words: an entity is right if its type, its first word and its last word are.

Entities are read as seqeval's default mode does, from every scheme by one rule (`continued`): a word continues the
entity before it if both have the same type, its own tag begins none (B, S, U), and the one before ends none (E, S, L,
U). So an `I-` after `O` or after another type begins an entity. seqeval's default mode does not know L and U; here
they are E and S. Words that truncation or the tokenizer removed are not scored, for any model alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.probabilities import divergences, softmax
from edgepack.task.schemes import Mark
from edgepack.task.scoring import RatioMetric, commonest, f1_parts, f1_possible


@dataclass(frozen=True)
class EntityF1(RatioMetric):
    """F1 of all entities together; statistics (right, predicted, gold). `marks`: what each class id's tag says."""

    marks: tuple[Mark, ...]
    name: str = "entity_f1"
    columns: int = 3

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids of the largest logits, `(…, C) → (…)` int64."""
        return np.asarray(logits.argmax(axis=-1), dtype=np.int64)

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(n, 3)` int64; logits `(T, C)`."""
        scored = encoded.scored
        example = encoded.label_examples[scored]
        gold = self._spans(encoded.labels[scored], example)
        predicted = self._spans(self.decide(logits)[scored], example)
        found = (gold == predicted).all(axis=1) & (gold[:, 0] > 0)
        hits = (found, predicted[:, 0] > 0, gold[:, 0] > 0)
        counts = [np.bincount(example[hit], minlength=len(encoded)) for hit in hits]
        return np.stack(counts, axis=1).astype(np.int64)

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Twice the entities that are right, and those predicted with those there are."""
        return f1_parts(statistics)

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Both models have as many entities to find."""
        return f1_possible(first, second)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Those of a row add up to 1."""
        return softmax(logits)

    def divergences(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """KL of the distributions over tags."""
        return divergences(after, before)

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """The commonest tag, which mostly is O."""
        return commonest(labels, len(self.marks))

    def label_rows(self, labels: Sequence[int]) -> np.ndarray:
        """Tags belong to words; those of a whole text are none."""
        raise ValueError("tags are laid out with their tokens")

    def of_kind(self, kind: str) -> EntityF1:
        """The F1 of one type: all others read as outside."""
        return replace(self, marks=tuple(mark if mark.kind == kind else Mark(None) for mark in self.marks))

    @cached_property
    def _tag_table(self) -> MarkTable:
        return mark_table(self.marks)

    def _spans(self, tags: np.ndarray, example: np.ndarray) -> np.ndarray:
        """`(words, 2)`: at each word that starts an entity its type (from 1) and its end, elsewhere zeros."""
        kind = self._tag_table.kinds[tags]
        continues = continued(tags, self._tag_table, example)
        starts = np.flatnonzero((kind > 0) & ~continues)
        breaks = np.append(np.flatnonzero(~continues), len(tags))
        spans = np.zeros((len(tags), 2), dtype=np.int64)
        spans[starts, 0] = kind[starts]
        spans[starts, 1] = breaks[np.searchsorted(breaks, starts, side="right")]
        return spans


@dataclass(frozen=True, eq=False)
class MarkTable:
    """Marks by class id: the entity's type from 1 (0 is outside), whether the tag begins one, whether it ends one."""

    kinds: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


def mark_table(marks: Sequence[Mark]) -> MarkTable:
    """Marks as arrays, the types numbered in their order."""
    types: dict[str, int] = {}
    kinds = [0 if mark.kind is None else types.setdefault(mark.kind, len(types) + 1) for mark in marks]
    return MarkTable(np.array(kinds), np.array([m.begins for m in marks]), np.array([m.ends for m in marks]))


def continued(tags: np.ndarray, table: MarkTable, example: np.ndarray | None = None) -> np.ndarray:
    """Whether each word, `tags` its class id, continues the entity of the word before; `example`: where it stands."""
    kind = table.kinds[tags]
    same = np.zeros(len(tags), dtype=bool)
    same[1:] = (kind[1:] == kind[:-1]) & ~table.ends[tags[:-1]]
    if example is not None:
        same[1:] &= example[1:] == example[:-1]
    return same & (kind > 0) & ~table.begins[tags]
