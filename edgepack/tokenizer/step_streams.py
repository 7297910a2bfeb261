"""The steps of a normalizer as bytes, and back: the last stream of a version 2 asset.

A count, then for each step its kind (varint) and what that kind has:

    1 decompose     flag (1: composes too), folds, ranks; with the flag: pairs (distances between the composed points,
                    then zigzag steps of all first and of all second parts)
    2 map           folds
    3 character map eleven range lists (`ClusterClasses`), folds of single code points, count of longer keys, each its
                    length, code points, the value's length, code points (zigzag steps)
    4 replace       two strings
    5 replace runs  range list, least length, range list of single ones, string
    6 strip         flags (1: left, 2: right), range list
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from math import prod

from edgepack.tokenizer.charsmap import CharacterMap
from edgepack.tokenizer.clusters import ClusterClasses
from edgepack.tokenizer.normalizer import Decompose, Map, Replace, ReplaceRuns, Step, Strip
from edgepack.tokenizer.stream_reader import LONGEST_FOLD, Reader, code_points, decode_folds, decode_ranks, signed
from edgepack.tokenizer.writing import fold_stream, range_list, rank_stream, steps, string, varints, zigzag

COMPOSES, LEFT, RIGHT = 1, 1, 2  # flags
MOST_STEPS, MOST_GROWTH = 100, 1_000
KINDS = {1: Decompose, 2: Map, 3: CharacterMap, 4: Replace, 5: ReplaceRuns, 6: Strip}
CLASSES = len(fields(ClusterClasses))


def encode_steps(given: Sequence[Step]) -> bytes:
    """These steps as a stream."""
    numbers = {kind: number for number, kind in KINDS.items()}
    return varints((len(given),)) + b"".join(varints((numbers[type(step)],)) + _encode(step) for step in given)


def decode_steps(reader: Reader) -> tuple[Step, ...]:
    """The steps in a stream; `ValueError` where there are none of these kinds."""
    found = []
    for _ in range(reader.number(MOST_STEPS + 1)):
        kind = reader.number()
        if kind not in DECODE:
            raise ValueError(f"a step of kind {kind} in the normalizer")
        found.append(DECODE[kind](reader))
    growth = prod(_growth(step) for step in found)
    if growth > MOST_GROWTH:
        raise ValueError(f"a normalizer that may write {growth:,} code points for one")
    return tuple(found)


def _growth(step: Step) -> int:
    """The most code points that one becomes."""
    if isinstance(step, Replace | ReplaceRuns):
        return max(1, len(step.content))
    if isinstance(step, CharacterMap):
        return max([1, *map(len, step.single.values()), *map(len, step.several.values())])
    return max([1, *map(len, step.folds.values())]) if isinstance(step, Decompose | Map) else 1


def _encode(step: Step) -> bytes:
    if isinstance(step, Decompose):
        parts = varints((COMPOSES * (step.compositions is not None),))
        return parts + fold_stream(step.folds) + rank_stream(step.ranks) + _compositions(step.compositions)
    if isinstance(step, Map):
        return fold_stream(step.folds)
    if isinstance(step, CharacterMap):
        classes = b"".join(range_list(getattr(step.classes, field.name)) for field in fields(step.classes))
        keys = sorted(step.several.items())
        longer = b"".join(_points(key) + _points(value) for key, value in keys)
        return classes + fold_stream(step.single) + varints((len(keys),)) + longer
    if isinstance(step, Replace):
        return string(step.found) + string(step.content)
    if isinstance(step, ReplaceRuns):
        return range_list(step.points) + varints((step.least,)) + range_list(step.single) + string(step.content)
    return varints((LEFT * step.left | RIGHT * step.right,)) + range_list(step.spaces)


def _points(points: Sequence[int]) -> bytes:
    return varints((len(points), *_zigzags(points)))


def _zigzags(points: Iterable[int]) -> list[int]:
    return [zigzag(step) for step in steps(list(points))]


def _compositions(pairs: dict[tuple[int, int], int] | None) -> bytes:
    if pairs is None:
        return b""
    ordered = sorted((point, first, second) for (first, second), point in pairs.items())
    columns = list(zip(*ordered, strict=True)) or [(), (), ()]
    numbers = [*steps(list(columns[0])), *_zigzags(columns[1]), *_zigzags(columns[2])]
    return varints((len(ordered), *numbers))


def _decode_decompose(reader: Reader) -> Decompose:
    composes = reader.number(2)
    folds, ranks = decode_folds(reader), decode_ranks(reader)
    if not composes:
        return Decompose(folds, ranks, None)
    count = reader.count()
    points = code_points(reader.numbers(count))
    first, second = (code_points([signed(number) for number in reader.numbers(count)]) for _ in range(2))
    return Decompose(folds, ranks, dict(zip(zip(first, second, strict=True), points, strict=True)))


def _decode_map(reader: Reader) -> CharacterMap:
    classes = ClusterClasses(*(reader.points() for _ in range(CLASSES)))
    single, several = decode_folds(reader), {}
    for _ in range(reader.count()):
        key = _decode_points(reader)
        if len(key) < 2:
            raise ValueError(f"a key of {len(key)} code points among the longer ones")
        several[key] = _decode_points(reader)
    return CharacterMap(single, several, classes)


def _decode_points(reader: Reader) -> tuple[int, ...]:
    return tuple(code_points([signed(number) for number in reader.numbers(reader.number(LONGEST_FOLD + 1))]))


def _decode_replace(reader: Reader) -> Replace:
    found = reader.string()
    if not found:
        raise ValueError("an empty string to replace")
    return Replace(found, reader.string())


def _decode_runs(reader: Reader) -> ReplaceRuns:
    points, least = reader.points(), reader.number()
    if not least:
        raise ValueError("runs of no length to replace")
    return ReplaceRuns(points, least, reader.points(), reader.string())


def _decode_strip(reader: Reader) -> Strip:
    flags = reader.number(4)
    return Strip(bool(flags & LEFT), bool(flags & RIGHT), reader.points())


DECODE: dict[int, Callable[[Reader], Step]] = {
    1: _decode_decompose,
    2: lambda reader: Map(decode_folds(reader)),
    3: _decode_map,
    4: _decode_replace,
    5: _decode_runs,
    6: _decode_strip,
}
