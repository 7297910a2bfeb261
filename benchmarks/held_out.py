"""Training examples held out to choose settings by, with everything that overlaps them.

SST-2's training set holds each sentence and many of its phrases, so examples drawn at random are no test: training has
seen their words and most of their parts. Here whole examples are drawn, those that are not a run of words inside
another example, and every training example that is a run of words inside a drawn one goes too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgepack.errors import InputError
from edgepack.workspace import write_atomic

Words = tuple[str, ...]
TEXT_COLUMNS = ("text", "sentence", "sentence1", "sentence2")


def hold_out(train: Path, count: int, folder: Path) -> tuple[Path, Path]:
    """Two files of a training file's lines: what is left to train on, and `count` whole examples (seed 0).

    `train`: TSV with a header and text in columns of `TEXT_COLUMNS`, or JSON lines with `tokens`. A TSV's header is in
    both. `InputError` where too few whole examples are there.
    """
    lines = train.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    header, examples = (lines[:1], lines[1:]) if train.suffix == ".tsv" else ([], lines)
    texts = [words_of(line, header) for line in examples]
    wholes = whole_examples(texts)
    if not 0 < count < len(wholes):
        raise InputError(
            f"--held-out {count}; {train.name} has {len(wholes)} whole examples, hold out fewer, at least 1"
        )
    drawn = [wholes[place] for place in np.random.default_rng(0).permutation(len(wholes))[:count]]
    overlapping = {run for number in drawn for run in runs(texts[number])}
    held = sorted(drawn)
    left = [number for number, text in enumerate(texts) if text not in overlapping]
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"train{train.suffix}", folder / f"held-out{train.suffix}"
    for path, chosen in zip(paths, (left, held), strict=True):
        write_atomic(path, ("\n".join([*header, *(examples[number] for number in chosen)]) + "\n").encode())
    return paths


def words_of(line: str, header: Sequence[str]) -> Words:
    """The words of one line, of a pair those of both texts."""
    if not header:
        return tuple(json.loads(line)["tokens"])
    columns = zip(header[0].split("\t"), line.split("\t"), strict=True)
    return tuple(word for name, cell in columns if name in TEXT_COLUMNS for word in cell.split())


def whole_examples(texts: Sequence[Words]) -> list[int]:
    """Numbers of the examples that are no run of words inside another one; of equal ones the first."""
    inside: set[int] = set()  # hashes of runs: a clash would cost an example, not a wrong result
    wholes = []
    for number in sorted(range(len(texts)), key=lambda n: -len(texts[n])):
        if hash(texts[number]) not in inside:
            wholes.append(number)
            inside.update(hash(run) for run in runs(texts[number]))
    return sorted(wholes)


def runs(words: Words) -> Iterator[Words]:
    """All runs of words, the whole among them."""
    return (words[a:b] for a in range(len(words)) for b in range(a + 1, len(words) + 1))
