"""Normalization of a text that keeps where each letter came from, as the library's `NormalizedString` keeps it.

A step writes code points, each with a change: 0 takes the place of one letter, a negative one of that many more, a
positive one is put in and takes none. A letter put in has the offsets of the one before it in the old text. Where steps
sort, join or drop letters, those offsets are not what one would choose; they are the library's, and its tokens' offsets
follow from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgepack.tokenizer.charsmap import CharacterMap
from edgepack.tokenizer.clusters import SMALL, cluster_ends
from edgepack.tokenizer.hangul import HANGUL, compose_hangul, decompose_hangul
from edgepack.tokenizer.normalizer import Decompose, Map, Replace, ReplaceRuns, Step, Strip

Letter = tuple[int, int, int]  # a code point, and the first and the end of what it stands for in the text
Change = tuple[int, int]  # a code point, and how many letters it takes the place of, less one


def letters_of(text: str, start: int, end: int) -> list[Letter]:
    """A stretch as it stands."""
    return [(ord(text[i]), i, i + 1) for i in range(start, end)]


def normalized(letters: list[Letter], steps: Iterable[Step], start: int) -> list[Letter]:
    """A stretch that begins at `start`, after all steps."""
    for step in steps:
        letters = _apply(letters, step, start)
    return letters


def _apply(letters: list[Letter], step: Step, start: int) -> list[Letter]:
    points = [point for point, _, _ in letters]
    if isinstance(step, Decompose):
        parts = _decomposed(points, step)
        return transformed(letters, parts if step.compositions is None else _composed(parts, step), start)
    if isinstance(step, Map):
        return _mapped(letters, step, start)
    if isinstance(step, CharacterMap):
        return transformed(letters, _replaced_clusters(points, step), start)
    if isinstance(step, Strip):
        return _stripped(letters, step)
    return list(_replaced(letters, step))


def transformed(letters: Sequence[Letter], changes: Iterable[Change], start: int, skipped: int = 0) -> list[Letter]:
    """The letters that these changes make; the first `skipped` old ones are gone."""
    at, out = skipped, []
    for point, change in changes:
        if change > 0:
            out.append((point, *(letters[at - 1][1:] if at else (start, start))))
        else:
            out.append((point, *letters[at][1:]))
            at += 1 - change
    return out


def _mapped(letters: list[Letter], step: Map, start: int) -> list[Letter]:
    """A letter that becomes nothing is counted to the last one that stays."""
    changes: list[Change] = []
    skipped = 0
    for point, _, _ in letters:
        fold = step.folds.get(point, (point,))
        changes += [(becomes, int(place > 0)) for place, becomes in enumerate(fold)]
        if not fold and changes:
            changes[-1] = (changes[-1][0], changes[-1][1] - 1)
        skipped += not changes
    return transformed(letters, changes, start, skipped)


def _decomposed(points: Sequence[int], step: Decompose) -> list[Change]:
    """Each code point's parts, runs of marks sorted by rank."""
    out: list[Change] = []
    run: list[Change] = []
    for point in points:
        parts = decompose_hangul(point) if point in HANGUL else step.folds.get(point, (point,))
        for place, part in enumerate(parts):
            if not step.ranks.get(part, 0):
                out += sorted(run, key=lambda change: step.ranks[change[0]])
                run.clear()
                out.append((part, int(place > 0)))
            else:
                run.append((part, int(place > 0)))
    return out + sorted(run, key=lambda change: step.ranks[change[0]])


def _composed(parts: Iterable[Change], step: Decompose) -> Iterator[Change]:
    """Canonical composition: a starter takes up what follows, over marks of a lower rank than its own."""
    starter: Change | None = None
    marks: list[Change] = []
    for point, change in parts:
        rank = step.ranks.get(point, 0)
        if starter is None:
            if rank:
                yield point, change
            else:
                starter = point, change
            continue
        blocked = bool(marks) and step.ranks[marks[-1][0]] >= rank
        joined = None if blocked else _composition(starter[0], point, step)
        if joined is not None:
            starter = joined, starter[1] + change - 1
        elif rank:
            marks.append((point, change))
        else:
            yield starter
            yield from marks
            marks.clear()
            starter = point, change
    if starter is not None:
        yield starter
        yield from marks


def _composition(first: int, second: int, step: Decompose) -> int | None:
    syllable = compose_hangul(first, second)
    return (step.compositions or {}).get((first, second)) if syllable is None else syllable


def _replaced_clusters(points: Sequence[int], step: CharacterMap) -> list[Change]:
    """A small cluster by the value of the shortest key that it begins with, else each code point by its own."""
    changes: list[Change] = []
    start = 0
    for end in cluster_ends(points, step.classes):
        cluster = points[start:end]
        found = None
        if len("".join(map(chr, cluster)).encode()) < SMALL:
            found = next(
                (_value(cluster[:n], step) for n in range(1, len(cluster) + 1) if _has(cluster[:n], step)), None
            )
        if found is not None:
            _put(changes, len(cluster), found)
        else:
            for point in cluster:
                if point in step.single:
                    _put(changes, 1, step.single[point])
                else:
                    changes.append((point, 0))
        start = end
    return changes


def _has(key: Sequence[int], step: CharacterMap) -> bool:
    return key[0] in step.single if len(key) == 1 else tuple(key) in step.several


def _value(key: Sequence[int], step: CharacterMap) -> tuple[int, ...]:
    return step.single[key[0]] if len(key) == 1 else step.several[tuple(key)]


def _put(changes: list[Change], old: int, new: Sequence[int]) -> None:
    """`new` in the place of `old` letters; what is left over is put in, what is missing counted to the last one."""
    changes += [(point, 0) for point in new]
    surplus = len(new) - old
    if surplus > 0:
        changes[-surplus:] = [(point, 1) for point, _ in changes[-surplus:]]
    elif surplus < 0 and changes:
        changes[-1] = (changes[-1][0], changes[-1][1] + surplus)


def _stripped(letters: list[Letter], step: Strip) -> list[Letter]:
    first, end = 0, len(letters)
    while step.left and first < end and letters[first][0] in step.spaces:
        first += 1
    while step.right and end > first and letters[end - 1][0] in step.spaces:
        end -= 1
    return letters[first:end]


def _replaced(letters: list[Letter], step: Replace | ReplaceRuns) -> Iterator[Letter]:
    """What is put in has the offsets of the last letter that goes."""
    content, at = [ord(char) for char in step.content], 0
    while at < len(letters):
        end = _match(letters, at, step)
        if end == at:
            yield letters[at]
            at += 1
            continue
        yield from ((point, *letters[end - 1][1:]) for point in content)
        at = end


def _match(letters: list[Letter], at: int, step: Replace | ReplaceRuns) -> int:
    """The end of a match that begins here; `at` where there is none."""
    if isinstance(step, Replace):
        end = at + len(step.found)
        same = [point for point, _, _ in letters[at:end]] == [ord(char) for char in step.found]
        return end if same else at
    end = at
    while end < len(letters) and letters[end][0] in step.points:
        end += 1
    return end if end - at >= step.least else at + (letters[at][0] in step.single)
