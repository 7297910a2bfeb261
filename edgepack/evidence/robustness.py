"""Answers that change with how a text is written: case, typing errors, spaces, an emoji, accents.

No change here alters what a person understands. The teacher's answers flip too, so what counts is where the artifact's
answer changes and the teacher's does not. A seeded sample of the evaluation texts is changed, in every way once; the
interval of the difference is that of Agresti and Min (2005, Statistics in Medicine 24:729-740) for paired shares.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from edgepack.bundle.analysis import Robustness
from edgepack.evidence.paired_ratio import normal_quantile
from edgepack.task.dataset import Dataset, Example
from edgepack.task.scoring import Metric

SAMPLE = 200  # texts; each is answered once in every way, by both models
SEED = 0
TYPO_SHARE = 0.2  # of the words of four letters and more; one at least
LEAST_LETTERS = 4
ACCENTS = str.maketrans("aeioucnAEIOUCN", "áéíóúçñÁÉÍÓÚÇÑ")
CONFIDENCE = 0.95
Change = Literal["case", "typos", "spacing", "emoji", "accents"]
CHANGES: tuple[Change, ...] = get_args(Change)

Decisions = Callable[[Dataset], Sequence[tuple[float, ...]]]  # decisions, an example each: class ids, or the score


def other_case(word: str, draw: random.Random) -> str:
    """Upper case where a letter was lower, else lower case."""
    return word.upper() if word.upper() != word else word.lower()


def typo(word: str, draw: random.Random) -> str:
    """Two neighbours inside a word swapped."""
    at = draw.randrange(1, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def accent(word: str, draw: random.Random) -> str:
    """An accent on the first letter that can have one."""
    for i, letter in enumerate(word):
        if letter.translate(ACCENTS) != letter:
            return word[:i] + letter.translate(ACCENTS) + word[i + 1 :]
    return word


def some_words(words: Sequence[str], change: Callable[[str, random.Random], str], draw: random.Random) -> list[str]:
    """A share of the longer words changed, one at least."""
    long = [i for i, word in enumerate(words) if len(word) >= LEAST_LETTERS and word.isalpha()]
    chosen = set(draw.sample(long, max(1, round(TYPO_SHARE * len(long))))) if long else set()
    return [change(word, draw) if i in chosen else word for i, word in enumerate(words)]


WORD_CHANGES: dict[str, Callable[[Sequence[str], random.Random], list[str]]] = {
    "case": lambda words, draw: [other_case(word, draw) for word in words],
    "typos": lambda words, draw: some_words(words, typo, draw),
    "accents": lambda words, draw: some_words(words, accent, draw),
}
TEXT_CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "spacing": lambda text, draw: f"  {'  '.join(text.split(' '))} ",
    "emoji": lambda text, draw: f"{text} 🙂",
}


def sample_of(data: Dataset) -> list[int]:
    """Which examples are changed."""
    return sorted(random.Random(SEED).sample(range(len(data)), min(SAMPLE, len(data))))


def changed_sets(data: Dataset) -> dict[str, Dataset]:
    """The sample as it is, under "", and in every way of writing; words of a tagging task keep their number.

    Spaces and an emoji are left out there, as its words are given.
    """
    sample = [data.examples[i] for i in sample_of(data)]
    sets = {"": replace(data, examples=tuple(sample))}
    for name, change_words in WORD_CHANGES.items():
        draw = random.Random(f"{SEED}-{name}")
        sets[name] = replace(data, examples=tuple(_with_words(e, change_words, draw) for e in sample))
    if sample[0].words is not None:
        return sets
    for name, change_text in TEXT_CHANGES.items():
        draw = random.Random(f"{SEED}-{name}")
        sets[name] = replace(data, examples=tuple(e._replace(text=change_text(e.text, draw)) for e in sample))
    return sets


def _with_words(
    example: Example, change: Callable[[Sequence[str], random.Random], list[str]], draw: random.Random
) -> Example:
    if example.words is not None:
        return example._replace(words=tuple(change(example.words, draw)))
    return example._replace(text=" ".join(change(example.text.split(" "), draw)))


def flips(sets: Mapping[str, Dataset], decide: Decisions, scoring: Metric | None = None) -> dict[str, np.ndarray]:
    """For each way of writing, where a model's answer is another one than to the text as it is.

    `scoring`, of scores: two that are close are one answer.
    """
    plain = decide(sets[""])

    def differ(found: Sequence[tuple[float, ...]]) -> np.ndarray:
        if scoring is not None:
            return scoring.differ(np.array(found)[:, 0], np.array(plain)[:, 0])
        return np.array([a != b for a, b in zip(found, plain, strict=True)])

    return {name: differ(decide(data)) for name, data in sets.items() if name}


def robustness(teacher: Mapping[str, np.ndarray], artifact: Mapping[str, np.ndarray]) -> list[Robustness]:
    """Both models' flips by the way of writing."""
    found = []
    for name in CHANGES:
        if name in teacher:
            before, after = teacher[name], artifact[name]
            alone, other = int((after & ~before).sum()), int((before & ~after).sum())
            low, high = share_difference(alone, other, len(before))
            figures = {"teacher_flips": int(before.sum()), "artifact_flips": int(after.sum()), "flips_alone": alone}
            found.append(Robustness(change=name, n=len(before), **figures, low=low, high=high))
    return found


def share_difference(alone: int, other: int, n: int) -> tuple[float, float]:
    """Interval of (alone − other) / n, with half an example added to each of the four cells."""
    b, c, size = alone + 0.5, other + 0.5, n + 2
    middle = (b - c) / size
    half = normal_quantile(CONFIDENCE) * math.sqrt(max(0.0, b + c - (b - c) ** 2 / size)) / size
    return max(-1.0, middle - half), min(1.0, middle + half)
